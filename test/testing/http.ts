/** A plain HTTP client. It sends paths and bodies exactly as given, also invalid ones, and reads watches line by line. */
import * as Effect from "effect/Effect"
import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request as nodeRequest } from "node:http"

export interface Sent {
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** JSON from the server, with the fields that tests look at. */
export interface Body {
  readonly kind: string
  readonly apiVersion: string
  readonly message: string
  readonly reason: string
  readonly code: number
  readonly details: unknown
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly resourceVersion: string
    readonly generation?: number
    readonly creationTimestamp: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly items: ReadonlyArray<Body>
  readonly resources: ReadonlyArray<{ readonly verbs: ReadonlyArray<string>; readonly [field: string]: unknown }>
  readonly [field: string]: unknown
}

/** One line of a watch. */
export interface WatchEvent {
  readonly type: string
  readonly object: Body
}

export interface Received {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The body as JSON; `undefined` if it is not JSON. */
  readonly json: Body
}

const open = (url: string, sent: Sent, onAnswer: (message: IncomingMessage) => void, onError: (e: Error) => void) => {
  const base = new URL(url)
  const length = sent.body === undefined ? {} : { "content-length": String(Buffer.byteLength(sent.body)) }
  const request = nodeRequest({
    host: base.hostname,
    port: base.port,
    method: sent.method ?? "GET",
    path: sent.path,
    headers: { ...length, ...sent.headers }
  })
  request.on("response", onAnswer)
  request.on("error", onError)
  request.end(sent.body)
  return request
}

/** Sends a request and reads the answer. Fails if the connection breaks. */
export const send = (url: string, sent: Sent): Effect.Effect<Received, Error> =>
  Effect.callback((resume) => {
    const fail = (error: Error) => resume(Effect.fail(error))
    const request = open(
      url,
      sent,
      (message) => {
        let text = ""
        message.setEncoding("utf8")
        message.on("data", (chunk) => (text += chunk))
        message.on("error", fail)
        message.on("end", () => {
          resume(
            Effect.succeed({ status: message.statusCode ?? 0, headers: message.headers, text, json: jsonOf(text) })
          )
        })
      },
      fail
    )
    return Effect.sync(() => request.destroy())
  })

const jsonOf = (text: string): Body => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined as unknown as Body
  }
}

/** An open watch. */
export interface Watch {
  readonly status: number
  /** The events so far. */
  readonly events: ReadonlyArray<WatchEvent>
  /** Waits until there are so many events in all. */
  readonly until: (count: number) => Effect.Effect<ReadonlyArray<WatchEvent>>
  /** Whether the body has ended. */
  readonly isOver: () => boolean
  /** Waits for the end of the body: `broken` if the connection was cut. */
  readonly ended: Effect.Effect<"clean" | "broken">
}

/** Opens a watch until the scope closes. Succeeds when the head of the answer has arrived. */
export const watch = (url: string, sent: Sent) =>
  Effect.acquireRelease(
    Effect.callback<readonly [ClientRequest, Watch], Error>((resume) => {
      const request = open(
        url,
        sent,
        (message) => resume(Effect.succeed([request, reader(message)] as const)),
        (error) => resume(Effect.fail(error))
      )
    }),
    ([request]) => Effect.sync(() => request.destroy())
  ).pipe(Effect.map(([, watch]) => watch))

const reader = (message: IncomingMessage): Watch => {
  const events: Array<WatchEvent> = []
  let rest = ""
  let end: "clean" | "broken" | undefined
  const waiting = new Set<() => void>()
  const wake = () => waiting.forEach((check) => check())
  message.setEncoding("utf8")
  message.on("data", (chunk) => {
    const lines = (rest + chunk).split("\n")
    rest = lines.pop()!
    for (const line of lines) events.push(JSON.parse(line))
    wake()
  })
  const finish = (how: "clean" | "broken") => {
    end ??= how
    wake()
  }
  message.on("end", () => finish("clean"))
  message.on("error", () => finish("broken"))
  const when = <A>(ready: () => A | undefined) =>
    Effect.callback<A>((resume) => {
      const check = () => {
        const value = ready()
        if (value === undefined) return
        waiting.delete(check)
        resume(Effect.succeed(value))
      }
      waiting.add(check)
      check()
    })
  return {
    status: message.statusCode ?? 0,
    events,
    until: (count) => when(() => (events.length >= count ? events : undefined)),
    isOver: () => end !== undefined,
    ended: when(() => end)
  }
}
