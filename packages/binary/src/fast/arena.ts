/** A stretch of memory that is needed from step `first` to step `last`, both included. */
export interface Span {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

/** Every address is a multiple of so many bytes: a vector. */
const alignment = 16;

/**
 * Addresses for spans, from `base` on, so that no two that are needed at the same step overlap; gives where the memory
 * ends. The largest comes first and each goes to the lowest place that is free for as long as it is needed, which for
 * chains of layers is as good as it gets. O(n^2 log n) for n spans.
 *
 * Source: Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020, greedy by size.
 */
export function placeSpans(spans: readonly Span[], base: number): { addresses: number[]; end: number } {
  const addresses = spans.map(() => base);
  const placed: number[] = [];
  const bySize = spans.map((_, i) => i).sort((a, b) => spans[b]!.bytes - spans[a]!.bytes);
  let end = base;
  for (const i of bySize) {
    const span = spans[i]!;
    const others = placed
      .filter((j) => spans[j]!.first <= span.last && span.first <= spans[j]!.last)
      .sort((a, b) => addresses[a]! - addresses[b]!);
    let at = base;
    for (const j of others) {
      if (at + span.bytes <= addresses[j]!) break;
      at = Math.max(at, align(addresses[j]! + spans[j]!.bytes));
    }
    addresses[i] = at;
    end = Math.max(end, at + span.bytes);
    placed.push(i);
  }
  return { addresses, end: align(end) };
}

export function align(address: number): number {
  return Math.ceil(address / alignment) * alignment;
}
