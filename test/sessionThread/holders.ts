/** Processes that hold a lock and block their event loop (`holder.ts`). */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"

/** What a holder sees. `GoesOn`: right after it was blocked. `Ends`: half a TTL more than one later. */
export type Event =
  | { readonly _tag: "Logged"; readonly line: string }
  | { readonly _tag: "Holds"; readonly fencingToken: string }
  | { readonly _tag: "GoesOn"; readonly isValid: boolean }
  | {
      readonly _tag: "Ends"
      readonly isValid: boolean
      readonly lost: { readonly reason: string; readonly withSession: boolean } | null
    }

/** A holder. `next` waits for its next event of a kind. `logged` is what it has logged. `exited` waits for its end. */
export interface Holder {
  readonly process: ChildProcess
  readonly next: <Tag extends Event["_tag"]>(tag: Tag) => Effect.Effect<Extract<Event, { readonly _tag: Tag }>>
  readonly logged: ReadonlyArray<string>
  readonly exited: Effect.Effect<number | null>
}

/** The times of a holder, in milliseconds, and what blocks it: a loop that takes a core, or a sleep of its thread (see `holder.ts`). */
export interface Times {
  readonly ttl: number
  readonly maxStall: number
  readonly blockedFor: number
  readonly by: "Loop" | "Sleep"
}

/** Starts a holder, which is killed when the scope closes. */
export const start = Effect.fnUntraced(function* (
  kubeConfig: string,
  id: string,
  { blockedFor, by, maxStall, ttl }: Times
): Effect.fn.Return<Holder, never, Scope.Scope> {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-holder-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const file = join(folder, "kubeconfig")
  writeFileSync(file, kubeConfig)
  const events = yield* Queue.unbounded<Event>()
  const logged: Array<string> = []
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(
        process.execPath,
        [join(import.meta.dirname, "holder.ts"), id, ...[ttl, maxStall, blockedFor, by].map(String)],
        { env: { ...process.env, KUBECONFIG: file, NO_COLOR: "1" }, stdio: ["ignore", "pipe", "inherit"] }
      )
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const exit = new Promise<number | null>((resolve) => child.once("close", resolve))
  const exited = Effect.promise(() => exit)
  const diedFirst = Effect.flatMap(exited, (code) => Effect.die(new Error(`the holder ended with ${code}`)))
  createInterface(child.stdout).on("line", (line) => {
    const event = JSON.parse(line) as Event
    if (event._tag === "Logged") logged.push(event.line)
    else Queue.offerUnsafe(events, event)
  })
  return {
    process: child,
    next: (tag) =>
      Effect.map(
        Effect.repeat(Effect.raceFirst(Queue.take(events), diedFirst), { until: ({ _tag }) => _tag === tag }),
        (event) => event as Extract<Event, { readonly _tag: typeof tag }>
      ),
    logged,
    exited
  }
})
