import { elementCount } from '@tierwise/core';

/** More dimensions than any network has; work that grows with their square stays small. */
const maxRank = 64;

/** Whether `dims` are sizes that a tensor can have: whole, not negative, and countable together. */
export function isShape(dims: readonly number[]): boolean {
  return (
    dims.length <= maxRank &&
    dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0) &&
    Number.isSafeInteger(elementCount(dims))
  );
}
