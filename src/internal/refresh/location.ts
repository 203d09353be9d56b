/** Where a value is stored: base64 of JSON in one field of an object, as Secrets and Dex store bytes. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Content, FieldPatch } from "../../ObjectStore.ts"

/** The names of the fields that lead to a value. */
export type Path = readonly [string, ...ReadonlyArray<string>]

/** Reads and writes values of one type at one path. No failure quotes a value. */
export interface Location<A> {
  /** The stored value, or nothing if the field is missing or empty. */
  readonly read: (content: Content) => Effect.Effect<Option.Option<A>, "Unreadable">
  /** The patch that stores a value in an object with this content. */
  readonly write: (content: Content, value: A) => Effect.Effect<ReadonlyArray<FieldPatch>>
}

/** The location of values with this schema at this path. */
export const make = <A>(path: Path, schema: Schema.Codec<A, unknown>): Location<A> => {
  const Bytes = Schema.StringFromBase64.pipe(Schema.decodeTo(Schema.fromJsonString(Schema.toCodecJson(schema))))
  const decode = Schema.decodeUnknownEffect(Bytes)
  const encode = Schema.encodeEffect(Bytes)
  return {
    read: (content) => {
      const stored = path.reduce<unknown>(child, content)
      return isAbsent(stored) || stored === ""
        ? Effect.succeedNone
        : Effect.mapError(Effect.asSome(decode(stored)), () => "Unreadable" as const)
    },
    write: (content, value) =>
      encode(value).pipe(
        Effect.catch(() => Effect.die(new RangeError("RefreshOnce: the schema cannot encode the result of refresh"))),
        Effect.map((text) => [patchOf(path, content, text)])
      )
  }
}

/** The path as messages name it: `data.value`. */
export const describe = (path: Path): string => path.join(".")

const isAbsent = (value: unknown): boolean => value === undefined || value === null

const child = (parent: unknown, name: string): unknown =>
  typeof parent === "object" && parent !== null && Object.hasOwn(parent, name)
    ? (parent as Record<string, unknown>)[name]
    : undefined

// A patch can only add to a parent that exists. It adds the first missing field, with the remaining path inside.
const patchOf = (path: Path, content: Content, text: string): FieldPatch => {
  let depth = 1
  for (let parent: unknown = content; depth < path.length; depth++) {
    parent = child(parent, path[depth - 1]!)
    if (isAbsent(parent)) break
  }
  return {
    path: path.slice(0, depth) as unknown as Path,
    value: path.slice(depth).reduceRight<Schema.Json>((value, name) => ({ [name]: value }), text)
  }
}
