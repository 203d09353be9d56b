/**
 * One step of a conversation.
 *
 * `@rv(NAME)` and `@uid(NAME)` stand for the resourceVersion and the uid that the last answer about NAME had, `@continue`
 * for the last `continue`.
 */

/** A request and what it shows. */
export interface Step {
  readonly title: string
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** Repeats the request until it has this status. */
  readonly until?: number
}

/** A step. A body that is no text is sent as JSON. */
export const step = (
  title: string,
  method: string,
  path: string,
  body?: unknown,
  headers?: Readonly<Record<string, string>>
): Step => ({
  title,
  method,
  path,
  ...(body === undefined ? {} : { body }),
  ...(headers === undefined ? {} : { headers })
})

/** The kinds of patch. */
export const merge = { "content-type": "application/merge-patch+json" }
export const strategic = { "content-type": "application/strategic-merge-patch+json" }
export const jsonPatch = { "content-type": "application/json-patch+json" }

/** Server-side apply. */
export const apply = { "content-type": "application/apply-patch+yaml" }
/** Asks for a table. */
export const table = { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" }
