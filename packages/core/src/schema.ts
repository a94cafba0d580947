/**
 * Schemas of everything that comes from outside. A schema is plain JSON, in a subset of JSON Schema (draft 2020-12), so
 * other tools read the very text by which the house checks; and a TypeScript type is inferred from it, so the two
 * cannot drift apart. Libraries for this weigh 2.4 kB and more in a page that is to have 25; this is a third of it.
 *
 *     const PointSchema = object({ x: number(), label: optional(string({ maxLength: 80 })) });
 *     type Point = Infer<typeof PointSchema>; // { x: number; label?: string }
 */
export interface JsonSchema {
  readonly type?: 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean';
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  /** For all other members of an object; without it they are ignored, and left out of what is read. */
  readonly additionalProperties?: JsonSchema;
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly unknown[];
  /** Objects that `kind`, an enum of one value, tells apart. */
  readonly anyOf?: readonly JsonSchema[];
  /** What a member that is missing is read as; there but undefined, which JSON leaves out, where that is nothing. */
  readonly default?: unknown;
  /** Said instead of `pattern`, which nobody likes to read. */
  readonly description?: string;
}

declare const output: unique symbol;
declare const absent: unique symbol;
/** A schema whose values are of type T. */
export type Schema<T> = JsonSchema & { readonly [output]: T };
type Optional<T> = Schema<T> & { readonly [absent]: true };
/** The type of the values that a schema takes. */
export type Infer<S> = S extends { readonly [output]: infer T } ? T : never;

type Properties = Readonly<Record<string, Schema<unknown>>>;
type OptionalKeys<P> = { [K in keyof P]: P[K] extends { readonly [absent]: true } ? K : never }[keyof P];
type Flat<T> = { [K in keyof T]: T[K] };
type ObjectOf<P> = Flat<
  { [K in Exclude<keyof P, OptionalKeys<P>>]: Infer<P[K]> } & {
    [K in OptionalKeys<P>]?: Infer<P[K]> | undefined;
  }
>;

type Bounds<K extends keyof JsonSchema> = Pick<JsonSchema, K | 'description'>;
type NumberBounds = Bounds<'minimum' | 'exclusiveMinimum' | 'maximum'>;

const made = <T>(schema: JsonSchema) => schema as Schema<T>;

export const anything = () => made<unknown>({});
export const boolean = () => made<boolean>({ type: 'boolean' });
/** A finite number. */
export const number = (bounds?: NumberBounds) => made<number>({ type: 'number', ...bounds });
/** A whole number that is exact. */
export const integer = (bounds?: NumberBounds) => made<number>({ type: 'integer', ...bounds });
export const string = (bounds?: Bounds<'minLength' | 'maxLength' | 'pattern'>) =>
  made<string>({ type: 'string', ...bounds });
/** One of `values`. */
export const oneOf = <const T extends readonly unknown[]>(...values: T) => made<T[number]>({ enum: values });
export const array = <T>(items: Schema<T>, bounds?: Bounds<'minItems' | 'maxItems'>) =>
  made<T[]>({ type: 'array', items, ...bounds });
/** An object with members of any name. */
export const record = <T>(values: Schema<T>) =>
  made<Record<string, T>>({ type: 'object', additionalProperties: values });

/** A member of an object that may be missing; then it is read as `fallback`, where that is given. */
export function optional<T>(schema: Schema<T>): Optional<T>;
export function optional<T>(schema: Schema<T>, fallback: T): Schema<T>;
export function optional<T>(schema: Schema<T>, fallback?: T): Schema<T> {
  return made({ ...schema, default: fallback });
}

export function object<P extends Properties>(properties: P): Schema<ObjectOf<P>> {
  const required = Object.keys(properties).filter((key) => !('default' in properties[key]!));
  return made({ type: 'object', properties, required });
}

