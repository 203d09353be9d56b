/**
 * The requests that this process sends, whichever library sends them: counted where Node.js and undici announce them.
 */
import { subscribe } from "node:diagnostics_channel"

/** Requests sent, and answers that say that a write's condition did not hold. */
export interface Requests {
  readonly sent: number
  readonly conflicts: number
}

let sent = 0
let conflicts = 0

/** The counts so far. */
export const counted = (): Requests => ({ sent, conflicts })

const answered = (status: unknown, method: unknown): void => {
  if (status === 409 || (status === 422 && method === "PATCH")) conflicts++
}

const field = (message: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((value, name) => (value as Readonly<Record<string, unknown>> | undefined)?.[name], message)

subscribe("undici:request:create", () => {
  sent++
})
subscribe("undici:request:headers", (message) =>
  answered(field(message, "response", "statusCode"), field(message, "request", "method"))
)
subscribe("http.client.request.start", () => {
  sent++
})
subscribe("http.client.response.finish", (message) =>
  answered(field(message, "response", "statusCode"), field(message, "request", "method"))
)
