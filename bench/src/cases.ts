import { TierwiseError } from '@tierwise/core';

/**
 * The cases called `names`, in their own order; all when there are no names.
 * @throws TierwiseError USAGE for a name that is not there
 */
export function chooseCases<Case extends { readonly name: string }>(
  all: readonly Case[],
  names: readonly string[] | undefined,
): readonly Case[] {
  if (names === undefined || names.length === 0) return all;
  const unknown = names.find((name) => !all.some((one) => one.name === name));
  if (unknown !== undefined)
    throw new TierwiseError(
      'USAGE',
      `there is no case "${unknown}"; there are: ${all.map(({ name }) => name).join(', ')}`,
    );
  return all.filter(({ name }) => names.includes(name));
}
