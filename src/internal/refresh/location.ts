/** Where a value is stored: base64 of JSON in one field of an object, as Secrets and Dex store bytes. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import type { Content, FieldPatch, FieldPath } from "../../ObjectStore.ts"

/** Reads and writes values of one type at one path. No failure quotes a value, not even that of a schema whose functions throw. */
export interface Location<A> {
  /** The stored value, or nothing if the field is missing or blank. */
  readonly read: (content: Content) => Effect.Effect<Option.Option<A>, "Unreadable">
  /** The value as a reader will find it, and the patch that stores it. */
  readonly encode: (value: A) => Effect.Effect<Encoded<A>, "NotEncodable">
  /**
   * A patch that changes the field and leaves the stored value as it is: JSON with a blank at its end. A dry run takes it. A server
   * that does not know dry runs, and applies it, does no harm.
   */
  readonly rehearsal: (content: Content) => Effect.Effect<FieldPatch>
  /** Of the value as it is stored: equal values have the same. `undefined` if it cannot be encoded at once. */
  readonly digest: (value: A) => string | undefined
}

/** A value after the round trip, and the patch that stores it. A schema may lose a part of the value, such as milliseconds. */
export interface Encoded<A> {
  readonly value: A
  readonly patch: FieldPatch
}

/** The location of values with this schema at this path. */
export const make = <A>(path: FieldPath, schema: Schema.Codec<A, unknown>): Location<A> => {
  const fromBase64 = Schema.decodeUnknownEffect(Schema.StringFromBase64)
  const toBase64 = Schema.encodeEffect(Schema.StringFromBase64)
  const Json = Schema.fromJsonString(Schema.toCodecJson(schema))
  const fromJson = Schema.decodeEffect(Json)
  const toJson = Schema.encodeEffect(Json)

  const storedText = (content: Content) => {
    const stored = path.reduce<unknown>(child, content)
    return stored === undefined || stored === null ? Effect.succeed("") : fromBase64(stored)
  }

  return {
    read: (content) =>
      storedText(content).pipe(
        Effect.flatMap((text) => (text.trim() === "" ? Effect.succeedNone : Effect.asSome(fromJson(text)))),
        failAs("Unreadable")
      ),
    encode: (value) =>
      Effect.gen(function* () {
        const text = yield* toJson(value)
        return { value: yield* fromJson(text), patch: { path, value: yield* toBase64(text) } }
      }).pipe(failAs("NotEncodable")),
    rehearsal: (content) =>
      storedText(content).pipe(
        Effect.orElseSucceed(() => ""),
        Effect.flatMap((text) => Effect.orDie(toBase64(`${text} `))),
        Effect.map((value) => ({ path, value }))
      ),
    digest: (value) => {
      const text = Effect.runSyncExit(Effect.suspend(() => toJson(value)))
      return Exit.isFailure(text) ? undefined : createHash("sha256").update(text.value).digest("base64").slice(0, 22)
    }
  }
}

// What a function of the schema throws may quote the value.
const failAs =
  <const E>(error: E) =>
  <A>(effect: Effect.Effect<A, unknown>): Effect.Effect<A, E> =>
    Effect.catchDefect(
      Effect.mapError(effect, () => error),
      () => Effect.fail(error)
    )

/** The path as messages name it: `data.value`. */
export const describe = (path: FieldPath): string => path.join(".")

const child = (parent: unknown, name: string): unknown =>
  typeof parent === "object" && parent !== null && Object.hasOwn(parent, name)
    ? (parent as Record<string, unknown>)[name]
    : undefined
