/** The log of received requests. */

/** The verb of a request. `other` is a request that is not about objects, such as `/version` and discovery. */
export type Verb = "get" | "list" | "watch" | "post" | "put" | "patch" | "delete" | "other"

/** The number of requests by verb. */
export type Counts = Readonly<Record<Verb, number>>

/** A request, as the predicate of a fault sees it. `path` is the path as sent, without the query. */
export interface SeenRequest {
  readonly method: string
  readonly verb: Verb
  readonly path: string
  readonly query: URLSearchParams
}

/** A request in the log. `status` is absent until the response is sent, and stays absent if the request was dropped. */
export interface LoggedRequest extends SeenRequest {
  readonly status: number | undefined
}

/** The last requests, and the counts of all requests. */
export class RequestLog {
  #counts: Record<Verb, number> = zero()
  #requests: Array<LoggedRequest & { status: number | undefined }> = []

  /** Adds a request. The caller sets `status` on the result. */
  add(request: SeenRequest): { status: number | undefined } {
    const logged = { ...request, status: undefined }
    this.#counts[request.verb]++
    this.#requests.push(logged)
    if (this.#requests.length > 2 * limit) this.#requests = this.#requests.slice(-limit)
    return logged
  }

  get counts(): Counts {
    return { ...this.#counts }
  }

  get requests(): ReadonlyArray<LoggedRequest> {
    return this.#requests.slice(-limit)
  }

  clear(): void {
    this.#counts = zero()
    this.#requests = []
  }
}

/** The number of requests that are kept. */
const limit = 10_000

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
