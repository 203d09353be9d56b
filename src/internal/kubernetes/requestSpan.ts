/**
 * The span of a request, by OpenTelemetry's semantic conventions for HTTP client spans (stable since 1.23): its name, its attributes,
 * and which responses are errors. Its exit is all that Effect lets a span say about its status.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import { inSpan, isTraced } from "../tracing.ts"
import type { ServerUrl } from "./serverUrl.ts"

/** The part of a request that its span tells. */
interface Request {
  readonly method: string
  readonly path: string
  readonly isResent?: boolean
}

interface Response {
  readonly status: number
}

interface Problem {
  readonly _tag: string
  readonly code?: string
}

/** Sends a request in a span of its own, if a tracer collects spans. */
export const around = <A extends Response, E extends Problem>(
  { origin, prefix }: ServerUrl,
  { isResent = false, method, path }: Request,
  send: (span: Tracer.Span | undefined) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.withFiber((fiber) => {
    if (!isTraced(fiber)) return send(undefined)
    const template = templateOf(path)
    const { hostname, port, protocol } = new URL(origin)
    return inSpan(
      template === undefined ? method : `${method} ${prefix}${template}`,
      {
        kind: "client",
        attributes: {
          "http.request.method": method,
          "server.address": hostname.replace(/^\[(.*)\]$/, "$1"),
          "server.port": port === "" ? defaultPorts[protocol] : Number(port),
          "url.full": `${origin}${prefix}${path}`,
          ...(template === undefined ? {} : { "url.template": `${prefix}${template}` }),
          ...(isResent ? { "http.request.resend_count": 1 } : {})
        }
      },
      send,
      conclude
    )
  })

const defaultPorts: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 }

/** The path with a name for each of its parameters, so that there are few; `undefined` if it is none of Kubernetes' resources. */
export const templateOf = (path: string): string | undefined => {
  const found = /^\/(api\/[^/?]+|apis\/[^/?]+\/[^/?]+)(\/namespaces\/[^/?]+)?\/([^/?]+)(\/[^/?]+)?(?:\?|$)/.exec(path)
  if (found === null) return undefined
  const [, group, namespace, resource, name] = found
  return `/${group}${namespace === undefined ? "" : "/namespaces/{namespace}"}/${resource}${name === undefined ? "" : "/{name}"}`
}

const conclude = (span: Tracer.Span, exit: Exit.Exit<Response, Problem>): Exit.Exit<unknown, unknown> => {
  if (Exit.isSuccess(exit)) {
    const { status } = exit.value
    span.attribute("http.response.status_code", status)
    if (status < 400) return exit
    span.attribute("error.type", String(status))
    // The convention wants no description of what the code says.
    return Exit.fail(new Error(""))
  }
  // An interruption is no error: the caller did not want the response any more.
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error !== undefined) span.attribute("error.type", error.code ?? error._tag)
  return exit
}
