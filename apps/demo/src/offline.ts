/** Has the service worker keep the page, and shows `note` once it works offline. */
export function keepOffline(note: HTMLElement): void {
  // Vite's development server has no such file.
  if (!('serviceWorker' in navigator) || !import.meta.env.PROD) return;
  // After the page is there: what it keeps comes second.
  addEventListener('load', async () => {
    try {
      await navigator.serviceWorker.register(new URL('service-worker.js', document.baseURI));
      await navigator.serviceWorker.ready;
      note.hidden = false;
    } catch {
      // Browsers refuse it under a certificate that they do not know; the page works as it is.
    }
  });
}
