/** Offers the suite and what a test needs of both doors to the test that drives the page. */
import { load as loadInWorker, type RawPixels, stream } from '@tierwise/device';
import { versions } from '@tierwise/device/cache';
import { load as loadHere } from '@tierwise/device/main';
import { strategies } from '@tierwise/plan';
import { cases, type Door } from '../doors.conformance.ts';

/** Memories of engines that were made here, as long as something holds on to them. */
const memories: WeakRef<WebAssembly.Memory>[] = [];
WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
  construct(Memory, given) {
    const memory = new Memory(given[0] as WebAssembly.MemoryDescriptor);
    memories.push(new WeakRef(memory));
    return memory;
  },
});

const doors = {
  main: ((url, options) => loadHere(url, { ...options, strategies })) as Door,
  worker: loadInWorker as Door,
};
export type DoorName = keyof typeof doors;

const edge = async (behaviour: string) => {
  await fetch(`/edge/${behaviour}`);
};

const sure: RawPixels = { data: Uint8Array.of(100, 0, 0, 7), width: 2, height: 2 };
const unsure: RawPixels = { data: Uint8Array.of(3, 2, 1, 7), width: 2, height: 2 };
const codeOf = (error: unknown) =>
  error instanceof Error && 'code' in error ? `${error.code} ${error.message}` : String(error);

export const offered = {
  /** Runs one case; rejects as it does. */
  async run(door: DoorName, name: string, site: string): Promise<void> {
    await cases[name]!({ door: doors[door], site, edge });
  },

  /** What loading, or classifying an image that has not loaded, ends with. */
  async refusal(door: DoorName, site: string, what: 'load' | 'image'): Promise<string> {
    try {
      await using composite = await doors[door](site);
      if (what === 'image') await composite.classify(new Image());
      return 'accepted';
    } catch (error) {
      return codeOf(error);
    }
  },

  /** What the whole network answers in a worker of the page's own. */
  async wholeNetwork(site: string): Promise<string> {
    const worker = () => new Worker(new URL('./own-worker.ts', import.meta.url), { type: 'module' });
    await using composite = await loadInWorker(site, { worker, strategy: 'device-only' });
    const { label, tier, exit } = await composite.classify(unsure);
    return `${label} ${tier} ${exit}`;
  },

  /** Where an upright stroke is answered that the branch is never sure of, over a link with that token. */
  async unsureDigit(door: DoorName, site: string, token: string): Promise<string> {
    const data = Uint8Array.from({ length: 784 }, (_, i) => (i % 28 > 12 && i % 28 < 16 ? 255 : 0));
    const load = door === 'main' ? loadHere : loadInWorker;
    await using composite = await load(site, { token });
    const answer = await composite.classify({ data, width: 28, height: 28 }, { threshold: 0 });
    return `${answer.label} ${answer.tier} ${answer.degraded?.code} ${composite.edgeState}`;
  },

  /** The label that a visit gives which keeps the bundle; when it is the `first`, it stays until that is done. */
  async visit(door: DoorName, site: string, first: boolean): Promise<string> {
    const load = door === 'main' ? loadHere : loadInWorker;
    await using composite = await load(site, { cache: 'default' });
    while (first && (await versions(site))[0]?.files.length !== 1);
    return (await composite.classify(sure)).label;
  },

  /** Engines made on this thread, and those of them that are still in memory. */
  engines(): { made: number; alive: number } {
    return { made: memories.length, alive: memories.filter((memory) => memory.deref()).length };
  },

  /** Loads and disposes so often, with so many pictures each time; one in ten asks the edge. */
  async use(door: DoorName, site: string, loads: number, classifies: number): Promise<void> {
    for (let i = 0; i < loads; i++) {
      await using composite = await doors[door](site);
      for (let k = 0; k < classifies; k += 10) {
        const pictures = Array.from({ length: 10 }, (_, j) => (j === 0 ? unsure : sure));
        await Promise.all(pictures.map((picture) => composite.classify(picture)));
      }
    }
  },

  /** Plays something, and stops after ten answers. */
  async video(site: string): Promise<{ answered: number; heard: number }> {
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width: 16, height: 16 });
    const context = canvas.getContext('2d')!;
    const video = document.createElement('video');
    video.muted = true;
    video.srcObject = canvas.captureStream();
    let shade = 0;
    const drawing = setInterval(() => {
      shade = (shade + 40) % 256;
      context.fillStyle = `rgb(${shade} ${shade} ${shade})`;
      context.fillRect(0, 0, 16, 16);
    }, 20);
    await video.play();
    const stop = new AbortController();
    await using composite = await loadInWorker(site, { edge: false });
    let heard = 0;
    const { answered } = await stream(composite, video, {
      signal: stop.signal,
      onAnswer: () => {
        if (++heard === 10) stop.abort();
      },
    });
    clearInterval(drawing);
    return { answered, heard };
  },

  /** The label of one picture in every form that a page has. */
  async labelsOfEveryKind(door: DoorName, site: string): Promise<Record<string, string>> {
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width: 2, height: 2 });
    const context = canvas.getContext('2d')!;
    const image = new ImageData(2, 2);
    for (let i = 3; i < 16; i += 4) image.data[i] = 255;
    image.data.fill(100, 0, 3);
    context.putImageData(image, 0, 0);
    const offscreen = new OffscreenCanvas(2, 2);
    offscreen.getContext('2d')!.putImageData(image, 0, 0);
    const element = new Image();
    element.src = canvas.toDataURL('image/png');
    await element.decode();
    const bitmap = await createImageBitmap(canvas);
    const frame = new VideoFrame(canvas, { timestamp: 0 });
    const raw: RawPixels = { data: Uint8Array.of(100, 0, 0, 0), width: 2, height: 2 };
    const pictures = { raw, image, canvas, offscreen, element, bitmap, frame };
    await using composite = await doors[door](site);
    const labels: Record<string, string> = {};
    for (const [kind, picture] of Object.entries(pictures)) {
      // Twice: a picture is only borrowed.
      await composite.classify(picture);
      const { label, tier } = await composite.classify(picture);
      labels[kind] = `${label} ${tier}`;
    }
    bitmap.close();
    frame.close();
    return labels;
  },
};

Object.assign(globalThis, { offered });
