/** How the locks of the command line are made: their policy, and how this program is called on them. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { hostname } from "node:os"
import * as settings from "../internal/settings.ts"
import type * as Lock from "../Lock.ts"
import * as LockPolicy from "../LockPolicy.ts"
import { misused } from "./exitCodes.ts"

/** The options: with the annotation that `KUBELOCK_ANNOTATION` names, and as `KUBELOCK_IDENTITY` or the name of the host. */
export const make = Effect.fnUntraced(function* (overrides: LockPolicy.Overrides) {
  const [annotation, identity] = yield* Effect.all([settings.text("ANNOTATION"), settings.text("IDENTITY")])
  const policy = yield* valid(() => LockPolicy.make({ ...overrides, annotation: Option.getOrUndefined(annotation) }))
  const options: Lock.Options = { policy, identity: Option.getOrElse(identity, hostname) }
  return options
})

/** What a function makes. A `RangeError` of it means that the invocation makes no sense. No flag names an annotation. */
export const valid = <A>(make: () => A) =>
  Effect.try({
    try: make,
    catch: (error) =>
      misused(
        error instanceof Error
          ? error.message.replace(/^\w+: /, "").replace(/^annotation /, "KUBELOCK_ANNOTATION ")
          : String(error)
      )
  })
