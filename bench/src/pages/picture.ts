/** Put in when the page is built: see `buildPage`. */
declare const __CHANNELS__: number;
declare const __SIDE__: number;

/** A picture of the size that the network takes: a bright upright stroke, which LeNet takes for a 1. Values 0..255. */
export const side = __SIDE__;
export const channels = __CHANNELS__;
export const pixels = new Uint8Array(side * side * channels);
for (let y = 4; y < side - 4; y++) {
  const middle = channels * (side * y + side / 2);
  pixels.fill(255, middle - channels, middle + channels);
}

/** The same as a network takes it, NCHW with whole numbers. */
export function planes(): Float32Array {
  const plane = side * side;
  return Float32Array.from(
    { length: channels * plane },
    (_, i) => pixels[(i % plane) * channels + Math.floor(i / plane)]!,
  );
}
