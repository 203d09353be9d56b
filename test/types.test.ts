/** The errors of each operation, as types. The compiler checks them. */
import { describe, it } from "@effect/vitest"
import type * as Effect from "effect/Effect"
import { expectTypeOf } from "vitest"
import type { Held } from "../src/Held.ts"
import type * as Lock from "../src/Lock.ts"
import type * as LockError from "../src/LockError.ts"

type StoreTag =
  | "LockInvalidName"
  | "LockNotFound"
  | "LockUnauthorized"
  | "LockForbidden"
  | "LockRejected"
  | "LockAltered"
  | "LockOccupied"
  | "LockUntrusted"
  | "LockUnavailable"

type TagOf<F extends (...args: never) => unknown> =
  ReturnType<F> extends Effect.Effect<unknown, infer E extends { readonly _tag: string }, unknown> ? E["_tag"] : never

describe("the errors of a store, and of a lock", () => {
  it("have types that name what their schemas have", () => {
    expectTypeOf<LockError.StoreError>().toEqualTypeOf<typeof LockError.StoreError.Type>()
    expectTypeOf<LockError.LockError>().toEqualTypeOf<typeof LockError.LockError.Type>()
  })
})

describe("the errors of an operation", () => {
  it("are exactly those that it can fail with", () => {
    expectTypeOf<TagOf<typeof Lock.scoped>>().toEqualTypeOf<
      "LockTimeout" | "LockMalformed" | "LockMismatch" | StoreTag
    >()
    expectTypeOf<TagOf<typeof Lock.scopedAll>>().toEqualTypeOf<
      "LockTimeout" | "LockMalformed" | "LockMismatch" | "LockLost" | StoreTag
    >()
    expectTypeOf<TagOf<typeof Lock.tryScoped>>().toEqualTypeOf<
      "LockConflict" | "LockMalformed" | "LockMismatch" | StoreTag
    >()
    expectTypeOf<TagOf<typeof Lock.inspect>>().toEqualTypeOf<"LockMismatch" | StoreTag>()
    expectTypeOf<TagOf<typeof Lock.break>>().toEqualTypeOf<"LockConflict" | "LockMismatch" | StoreTag>()
    expectTypeOf<TagOf<Held["commitAndRelease"]>>().toEqualTypeOf<"LockLost" | StoreTag>()
  })
})
