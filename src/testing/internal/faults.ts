/** Faults on demand: which requests they strike, and when. */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type { SeenRequest } from "./requests.ts"

/**
 * When a fault strikes: `Request` before the request is applied (nothing happens to any object), `Answer` after it was
 * applied, so that the client cannot know.
 */
export type Moment = "Request" | "Answer"

/**
 * What goes wrong.
 *
 * - `Delay`: waits for `duration`, then goes on.
 * - `Drop`: closes the connection without an answer.
 * - `Answer`: answers this instead. `contentType` is `text/plain; charset=utf-8` unless it is given; any body may be
 *   sent, a proxy's page or half of a JSON document.
 * - `Forbid`: 403 in RBAC's words, as if `user` (by default `kubelock`) lacked the verb. Never applied.
 */
export type Fault = Data.TaggedEnum<{
  Delay: { readonly at: Moment; readonly duration: Duration.Input }
  Drop: { readonly at: Moment }
  Answer: {
    readonly at: Moment
    readonly status: number
    readonly body?: string | undefined
    readonly contentType?: string | undefined
    readonly headers?: Readonly<Record<string, string>> | undefined
  }
  Forbid: { readonly user?: string | undefined }
}>

/** Constructors of `Fault`. */
export const Fault = Data.taggedEnum<Fault>()

interface Injected {
  readonly fault: Fault
  readonly when: (request: SeenRequest) => boolean
  times: number
  hits: number
}

/** The faults in force, in the order in which they were injected. */
export class Faults {
  readonly #injected = new Set<Injected>()

  add(fault: Fault, when: (request: SeenRequest) => boolean, times: number): Injected {
    const injected = { fault, when, times, hits: 0 }
    this.#injected.add(injected)
    return injected
  }

  remove(injected: Injected): void {
    this.#injected.delete(injected)
  }

  /** The faults that strike this request: up to the first one that keeps it from being applied. Each counts it. */
  strike(request: SeenRequest): ReadonlyArray<Fault> {
    if (this.#injected.size === 0) return none
    const struck: Array<Fault> = []
    for (const injected of this.#injected) {
      if (injected.times <= 0 || !injected.when(request)) continue
      injected.times--
      injected.hits++
      struck.push(injected.fault)
      if (injected.fault._tag === "Forbid") break
      if (injected.fault._tag !== "Delay" && injected.fault.at === "Request") break
    }
    return struck
  }
}

const none: ReadonlyArray<Fault> = []
