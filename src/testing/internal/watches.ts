/** The open watches: what they send, and how they end. */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { apiVersionOf } from "./kinds/kind.ts"
import { type EventType, type TableEvent, type Version, watchLine } from "./objectTable.ts"
import { type Call as AnyCall, notAVersion, parseVersion } from "./call.ts"
import { badRequest, failureStatus, internalError, type Reply } from "./reply.ts"
import type { Selector } from "./selectors.ts"
import { tableOf } from "./tables.ts"

/** A request to watch. */
export interface Call extends AnyCall {
  readonly selector: Selector
  /** The time of the server at any moment, RFC 3339. */
  readonly timestamp: () => string
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
      const { table, selector, target } = call
      const lines = new Lines(call)
      if (requested !== 0 && requested < table.compacted) return Stream.make(tooOld(requested, table.compacted))
      const queue = yield* Queue.unbounded<Uint8Array, Cause.Done>()
      const send = (line: Uint8Array) => Queue.offerUnsafe(queue, line)
      const withBookmarks = isTrue(call.query.get("allowWatchBookmarks"))
      const withInitialEvents = requested === 0 || isTrue(call.query.get("sendInitialEvents"))
      let bookmarked = requested
      const bookmark = (annotations?: Readonly<Record<string, string>>) => {
        bookmarked = table.version
        send(lines.bookmark({ resourceVersion: String(table.version), annotations }))
      }
      const since = withInitialEvents ? table.version : requested
      if (withInitialEvents) {
        for (const version of table.list(call.resource, target.namespace)) {
          if (selector.matches(version.object)) send(lines.of("ADDED", version))
        }
        if (withBookmarks) bookmark({ "k8s.io/initial-events-end": "true" })
      }
      const notify = (event: TableEvent) => {
        if (event.version <= since) return
        const line = lines.about(event)
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

/** The lines of one watch, in the form that its client asked for. */
class Lines {
  readonly #call: Call
  #hasSentColumns = false
  constructor(call: Call) {
    this.#call = call
  }

  /**
   * The line for an event. An object that begins to match the selector is ADDED; one that no longer matches is DELETED.
   */
  about(event: TableEvent): Buffer | undefined {
    const { after, before } = event
    const { selector } = this.#call
    const matched = before !== undefined && selector.matches(before.object)
    const matches = after !== undefined && selector.matches(after.object)
    if (!matched && !matches) return undefined
    const type: EventType = matches ? (matched ? "MODIFIED" : "ADDED") : "DELETED"
    const { form } = this.#call
    return form === "Table"
      ? this.of(type, event.shown(type))
      : event.line(type, form === "Whole" ? "Whole" : "Partial")
  }

  /** The line about one version. */
  of(type: EventType, version: Version): Buffer {
    const { form } = this.#call
    if (form !== "Table") return watchLine(type, version.json(form === "Whole" ? "Whole" : "Partial"))
    const { resourceVersion } = version.object.metadata
    return watchLine(type, this.#table([version], { resourceVersion }))
  }

  bookmark(metadata: {
    readonly resourceVersion: string
    readonly annotations: Readonly<Record<string, string>> | undefined
  }): Buffer {
    const { form, kind } = this.#call
    if (form === "Table") return watchLine("BOOKMARK", this.#table([], metadata))
    const isWhole = form === "Whole"
    const named = isWhole
      ? { kind: kind.kind, apiVersion: apiVersionOf(kind) }
      : { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1" }
    return watchLine("BOOKMARK", JSON.stringify({ ...named, metadata }))
  }

  /** A table. Only the first one has columns. */
  #table(versions: ReadonlyArray<Version>, metadata: object): string {
    const table = tableOf({ ...this.#call, now: this.#call.timestamp() }, versions, metadata, {
      columns: !this.#hasSentColumns
    })
    this.#hasSentColumns = true
    return table
  }
}

const tooOld = (requested: number, compacted: number) =>
  watchLine("ERROR", failureStatus(410, "Expired", `too old resource version: ${requested} (${compacted})`))

/** A boolean parameter, as the API server reads it. Every value except `false` and `0` is true. */
export const isTrue = (parameter: string | null): boolean =>
  parameter !== null && parameter !== "false" && parameter !== "0"
