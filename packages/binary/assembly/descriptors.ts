// What each kernel is told: one record of 32-bit words in memory, at the address that is its only argument. Records
// are written once, when a program is prepared. The same fields in the same order, with what they mean, are in
// src/kernels/descriptors.ts; a test compares the two files.

// @ts-ignore: decorator
@unmanaged
export class ConvBinary {
  source: usize;
  stepX: usize;
  stepY: usize;
  width: i32;
  height: i32;
  rows: i32;
  rowBytes: usize;
  rowPitch: usize;
  weights: usize;
  starts: usize;
  inverts: usize;
  channels: i32;
  sums: i32;
  terms: i32;
  dest: usize;
  destPixel: usize;
  destRow: usize;
  scratch: usize;
}

// @ts-ignore: decorator
@unmanaged
export class ConvReal {
  source: usize;
  stepX: usize;
  stepY: usize;
  width: i32;
  height: i32;
  rows: i32;
  rowPitch: usize;
  runs: i32;
  runBytes: usize;
  runPitch: usize;
  weights: usize;
  starts: usize;
  channels: i32;
  dest: usize;
  destPixel: usize;
  destRow: usize;
  scratch: usize;
  whole: usize;
  most: i32;
  image: usize;
  imageBytes: usize;
  narrowed: usize;
}

// @ts-ignore: decorator
@unmanaged
export class Blend {
  width: i32;
  height: i32;
  channels: i32;
  source: usize;
  sourcePixel: usize;
  sourceRow: usize;
  scale: usize;
  bias: usize;
  relu: i32;
  other: usize;
  otherPixel: usize;
  otherRow: usize;
  dest: usize;
  destPixel: usize;
  destRow: usize;
  thresholds: usize;
  signs: usize;
  bits: usize;
  bitsPixel: usize;
  bitsRow: usize;
}

// @ts-ignore: decorator
@unmanaged
export class Pool {
  source: usize;
  sourcePixel: usize;
  sourceRow: usize;
  sourceWidth: i32;
  sourceHeight: i32;
  kernelW: i32;
  kernelH: i32;
  strideW: i32;
  strideH: i32;
  padW: i32;
  padH: i32;
  pixelBytes: usize;
  inverts: usize;
  width: i32;
  height: i32;
  dest: usize;
  destPixel: usize;
  destRow: usize;
}

// @ts-ignore: decorator
@unmanaged
export class Mean {
  source: usize;
  sourcePixel: usize;
  sourceRow: usize;
  width: i32;
  height: i32;
  channels: usize;
  dest: usize;
}

// @ts-ignore: decorator
@unmanaged
export class Arrange {
  width: i32;
  height: i32;
  channels: usize;
  source: usize;
  sourcePixel: usize;
  sourceRow: usize;
  sourceChannel: usize;
  dest: usize;
  destPixel: usize;
  destRow: usize;
  destChannel: usize;
}

// @ts-ignore: decorator
@unmanaged
export class Spread {
  width: i32;
  height: i32;
  channels: usize;
  source: usize;
  sourcePixel: usize;
  sourceRow: usize;
  dest: usize;
}

// @ts-ignore: decorator
@unmanaged
export class Lay {
  source: usize;
  shift: i32;
  outputs: i32;
  pixels: i32;
  channels: i32;
  planar: i32;
  pixelBytes: i32;
  dest: usize;
  pitch: usize;
  form: i32;
}
