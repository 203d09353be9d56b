/** A value in a field of an object: base64 of JSON, as Secrets and Dex hold bytes. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Content, FieldPatch } from "../../ObjectStore.ts"

/** Names of fields on the way to a value. */
export type Path = readonly [string, ...ReadonlyArray<string>]

/** Reads and writes values of one type at one path. Fails with nothing that could quote a value. */
export interface Location<A> {
  readonly read: (content: Content) => Effect.Effect<Option.Option<A>, "Unreadable">
  readonly write: (content: Content, value: A) => Effect.Effect<ReadonlyArray<FieldPatch>>
}

/** Makes both from a schema. */
export const make = <A>(path: Path, schema: Schema.Codec<A, unknown>): Location<A> => {
  const Bytes = Schema.StringFromBase64.pipe(Schema.decodeTo(Schema.fromJsonString(Schema.toCodecJson(schema))))
  const decode = Schema.decodeUnknownEffect(Bytes)
  const encode = Schema.encodeEffect(Bytes)
  return {
    read: (content) => {
      const found = path.reduce<unknown>(child, content)
      return isAbsent(found) || found === ""
        ? Effect.succeedNone
        : Effect.mapError(Effect.asSome(decode(found)), () => "Unreadable" as const)
    },
    write: (content, value) =>
      encode(value).pipe(
        Effect.catch(() => Effect.die(new RangeError("RefreshOnce: the schema cannot encode what refresh answered"))),
        Effect.map((text) => [placed(path, content, text)])
      )
  }
}

/** What a path leads to, for people to read. */
export const describe = (path: Path): string => path.join(".")

const isAbsent = (value: unknown): boolean => value === undefined || value === null

const child = (within: unknown, name: string): unknown =>
  typeof within === "object" && within !== null && Object.hasOwn(within, name)
    ? (within as Record<string, unknown>)[name]
    : undefined

// A patch can only add to what is there: the value comes in what is missing on the way to it.
const placed = (path: Path, content: Content, text: string): FieldPatch => {
  let depth = 1
  for (let within: unknown = content; depth < path.length; depth++) {
    within = child(within, path[depth - 1]!)
    if (isAbsent(within)) break
  }
  return {
    path: path.slice(0, depth) as unknown as Path,
    value: path.slice(depth).reduceRight<Schema.Json>((value, name) => ({ [name]: value }), text)
  }
}
