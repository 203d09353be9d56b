/** What the main thread and the one that renews its sessions tell each other. All of it can be cloned. */
import type { Severity } from "effect/LogLevel"
import type { MessagePort } from "node:worker_threads"
import type { Lost } from "../../LockError.ts"
import type { LeasesDescription, ObjectSnapshot } from "../../ObjectStore.ts"

/** With what the thread starts. `life` is the memory of the main thread's signs of life. `maxStall` is in milliseconds. */
export interface Start {
  readonly leases: LeasesDescription
  readonly life: SharedArrayBuffer
  readonly maxStall: number
}

/** What the thread tells of itself: that it is ready, or cannot be, and what it logs. */
export type ThreadNews =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Refused"; readonly detail: string }
  | {
      readonly _tag: "Logged"
      readonly level: Severity
      readonly message: ReadonlyArray<string>
      readonly annotations: Readonly<Record<string, unknown>>
    }

/**
 * A session to open. Times are in milliseconds. `validity` is the memory that says for how long to rely on it. Its news come through the
 * port. Any message to the port ends it. When it has ended, the port closes.
 */
export interface Open {
  readonly port: MessagePort
  readonly validity: SharedArrayBuffer
  readonly namespace: string
  readonly identity: string | undefined
  readonly ttl: number
  readonly renewEvery: number
  readonly renewDeadline: number
}

/** What the thread tells of a session. `error` is an encoded `StoreError`. `Broken`: a Lease on which others say what they broke. */
export type SessionNews =
  | { readonly _tag: "Opened"; readonly session: string }
  | { readonly _tag: "Failed"; readonly error: unknown }
  | { readonly _tag: "Renewed" }
  | { readonly _tag: "Broken"; readonly name: string; readonly lease: ObjectSnapshot }
  | { readonly _tag: "Lost"; readonly reason: Lost["reason"] }
