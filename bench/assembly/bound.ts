// What a machine can do in WebAssembly when every operand is in a register already: the denominator of `ofBound`.
//
// The tile of a convolution by xor, popcount and add, 4 pixels times 2 vectors of 16 output channels, without its
// loads: 8 accumulators, 4 vectors of activations, 2 of weights. After each round the activations become copies of
// accumulators, which costs no instruction and keeps a compiler from computing a product once and for all. Tiles of
// 3 x 2, 2 x 3 and 2 x 4 are as fast within 3 %, larger and smaller ones slower. (A loop that xors a fixed vector with
// its own accumulators needs fewer registers and is 7 % faster on the x86 that this was tried on, but nothing can be
// convolved that way.)

// @ts-ignore: decorator
@inline
function count(sum: v128, activations: v128, weights: v128): v128 {
  return i8x16.add(sum, i8x16.popcnt(v128.xor(activations, weights)));
}

/** `rounds` times 8 steps of xor, i8x16.popcnt, i8x16.add: 128 binary multiply-accumulates a step. */
export function binaryBound(rounds: i32): i32 {
  let a = i8x16.splat(1), b = i8x16.splat(2), c = i8x16.splat(3), d = i8x16.splat(4);
  let e = i8x16.splat(5), f = i8x16.splat(6), g = i8x16.splat(7), h = i8x16.splat(8);
  let p = i8x16.splat(11), q = i8x16.splat(28), r = i8x16.splat(45), s = i8x16.splat(62);
  const w = i8x16.splat(79), v = i8x16.splat(96);
  do {
    a = count(a, p, w);
    b = count(b, q, w);
    c = count(c, r, w);
    d = count(d, s, w);
    e = count(e, p, v);
    f = count(f, q, v);
    g = count(g, r, v);
    h = count(h, s, v);
    p = a;
    q = b;
    r = c;
    s = d;
  } while (--rounds);
  a = v128.xor(v128.xor(v128.xor(a, b), v128.xor(c, d)), v128.xor(v128.xor(e, f), v128.xor(g, h)));
  return i8x16.bitmask(a);
}
