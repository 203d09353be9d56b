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
  /** The patch that stores a value. */
  readonly write: (value: A) => Effect.Effect<ReadonlyArray<FieldPatch>>
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
    write: (value) =>
      encode(value).pipe(
        Effect.catch(() => Effect.die(new RangeError("RefreshOnce: the schema cannot encode the result of refresh"))),
        Effect.map((text) => [{ path, value: text }])
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
