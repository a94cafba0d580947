/**
 * Makes of a photo what the data sets made of theirs: something bright on black. What differs from the background, which
 * is the median of the border, is ink. Of a cluttered photo this makes clutter; the page says so.
 */

/** Differences from the background below this share of the largest are paper, shadow and noise. */
const noise = 0.25;

/**
 * Ink, 0 to 255, of a photo of `width * height` pixels, RGBA; all 0 when nothing stands out from the background.
 * `flat`: the ink of a pen, which is either there or not; else cloth, whose greys are kept.
 */
export function inkOf(rgba: Uint8ClampedArray, width: number, height: number, flat: boolean): Uint8Array {
  const greys = Float32Array.from(
    { length: width * height },
    (_, i) => 0.299 * rgba[i * 4]! + 0.587 * rgba[i * 4 + 1]! + 0.114 * rgba[i * 4 + 2]!,
  );
  const border: number[] = [];
  for (let x = 0; x < width; x++) border.push(greys[x]!, greys[(height - 1) * width + x]!);
  for (let y = 0; y < height; y++) border.push(greys[y * width]!, greys[y * width + width - 1]!);
  const background = border.sort((a, b) => a - b)[border.length >> 1]!;
  const apart = greys.map((grey) => Math.abs(grey - background));
  const most = apart.reduce((a, b) => Math.max(a, b), 0);
  const ink = new Uint8Array(greys.length);
  // Less than this is the grain of the camera.
  if (most < 24) return ink;
  const least = noise * most;
  for (let i = 0; i < ink.length; i++) {
    const share = (apart[i]! - least) / (most - least);
    if (share > 0) ink[i] = Math.round(255 * (flat ? Math.min(1, 2.5 * share) : Math.min(1, 0.25 + share)));
  }
  return ink;
}
