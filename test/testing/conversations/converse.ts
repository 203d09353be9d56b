/** Sends the requests of a conversation and writes down the answers, without what no two servers have in common. */
import * as Effect from "effect/Effect"
import type { Step } from "./step.ts"

/** An answer: the body as JSON, or as text. */
export interface Answer {
  readonly title: string
  readonly status: number
  readonly body: unknown
}

/** Sends a request to a server. `body` is text. */
export type Send = (request: {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}) => Effect.Effect<{ readonly status: number; readonly body: unknown }, Error>

/** Sends each request in its turn. */
export const converse = Effect.fnUntraced(function* (steps: ReadonlyArray<Step>, send: Send) {
  const notes = new Notes()
  const answers: Array<Answer> = []
  for (const { title, method, path, headers, body, until } of steps) {
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body)
    const ask = send({
      method,
      path: notes.fill(path),
      headers: {
        accept: "application/json",
        "user-agent": "talker/1",
        ...(text === undefined ? {} : { "content-type": "application/json" }),
        ...headers
      },
      body: text === undefined ? undefined : notes.fill(text)
    })
    const received = yield* until === undefined
      ? ask
      : Effect.repeat(ask, { until: ({ status }) => status === until, times: 1000 })
    notes.read(received.body)
    answers.push({ title, status: received.status, body: notes.neutral(received.body) })
  }
  return answers
})

type Json = Record<string, unknown>

/** The versions, uids and times of one server, and the names they get in the order of their first appearance. */
class Notes {
  readonly #versions = new Map<string, string>()
  readonly #uids = new Map<string, string>()
  readonly #names = new Map<string, Json>()
  #continue = ""

  fill(text: string): string {
    return text
      .replaceAll(/@(rv|uid)\(([^)]*)\)/g, (_, what, name) =>
        String(this.#names.get(name)?.[what === "rv" ? "resourceVersion" : "uid"])
      )
      .replaceAll("@continue", encodeURIComponent(this.#continue))
  }

  read(body: unknown): void {
    if (!isObject(body) || !isObject(body["metadata"])) return
    const { metadata } = body
    if (typeof metadata["name"] === "string") this.#names.set(metadata["name"], metadata)
    if (typeof metadata["continue"] === "string" && metadata["continue"] !== "") this.#continue = metadata["continue"]
  }

  neutral(value: unknown, key = ""): unknown {
    if (Array.isArray(value)) return value.map((one) => this.neutral(one))
    if (isObject(value)) {
      const entries = Object.entries(value).filter(([field]) => field !== "selfLink")
      return Object.fromEntries(entries.map(([field, one]) => [field, this.neutral(one, field)]))
    }
    if (typeof value !== "string") return value
    if (key === "continue" && value !== "") return "CONTINUE"
    if (key === "resourceVersion") return named(this.#versions, value, "version")
    if (key === "uid" && /^[0-9a-f]{8}-/.test(value)) return named(this.#uids, value, "uid")
    if (/(^t|T)ime(stamp)?$/.test(key) && !value.startsWith("2026-01-01")) return "TIME"
    return value.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, (uid) => named(this.#uids, uid, "uid"))
  }
}

const named = (names: Map<string, string>, value: string, what: string): string => {
  if (value === "" || value === "0") return value
  if (!names.has(value)) names.set(value, `${what} ${names.size + 1}`)
  return names.get(value)!
}

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)
