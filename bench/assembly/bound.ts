// What a machine can do in WebAssembly when every operand is in a register already: the denominator of `ofBound`. Ten
// accumulators, each its own chain, keep the units busy; an accumulator is its own second operand, so that no step
// repeats another and none can be computed once and kept. On x86 more accumulators or a second operand are slower.

/** `rounds` times 10 steps of xor, i8x16.popcnt, i8x16.add: 128 binary multiply-accumulates a step. */
export function binaryBound(rounds: i32): i32 {
  let a = i8x16.splat(1), b = i8x16.splat(2), c = i8x16.splat(3), d = i8x16.splat(4), e = i8x16.splat(5);
  let f = i8x16.splat(6), g = i8x16.splat(7), h = i8x16.splat(8), i = i8x16.splat(9), j = i8x16.splat(10);
  const x = i8x16.splat(11);
  do {
    a = i8x16.add(a, i8x16.popcnt(v128.xor(x, a)));
    b = i8x16.add(b, i8x16.popcnt(v128.xor(x, b)));
    c = i8x16.add(c, i8x16.popcnt(v128.xor(x, c)));
    d = i8x16.add(d, i8x16.popcnt(v128.xor(x, d)));
    e = i8x16.add(e, i8x16.popcnt(v128.xor(x, e)));
    f = i8x16.add(f, i8x16.popcnt(v128.xor(x, f)));
    g = i8x16.add(g, i8x16.popcnt(v128.xor(x, g)));
    h = i8x16.add(h, i8x16.popcnt(v128.xor(x, h)));
    i = i8x16.add(i, i8x16.popcnt(v128.xor(x, i)));
    j = i8x16.add(j, i8x16.popcnt(v128.xor(x, j)));
  } while (--rounds);
  a = v128.xor(v128.xor(v128.xor(a, b), v128.xor(c, d)), v128.xor(v128.xor(e, f), v128.xor(g, h)));
  return i8x16.bitmask(v128.xor(a, v128.xor(i, j)));
}
