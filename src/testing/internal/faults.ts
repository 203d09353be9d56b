/** Injected faults: which requests they apply to, and when. */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type { SeenRequest } from "./requests.ts"

/**
 * When a fault takes effect.
 *
 * - `Request`: before the request is applied. No object changes.
 * - `Answer`: after the request was applied. The client cannot know whether it was.
 */
export type Moment = "Request" | "Answer"

/**
 * A fault.
 *
 * - `Delay`: waits for `duration`, then continues.
 * - `Drop`: closes the connection without a response.
 * - `Answer`: sends this response instead. `contentType` is `text/plain; charset=utf-8` by default. The body can be
 *   anything, for example the page of a proxy, or half of a JSON document.
 * - `Forbid`: sends the 403 of RBAC, as if `user` (`kubelock` by default) lacked the verb. The request is not applied.
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

/** The constructors of `Fault`. */
export const Fault = Data.taggedEnum<Fault>()

interface Injected {
  readonly fault: Fault
  readonly when: (request: SeenRequest) => boolean
  times: number
  hits: number
}

/** The injected faults, in the order of injection. */
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

  /** Whether a request would be denied. It counts for no fault. */
  isForbidden(request: SeenRequest): boolean {
    return [...this.#injected].some(({ fault, times, when }) => fault._tag === "Forbid" && times > 0 && when(request))
  }

  /**
   * The faults that apply to a request, up to the first one that prevents it from being applied. Each of them counts
   * it.
   */
  take(request: SeenRequest): ReadonlyArray<Fault> {
    if (this.#injected.size === 0) return none
    const matching: Array<Fault> = []
    for (const injected of this.#injected) {
      if (injected.times <= 0 || !injected.when(request)) continue
      injected.times--
      injected.hits++
      matching.push(injected.fault)
      if (injected.fault._tag === "Forbid") break
      if (injected.fault._tag !== "Delay" && injected.fault.at === "Request") break
    }
    return matching
  }
}

const none: ReadonlyArray<Fault> = []
