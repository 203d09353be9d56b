/**
 * All objects, each under its path; one counter of versions; a bounded history of what happened; and whoever watches.
 *
 * Everything here is synchronous: one call is one transaction.
 */
import type { KubeObject } from "./kubeObject.ts"
import type { Target } from "./requestPath.ts"

/** The resource that a path is about; any object of it has this key in common. */
export const resourceKey = (target: Pick<Target, "group" | "version" | "plural">): string =>
  `${target.group}/${target.version}/${target.plural}`

const objectKey = (namespace: string, name: string) => `${namespace}/${name}`

/** One version of one object, with the JSON that is made of it at most once. */
export class Version {
  readonly object: KubeObject
  #full: string | undefined
  #partial: string | undefined
  constructor(object: KubeObject) {
    this.object = object
  }
  json(partial: boolean): string {
    if (!partial) return (this.#full ??= JSON.stringify(this.object))
    return (this.#partial ??= `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":${JSON.stringify(
      this.object.metadata
    )}}`)
  }
}

/** What a watch is told. */
export type EventType = "ADDED" | "MODIFIED" | "DELETED"

/** A write that changed something; `after` is absent where the object is gone. */
export class TableEvent {
  readonly version: number
  readonly before: Version | undefined
  readonly after: Version | undefined
  #lines = new Map<string, Buffer>()
  #gone: Version | undefined
  constructor(version: number, before: Version | undefined, after: Version | undefined) {
    this.version = version
    this.before = before
    this.after = after
  }
  /** The line that a watch gets, encoded once for all watches of a kind. */
  line(type: EventType, partial: boolean): Buffer {
    const key = `${type} ${partial}`
    const known = this.#lines.get(key)
    if (known !== undefined) return known
    const line = watchLine(type, (type === "DELETED" ? this.#removed() : this.after!).json(partial))
    this.#lines.set(key, line)
    return line
  }
  /** The old content under the new version: how a watch hears of an object that it sees no longer. */
  #removed(): Version {
    const old = this.before!.object
    return (this.#gone ??= new Version({
      ...old,
      metadata: { ...old.metadata, resourceVersion: String(this.version) }
    }))
  }
}

/** One line of a watch. */
export const watchLine = (type: string, object: string): Buffer =>
  Buffer.from(`{"type":"${type}","object":${object}}\n`)

/**
 * Somebody who watches a resource; `namespace` `""` and no `name` mean all of them. With a `name`, events of other
 * objects are mostly kept away, which makes many watches cheap; the watcher looks at each event all the same.
 */
export interface Watcher {
  readonly namespace: string
  readonly name: string | undefined
  readonly notify: (event: TableEvent) => void
}

interface HistoryEntry {
  readonly resource: string
  readonly namespace: string
  readonly event: TableEvent
}

/** The table. `historyLimit` is the number of events kept for watches that begin in the past. */
export class ObjectTable {
  /** The last version given out. */
  version = 1
  /** The newest version whose events are forgotten: a watch from an older one is too old. */
  compacted = 1
  readonly #resources = new Map<string, Map<string, Version>>()
  readonly #watchers = new Map<string, Set<Watcher>>()
  #history: Array<HistoryEntry> = []
  readonly #historyLimit: number
  constructor(historyLimit: number) {
    this.#historyLimit = historyLimit
  }

  get(resource: string, namespace: string, name: string): Version | undefined {
    return this.#resources.get(resource)?.get(objectKey(namespace, name))
  }

  /** All objects of a resource in the order of their keys; in one namespace unless that is `""`. */
  list(resource: string, namespace: string): ReadonlyArray<Version> {
    const objects = this.#resources.get(resource)
    if (objects === undefined) return []
    return [...objects]
      .filter(([key]) => namespace === "" || key.startsWith(`${namespace}/`))
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, version]) => version)
  }

  /** The object as it would be if it were stored now: under the next version. */
  next(object: KubeObject): Version {
    return new Version({ ...object, metadata: { ...object.metadata, resourceVersion: String(this.version + 1) } })
  }

  /** Stores what `next` has just made, and tells the watches. */
  put(resource: string, next: Version): void {
    const { name, namespace = "" } = next.object.metadata
    this.#commit(resource, namespace, name, next)
  }

  remove(resource: string, namespace: string, name: string): void {
    if (this.get(resource, namespace, name) !== undefined) this.#commit(resource, namespace, name, undefined)
  }

  #commit(resource: string, namespace: string, name: string, after: Version | undefined): void {
    let objects = this.#resources.get(resource)
    if (objects === undefined) this.#resources.set(resource, (objects = new Map()))
    const key = objectKey(namespace, name)
    const event = new TableEvent(++this.version, objects.get(key), after)
    if (after === undefined) objects.delete(key)
    else objects.set(key, after)
    this.#history.push({ resource, namespace, event })
    // dropped in halves, so that a write does not move the whole history
    if (this.#history.length > 2 * this.#historyLimit) this.#forget(this.#history.length - this.#historyLimit)
    for (const place of watchedPlaces(resource, namespace, name)) {
      for (const watcher of this.#watchers.get(place) ?? []) watcher.notify(event)
    }
  }

  /** Forgets the history, and moves the version on, so that every version seen so far is too old to watch from. */
  compact(): void {
    this.#history = []
    this.compacted = ++this.version
  }

  #forget(count: number): void {
    this.compacted = this.#history[count - 1]!.event.version
    this.#history.splice(0, count)
  }

  /** Tells a watcher what it missed since a version, and from then on what happens; the answer ends that. */
  watch(resource: string, watcher: Watcher, since: number): () => void {
    for (let i = this.#firstAfter(since); i < this.#history.length; i++) {
      const entry = this.#history[i]!
      if (entry.resource === resource && (watcher.namespace === "" || watcher.namespace === entry.namespace)) {
        watcher.notify(entry.event)
      }
    }
    const place = `${resource} ${watcher.namespace} ${watcher.name ?? ""}`
    let there = this.#watchers.get(place)
    if (there === undefined) this.#watchers.set(place, (there = new Set()))
    there.add(watcher)
    return () => {
      there.delete(watcher)
      if (there.size === 0 && this.#watchers.get(place) === there) this.#watchers.delete(place)
    }
  }

  #firstAfter(since: number): number {
    let low = 0
    let high = this.#history.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#history[middle]!.event.version > since) high = middle
      else low = middle + 1
    }
    return low
  }
}

const watchedPlaces = (resource: string, namespace: string, name: string): Set<string> =>
  new Set([`${resource} ${namespace} ${name}`, `${resource} ${namespace} `, `${resource}  ${name}`, `${resource}  `])
