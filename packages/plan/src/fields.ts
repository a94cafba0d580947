/** What members of several contracts are. */
import { schema as s } from '@tierwise/core';

export const plainName = (length: number) =>
  s.string({
    pattern: `^[A-Za-z0-9][A-Za-z0-9._-]{0,${length - 1}}$`,
    description: `a plain name: 1 to ${length} letters, digits, ".", "_" and "-"`,
  });
export const name = plainName(128);
export const tensorName = s.string({ minLength: 1, maxLength: 512 });
export const count = s.integer({ minimum: 0 });
export const finite = s.number();
export const positive = s.number({ exclusiveMinimum: 0 });
export const share = s.number({ minimum: 0, maximum: 1 });