/** One of several kinds of objects. Each has a member `kind`, made by `oneOf(name)`. */
export const variant = <T extends readonly Schema<{ kind: string }>[]>(...options: T) =>
  made<Infer<T[number]>>({ anyOf: options });

/** Says what is wrong at `path`, '' for the whole, and throws. */
export type Refuse = (path: string, problem: string) => never;

/** What of `value` the schema knows, copied, with defaults filled in; `refuse` is told of the first fault. */
export function read<T>(schema: Schema<T>, value: unknown, refuse: Refuse): T {
  return walk(schema, value, '', refuse) as T;
}

function walk(schema: JsonSchema, x: unknown, path: string, refuse: Refuse): unknown {
  const { type, anyOf } = schema;
  const wrong = (wanted: string) => refuse(path, `${show(x)} is not ${wanted}`);
  const size = (length: number, what: string, least = 0, most = Infinity) => {
    if (length < least || length > most) refuse(path, `${length} ${what}, not ${least} to ${most}`);
  };
  if (schema.enum?.includes(x) === false) wrong(schema.enum.map(show).join(' or '));
  if (anyOf) {
    if (!isObject(x)) return wrong('an object');
    const kinds = anyOf.map((option) => option.properties!['kind']!.enum![0]);
    const option = anyOf[kinds.indexOf(x['kind'])];
    if (!option) refuse(join(path, 'kind'), `${show(x['kind'])} is not ${kinds.map(show).join(' or ')}`);
    return walk(option, x, path, refuse);
  }
  if (type === 'object') {
    if (!isObject(x)) return wrong('an object');
    const { properties = {}, required = [], additionalProperties } = schema;
    const names = additionalProperties ? Object.keys(x) : Object.keys(properties);
    const entries: [string, unknown][] = [];
    for (const name of names) {
      const member = Object.hasOwn(properties, name) ? properties[name]! : additionalProperties!;
      const at = join(path, name);
      if (Object.hasOwn(x, name) && x[name] !== undefined)
        entries.push([name, walk(member, x[name], at, refuse)]);
      else if (required.includes(name)) refuse(at, 'is missing');
      else if (member.default !== undefined) entries.push([name, member.default]);
    }
    return Object.fromEntries(entries);
  }
  if (type === 'array') {
    if (!Array.isArray(x)) return wrong('an array');
    size(x.length, 'elements', schema.minItems, schema.maxItems);
    return Array.from(x, (element, i) => walk(schema.items!, element, join(path, `${i}`), refuse));
  }
  if (type === 'string') {
    if (typeof x !== 'string') return wrong('a string');
    size(x.length, 'characters', schema.minLength, schema.maxLength);
    const { pattern, description = pattern! } = schema;
    if (pattern !== undefined && !new RegExp(pattern, 'u').test(x)) wrong(description);
  } else if (type === 'boolean') {
    if (typeof x !== 'boolean') wrong('true or false');
  } else if (type) {
    const whole = type === 'integer';
    if (!(whole ? Number.isSafeInteger(x) : Number.isFinite(x))) wrong(whole ? 'a whole number' : 'a number');
    const { minimum = -Infinity, exclusiveMinimum = -Infinity, maximum = Infinity } = schema;
    if ((x as number) < minimum) wrong(`at least ${minimum}`);
    if ((x as number) <= exclusiveMinimum) wrong(`above ${exclusiveMinimum}`);
    if ((x as number) > maximum) wrong(`at most ${maximum}`);
  }
  return x;
}

const isObject = (x: unknown): x is Record<string, unknown> =>
  typeof x === 'object' && x !== null && !Array.isArray(x);

const join = (path: string, name: string) => (path === '' ? name : `${path}.${name}`);

/** A value in a message: short, and never the contents of something large. */
function show(x: unknown): string {
  if (Array.isArray(x)) return 'an array';
  if (typeof x === 'object' && x !== null) return 'an object';
  return typeof x === 'string' ? JSON.stringify(x.slice(0, 60)) : String(x);
}
