/** The open watches: what they send, and how they end. */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { type ObjectTable, type TableEvent, watchLine } from "./objectTable.ts"
import { notAVersion, parseVersion } from "./objectVerbs.ts"
import { badRequest, failureStatus, internalError, type Reply } from "./reply.ts"
import type { Target } from "./requestPath.ts"
import type { Selector } from "./selectors.ts"

/** A request to watch. */
export interface Call {
  readonly table: ObjectTable
  readonly target: Target
  readonly resource: string
  readonly kind: string | undefined
  readonly query: URLSearchParams
  readonly partial: boolean
  readonly selector: Selector
  /** Closes the connection. */
  readonly disconnect: () => void
}

interface OpenWatch {
  readonly end: () => void
  readonly disconnect: () => void
}

/** Half an hour, the shortest default of a real API server. */
const defaultTimeoutSeconds = 1800
const bookmarkEverySeconds = 60
const bookmarkBeforeEndSeconds = 2

/** The watches of a server. */
export class Watches {
  readonly #open = new Set<OpenWatch>()
  readonly #gate = Latch.makeUnsafe(true)
  #freezes = 0

  /** The number of open watches. */
  get size(): number {
    return this.#open.size
  }

  /** Ends all watches as a timeout does, or by closing their connections. Returns their number. */
  end(abruptly: boolean): number {
    const ended = [...this.#open]
    for (const watch of ended) {
      if (abruptly) watch.disconnect()
      else watch.end()
    }
    return ended.length
  }

  /** Holds back everything that watches send, until `thaw`. */
  freeze(): void {
    this.#freezes++
    this.#gate.closeUnsafe()
  }

  thaw(): void {
    if (--this.#freezes === 0) this.#gate.openUnsafe()
  }

  /** The body of a watch, or the error response. The watch begins when the stream is run. */
  stream(call: Call): Result.Result<Stream.Stream<Uint8Array>, Reply> {
    const requested = call.query.get("resourceVersion") || "0"
    const version = parseVersion(requested)
    if (version === undefined) return Result.fail(internalError(`resourceVersion: ${notAVersion(requested)}`))
    const timeout = call.query.get("timeoutSeconds") || String(defaultTimeoutSeconds)
    if (!/^[0-9]+$/.test(timeout)) {
      return Result.fail(badRequest(`strconv.ParseInt: parsing ${JSON.stringify(timeout)}: invalid syntax`))
    }
    const body = Stream.unwrap(
      Effect.suspend(() => this.#listen(call, version, Number(timeout) || defaultTimeoutSeconds))
    )
    return Result.succeed(body)
  }

  readonly #listen = Effect.fnUntraced(
    function* (this: Watches, call: Call, requested: number, timeout: number) {
      const { table, partial, selector, target } = call
      if (requested !== 0 && requested < table.compacted) return Stream.make(tooOld(requested, table.compacted))
      const queue = yield* Queue.unbounded<Uint8Array, Cause.Done>()
      const send = (line: Uint8Array) => Queue.offerUnsafe(queue, line)
      const withBookmarks = isTrue(call.query.get("allowWatchBookmarks"))
      const withInitialEvents = requested === 0 || isTrue(call.query.get("sendInitialEvents"))
      let bookmarked = requested
      const bookmark = (annotations?: Readonly<Record<string, string>>) => {
        bookmarked = table.version
        send(bookmarkLine(call, { resourceVersion: String(table.version), annotations }))
      }
      const since = withInitialEvents ? table.version : requested
      if (withInitialEvents) {
        for (const version of table.list(call.resource, target.namespace)) {
          if (selector.matches(version.object)) send(watchLine("ADDED", version.json(partial)))
        }
        if (withBookmarks) bookmark({ "k8s.io/initial-events-end": "true" })
      }
      const notify = (event: TableEvent) => {
        if (event.version <= since) return
        const line = lineFor(event, selector, partial)
        if (line !== undefined) send(line)
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const stop = table.watch(call.resource, { namespace: target.namespace, name: selector.name, notify }, since)
          const watch = { end: () => Queue.endUnsafe(queue), disconnect: call.disconnect }
          this.#open.add(watch)
          return { stop, watch }
        }),
        ({ stop, watch }) =>
          Effect.sync(() => {
            stop()
            this.#open.delete(watch)
          })
      )
      yield* Effect.forkScoped(
        Effect.gen(function* () {
          let remaining = timeout
          if (withBookmarks) {
            while (remaining > bookmarkEverySeconds + bookmarkBeforeEndSeconds) {
              yield* Effect.sleep(bookmarkEverySeconds * 1000)
              bookmark()
              remaining -= bookmarkEverySeconds
            }
            if (remaining > bookmarkBeforeEndSeconds) {
              yield* Effect.sleep((remaining - bookmarkBeforeEndSeconds) * 1000)
              if (table.version > bookmarked) bookmark()
              remaining = bookmarkBeforeEndSeconds
            }
          }
          yield* Effect.sleep(remaining * 1000)
          Queue.endUnsafe(queue)
        }),
        { startImmediately: true }
      )
      return Stream.fromQueue(queue).pipe(
        Stream.mapArrayEffect((lines) => Effect.as(this.#gate.await, lines)),
        Stream.concat(Stream.fromEffectDrain(this.#gate.await)),
        // Node sends the head of the response with the first write. An empty write makes it send the head at once.
        Stream.prepend([new Uint8Array(0)])
      )
    },
    Effect.map((stream): Stream.Stream<Uint8Array> => stream)
  )
}

/**
 * The line that a watch with this selector sends for an event. An object that begins to match is ADDED; one that no
 * longer matches is DELETED.
 */
const lineFor = (event: TableEvent, selector: Selector, partial: boolean): Buffer | undefined => {
  const { before, after } = event
  const matched = before !== undefined && selector.matches(before.object)
  if (after !== undefined && selector.matches(after.object)) return event.line(matched ? "MODIFIED" : "ADDED", partial)
  return matched ? event.line("DELETED", partial) : undefined
}

const tooOld = (requested: number, compacted: number) =>
  watchLine("ERROR", failureStatus(410, "Expired", `too old resource version: ${requested} (${compacted})`))

const bookmarkLine = (
  { kind, partial, target }: Call,
  metadata: { readonly resourceVersion: string; readonly annotations: Readonly<Record<string, string>> | undefined }
) => {
  const apiVersion = target.group === "" ? target.version : `${target.group}/${target.version}`
  return watchLine(
    "BOOKMARK",
    JSON.stringify(
      partial
        ? { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata }
        : { kind, apiVersion, metadata }
    )
  )
}

/** A boolean parameter, as the API server reads it. Every value except `false` and `0` is true. */
export const isTrue = (parameter: string | null): boolean =>
  parameter !== null && parameter !== "false" && parameter !== "0"
