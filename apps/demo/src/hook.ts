import type { Answer, Composite } from '@tierwise/device';

declare global {
  interface Window {
    /** For end-to-end tests: present once the network is loaded. Nothing of the page itself reads it. */
    tierwiseDemo?: {
      readonly composite: Composite;
      /** Classifies 28 x 28 greys (0 background to 255 ink) as a finished drawing, and shows the answer. */
      classifyPixels(data: Uint8Array): Promise<Answer>;
    };
  }
}
