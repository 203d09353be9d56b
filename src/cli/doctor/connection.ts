/** The way to the API server: which kubeconfig, what answers there, in which protocol, and what time it is there. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { isIP } from "node:net"
import { connect } from "node:tls"
import * as ClockReading from "../../internal/time/clockReading.ts"
import type { ApiClient } from "../../internal/kubernetes/apiClient.ts"
import * as encode from "../../internal/kubernetes/encode.ts"
import * as responseError from "../../internal/kubernetes/responseError.ts"
import { advice, failed, type Finding, ok, skipped } from "./finding.ts"

const Version = Schema.fromJsonString(Schema.Struct({ gitVersion: Schema.String }))

const decodeVersion = Schema.decodeUnknownOption(Version)

const get = (api: ApiClient, path: string) => {
  const info: responseError.RequestInfo = { id: "", verb: "get", object: path, namespaced: false }
  return Effect.flatMap(api.request(encode.get(path), info), (response) =>
    response.status === 200 ? Effect.succeed(response.body) : Effect.fail(responseError.toError(response, info))
  )
}

/** Finds out what answers. */
export const server = (api: ApiClient, url: string, namespace: string, source: string) =>
  Effect.flatMap(get(api, "/version"), (body) =>
    Option.match(decodeVersion(body), {
      onNone: () => Effect.fail({ message: "what answers does not tell its version: it is no API server." }),
      onSome: ({ gitVersion }) =>
        Effect.succeed(ok("cluster", `Kubernetes ${gitVersion} at ${url}, namespace ${namespace}, by ${source}`))
    })
  )

/** Finds out whether Leases are served, which elections need. */
export const leases = (api: ApiClient): Effect.Effect<Finding> =>
  Effect.match(get(api, "/apis/coordination.k8s.io/v1"), {
    onSuccess: () => ok("leases", "coordination.k8s.io/v1 is served"),
    onFailure: ({ message }) => advice("leases", message, "Without them there are no elections.")
  })

/** Finds out by how much the clocks differ. Locks do not mind, but people who read logs do. */
export const clock = (api: ApiClient): Effect.Effect<Finding> =>
  Effect.map(Effect.all([api.now, ClockReading.now]), ([{ earliest, latest }, { wall }]) => {
    if (latest === Number.POSITIVE_INFINITY) {
      return failed(
        "clock",
        "the responses have no Date header",
        "Let the proxy in front of the API server pass it on."
      )
    }
    const skew = Math.max(earliest - wall, wall - latest, 0)
    const text = Duration.format(Duration.millis(Math.round(skew)))
    return skew > tolerable
      ? advice(
          "clock",
          `this machine differs from the API server by at least ${text}`,
          "Locks do not mind. Synchronize it all the same (NTP)."
        )
      : ok("clock", "this machine agrees with the API server, as far as its Date header tells")
  })

/** By how much clocks may differ, in milliseconds. The header has whole seconds. Our choice. */
const tolerable = 1000

/** Finds out whether watches can share connections, by what TLS offers. */
export const http2 = (url: string): Effect.Effect<Finding> => {
  const { hostname, port, protocol } = new URL(url)
  if (protocol !== "https:") return Effect.succeed(skipped("http/2", "the connection is not encrypted"))
  return Effect.map(
    Effect.timeoutOption(offered(hostname.replaceAll(/[[\]]/g, ""), Number(port || 443)), "5 seconds"),
    Option.match({
      onNone: () => skipped("http/2", "no direct connection to the server"),
      onSome: (name) =>
        name === "h2"
          ? ok("http/2", "offered, so watches share connections")
          : advice(
              "http/2",
              "not offered, so each watch takes a connection",
              "Nothing, unless a process waits for very many locks."
            )
    })
  )
}

// Nothing is sent. The certificate does not matter: the requests verify it.
const offered = (host: string, port: number): Effect.Effect<string | false | null> =>
  Effect.callback((resume) => {
    const socket = connect({
      host,
      port,
      servername: isIP(host) === 0 ? host : "",
      ALPNProtocols: ["h2", "http/1.1"],
      rejectUnauthorized: false
    })
    const end = (protocol: string | false | null) => {
      socket.destroy()
      resume(Effect.succeed(protocol))
    }
    socket.once("secureConnect", () => end(socket.alpnProtocol))
    socket.once("error", () => end(null))
    return Effect.sync(() => void socket.destroy())
  })
