/** What is written behind a flag, read and checked. */
import { InvalidArgumentError } from 'commander';

/** A whole number of at least `min`. */
export function whole(min: number) {
  return (text: string): number => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < min)
      throw new InvalidArgumentError(`It must be a whole number of at least ${min}.`);
    return value;
  };
}

/** 1 or 2. */
export function stride(text: string): 1 | 2 {
  if (text !== '1' && text !== '2') throw new InvalidArgumentError('It must be 1 or 2.');
  return text === '1' ? 1 : 2;
}

/** Whole numbers of at least `min`, with commas between. */
export const wholes = (min: number) => (text: string) => text.split(',').map(whole(min));

/** A number from `min` to `max`. */
export function real(min: number, max: number) {
  return (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= min && value <= max))
      throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`);
    return value;
  };
}

/** Numbers of at least `min`, with commas between them. */
export function numbers(min: number) {
  return (text: string): number[] =>
    text.split(',').map((part) => {
      const value = fraction(part);
      if (value < min) throw new InvalidArgumentError(`${part} is less than ${min}.`);
      return value;
    });
}

/** A number, or a fraction like 1/255. */
export function fraction(text: string): number {
  const [top = '', bottom = '1', ...more] = text.split('/');
  const value = Number(top) / Number(bottom);
  if (top.trim() === '' || bottom.trim() === '' || more.length > 0 || !Number.isFinite(value))
    throw new InvalidArgumentError(`"${text}" is no number.`);
  return value;
}

export function pictureSize(text: string): { height: number; width: number } {
  const match = /^(\d+)x(\d+)$/.exec(text);
  if (!match) throw new InvalidArgumentError('Write it as HEIGHTxWIDTH, like 224x224.');
  return { height: whole(1)(match[1]!), width: whole(1)(match[2]!) };
}

export function collectDim(text: string, known: Readonly<Record<string, number>>): Record<string, number> {
  const match = /^(.+)=(\d+)$/.exec(text);
  if (!match) throw new InvalidArgumentError('Write it as NAME=SIZE.');
  return { ...known, [match[1]!]: whole(1)(match[2]!) };
}

export const collect = (text: string, known: readonly string[]): string[] => [...known, text];
