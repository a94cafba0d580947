import { expect, test } from 'vitest';
import { chooseCases } from './cases.ts';
import { median, significant } from './statistics.ts';

const all = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];

test('cases are chosen by name and keep their order', () => {
  expect(chooseCases(all, undefined)).toBe(all);
  expect(chooseCases(all, [])).toBe(all);
  expect(chooseCases(all, ['c', 'a'])).toEqual([{ name: 'a' }, { name: 'c' }]);
  expect(() => chooseCases(all, ['d'])).toThrow(/"d".*a, b, c/);
});

test('medians and significant digits', () => {
  expect(median([5, 1, 3])).toBe(3);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNaN();
  expect(significant(1234.56)).toBe(1235);
  expect(significant(0.000123456, 2)).toBe(0.00012);
});
