/**
 * A copy of a protobuf message with some fields replaced; the others are shared with the original. A message keeps
 * the defaults of absent fields on its prototype, which `{ ...message }` would lose.
 */
export function changed<T extends object>(message: T, fields: Partial<T>): T {
  return Object.assign(Object.create(Object.getPrototypeOf(message)), message, fields);
}
