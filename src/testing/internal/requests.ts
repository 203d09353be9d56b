/** The log of received requests. */

/** The verb of a request. `other` is a request that is not about objects, such as `/version` and discovery. */
export type Verb = "get" | "list" | "watch" | "post" | "put" | "patch" | "delete" | "other"

/** The number of requests by verb. */
export type Counts = Readonly<Record<Verb, number>>

/** A request, as the predicate of a fault sees it. */
export interface SeenRequest {
  /** The HTTP method, such as `PATCH`. */
  readonly method: string
  /** The verb of the request, as RBAC has it but for `post` and `put`. */
  readonly verb: Verb
  /** The path as sent, without the query. */
  readonly path: string
  /** The query. */
  readonly query: URLSearchParams
}

/** A request in the log. */
export interface LoggedRequest extends SeenRequest {
  /** The status of the response. It is absent until that is sent, and stays absent if the request was dropped. */
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
