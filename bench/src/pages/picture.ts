/** Put in when the page is built: see `buildPage`. */
declare const __CHANNELS__: number;
declare const __SIDE__: number;

/** A picture of the size that the network takes: a bright upright stroke, which LeNet takes for a 1. Values 0..255. */
export const side = __SIDE__;
export const channels = __CHANNELS__;
export const pixels = Uint8Array.from({ length: side * side * channels }, (_, i) => {
  const x = Math.floor(i / channels) % side;
  const y = Math.floor(i / channels / side);
  return Math.abs(x - side / 2) < 2 && y > 4 && y < side - 4 ? 255 : 0;
});

/** The same as a network takes it, NCHW with whole numbers. */
export function planes(): Float32Array {
  const plane = side * side;
  return Float32Array.from(
    { length: channels * plane },
    (_, i) => pixels[(i % plane) * channels + Math.floor(i / plane)]!,
  );
}
