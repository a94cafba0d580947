/**
 * The element with this id.
 * @throws Error when index.html has no such element or it is of another kind: a fault of this page
 */
export function byId<T extends HTMLElement>(id: string, kind: abstract new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} with id "${id}"`);
  return found;
}
