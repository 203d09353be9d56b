/** The requests that came in: what they are, and the record of them. */

/** What a request does. `other` is everything that is not about objects, such as `/version` and discovery. */
export type Verb = "get" | "list" | "watch" | "post" | "put" | "patch" | "delete" | "other"

/** How many requests of each verb there were. */
export type Counts = Readonly<Record<Verb, number>>

/** A request as a fault's predicate sees it. `path` is as it was sent, without the query. */
export interface SeenRequest {
  readonly method: string
  readonly verb: Verb
  readonly path: string
  readonly query: URLSearchParams
}

/** A request in the log. `status` is absent until it is answered, and for good where it was dropped. */
export interface LoggedRequest extends SeenRequest {
  readonly status: number | undefined
}

/** The newest requests, and the counts of all. */
export class RequestLog {
  #counts: Record<Verb, number> = zero()
  #requests: Array<LoggedRequest & { status: number | undefined }> = []

  /** Notes a request; its status is to be set on what this gives back. */
  add(request: SeenRequest): { status: number | undefined } {
    const logged = { ...request, status: undefined }
    this.#counts[request.verb]++
    this.#requests.push(logged)
    if (this.#requests.length > 2 * kept) this.#requests = this.#requests.slice(-kept)
    return logged
  }

  get counts(): Counts {
    return { ...this.#counts }
  }

  get requests(): ReadonlyArray<LoggedRequest> {
    return this.#requests.slice(-kept)
  }

  clear(): void {
    this.#counts = zero()
    this.#requests = []
  }
}

/** How many requests are kept. */
const kept = 10_000

const zero = (): Record<Verb, number> => ({
  get: 0,
  list: 0,
  watch: 0,
  post: 0,
  put: 0,
  patch: 0,
  delete: 0,
  other: 0
})
