/**
 * The requests of this thread to the Kubernetes API, counted where Node.js and undici announce them. So it does not matter
 * which library sends them. Those to other servers count if `toOtherServer` is told of them.
 */
import { channel, type Channel, subscribe } from "node:diagnostics_channel"

/** Requests by verb. `conflicts` are the writes among them that were refused because their condition did not hold. */
export interface Requests {
  readonly get: number
  readonly put: number
  readonly patch: number
  readonly watch: number
  readonly other: number
  readonly conflicts: number
}

const counts = { get: 0, put: 0, patch: 0, watch: 0, other: 0, conflicts: 0 }

/** No requests. */
export const none: Requests = { ...counts }

/** The counts so far. */
export const counted = (): Requests => ({ ...counts })

/** Counts a request to a server that is not the Kubernetes API. */
export const toOtherServer = (): void => {
  counts.other++
}

/** The counts after some other counts. */
export const since = (before: Requests, now = counted()): Requests => combine(now, before, (a, b) => a - b)

/** The counts of several threads together. */
export const sum = (all: ReadonlyArray<Requests>): Requests =>
  all.reduce((total, one) => combine(total, one, (a, b) => a + b), none)

/** How many requests were sent. */
export const total = ({ get, other, patch, put, watch }: Requests): number => get + put + patch + watch + other

const combine = (a: Requests, b: Requests, how: (a: number, b: number) => number): Requests => ({
  get: how(a.get, b.get),
  put: how(a.put, b.put),
  patch: how(a.patch, b.patch),
  watch: how(a.watch, b.watch),
  other: how(a.other, b.other),
  conflicts: how(a.conflicts, b.conflicts)
})

interface Message {
  readonly request: { readonly method: string; readonly path: string }
  readonly response: { readonly statusCode: number }
}

const verbs = new Map<string, "put" | "patch">([
  ["PUT", "put"],
  ["PATCH", "patch"]
])

const leftOut = new Set<string>()

/** Leaves requests for an object out of the counts, by its path. */
export const leaveOut = (path: string): void => {
  leftOut.add(path)
}

const isCounted = (path: string): boolean => path.startsWith("/api") && !leftOut.has(path)

const sent = ({ request: { method, path } }: Message): void => {
  if (!isCounted(path)) return
  if (method === "GET") counts[/[?&]watch=/.test(path) ? "watch" : "get"]++
  else counts[verbs.get(method) ?? "other"]++
}

const answered = ({ request: { method, path }, response: { statusCode } }: Message): void => {
  if (isCounted(path) && (statusCode === 409 || (statusCode === 422 && method === "PATCH"))) counts.conflicts++
}

// The channels are kept: Bun forgets one that nothing refers to, with its subscribers (findings/bun-diagnostics-channel.sh).
const channels: Array<Channel> = []
const listen = (name: string, heard: (message: Message) => void): void => {
  subscribe(name, (message) => heard(message as Message))
  channels.push(channel(name))
}

listen("undici:request:create", sent)
listen("undici:request:headers", answered)
listen("http.client.request.start", sent)
listen("http.client.response.finish", answered)
