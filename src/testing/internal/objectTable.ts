/**
 * The objects, one version counter for all of them, a bounded history of events, and the watchers.
 *
 * Everything here is synchronous, so each call is a transaction.
 */
import type { KubeObject } from "./kubeObject.ts"
import type { Target } from "./requestPath.ts"

/** The key of a resource. All of its objects share it. */
export const resourceKey = (target: Pick<Target, "group" | "version" | "plural">): string =>
  `${target.group}/${target.version}/${target.plural}`

const objectKey = (namespace: string, name: string) => `${namespace}/${name}`

/** The whole object, the whole object without its kind (as lists of built-in kinds have it), or only its metadata. */
export type Form = "Whole" | "Item" | "Partial"

/** One version of one object. Each form of its JSON is made at most once. */
export class Version {
  readonly object: KubeObject
  #whole: string | undefined
  #item: string | undefined
  #partial: string | undefined
  constructor(object: KubeObject) {
    this.object = object
  }
  json(form: Form): string {
    switch (form) {
      case "Whole":
        return (this.#whole ??= JSON.stringify(this.object))
      case "Item": {
        const { apiVersion: _, kind: __, ...rest } = this.object
        return (this.#item ??= JSON.stringify(rest))
      }
      case "Partial":
        return (this.#partial ??= `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":${JSON.stringify(
          this.object.metadata
        )}}`)
    }
  }
}

/** The type of a watch event. */
export type EventType = "ADDED" | "MODIFIED" | "DELETED"

/** A write. `before` is absent if it created the object, `after` if it deleted it. */
export class TableEvent {
  readonly version: number
  readonly before: Version | undefined
  readonly after: Version | undefined
  #lines = new Map<string, Buffer>()
  #last: Version | undefined
  constructor(version: number, before: Version | undefined, after: Version | undefined) {
    this.version = version
    this.before = before
    this.after = after
  }
  /** The line of a watch, encoded once for all watches with the same form. */
  line(type: EventType, form: Form): Buffer {
    const key = `${type} ${form}`
    const cached = this.#lines.get(key)
    if (cached !== undefined) return cached
    const line = watchLine(type, this.shown(type).json(form))
    this.#lines.set(key, line)
    return line
  }
  /** What the event shows. A DELETED event has the old content with the new version. */
  shown(type: EventType): Version {
    if (type !== "DELETED") return this.after!
    const old = this.before!.object
    return (this.#last ??= new Version({
      ...old,
      metadata: { ...old.metadata, resourceVersion: String(this.version) }
    }))
  }
}

/** A line of a watch. */
export const watchLine = (type: string, object: string): Buffer =>
  Buffer.from(`{"type":"${type}","object":${object}}\n`)

/**
 * A watcher of a resource. `namespace` `""` means all namespaces, and no `name` means all objects.
 *
 * With a `name`, the table leaves out most events of other objects, which keeps many watches cheap. The watcher must
 * still check each event.
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

/** The table. `historyLimit` is the least number of events that are kept for watches from a past version. */
export class ObjectTable {
  /** The last version that was assigned. */
  version = 1
  /** The newest version whose event was dropped. A watch from an older version gets 410. */
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

  /** The objects of a resource, ordered by key. `namespace` `""` means all namespaces. */
  list(resource: string, namespace: string): ReadonlyArray<Version> {
    return sorted(this.#resources.get(resource) ?? new Map(), namespace)
  }

  /** The objects at a past version, or `undefined` if the history does not reach back so far. */
  listAt(resource: string, namespace: string, version: number): ReadonlyArray<Version> | undefined {
    if (version >= this.version) return this.list(resource, namespace)
    if (version < this.compacted) return undefined
    const objects = new Map(this.#resources.get(resource))
    for (const entry of this.#history.slice(this.#firstAfter(version)).toReversed()) {
      if (entry.resource !== resource) continue
      const { event } = entry
      const { metadata } = (event.after ?? event.before!).object
      const key = objectKey(metadata.namespace ?? "", metadata.name)
      if (event.before === undefined) objects.delete(key)
      else objects.set(key, event.before)
    }
    return sorted(objects, namespace)
  }

  /** The object with the next version. It is not stored yet. */
  next(object: KubeObject): Version {
    return new Version({ ...object, metadata: { ...object.metadata, resourceVersion: String(this.version + 1) } })
  }

  /** Stores the result of `next`, and notifies the watchers. */
  put(resource: string, next: Version): void {
    const { name, namespace = "" } = next.object.metadata
    this.#commit(resource, namespace, name, next)
  }

  remove(resource: string, namespace: string, name: string): void {
    if (this.get(resource, namespace, name) !== undefined) this.#commit(resource, namespace, name, undefined)
  }

  /** The keys of all resources that have or had objects. */
  get resources(): ReadonlyArray<string> {
    return [...this.#resources.keys()]
  }

  /** Removes all objects of a resource. `namespace` `""` means all namespaces. */
  removeAll(resource: string, namespace: string): void {
    for (const { object } of this.list(resource, namespace)) {
      this.remove(resource, object.metadata.namespace ?? "", object.metadata.name)
    }
  }

  #commit(resource: string, namespace: string, name: string, after: Version | undefined): void {
    let objects = this.#resources.get(resource)
    if (objects === undefined) this.#resources.set(resource, (objects = new Map()))
    const key = objectKey(namespace, name)
    const event = new TableEvent(++this.version, objects.get(key), after)
    if (after === undefined) objects.delete(key)
    else objects.set(key, after)
    this.#history.push({ resource, namespace, event })
    // Half of the history is dropped at once, so that not every write moves the rest.
    if (this.#history.length > 2 * this.#historyLimit) this.#dropOldest(this.#history.length - this.#historyLimit)
    for (const watcherKey of watcherKeys(resource, namespace, name)) {
      for (const watcher of this.#watchers.get(watcherKey) ?? []) watcher.notify(event)
    }
  }

  /** Drops the history and increments the version, so that a watch from any earlier version gets 410. */
  compact(): void {
    this.#history = []
    this.compacted = ++this.version
  }

  #dropOldest(count: number): void {
    this.compacted = this.#history[count - 1]!.event.version
    this.#history.splice(0, count)
  }

  /** Notifies a watcher of the events after a version, and of all later ones. Returns a function that ends that. */
  watch(resource: string, watcher: Watcher, since: number): () => void {
    for (let i = this.#firstAfter(since); i < this.#history.length; i++) {
      const entry = this.#history[i]!
      if (entry.resource === resource && (watcher.namespace === "" || watcher.namespace === entry.namespace)) {
        watcher.notify(entry.event)
      }
    }
    const key = `${resource} ${watcher.namespace} ${watcher.name ?? ""}`
    let watchers = this.#watchers.get(key)
    if (watchers === undefined) this.#watchers.set(key, (watchers = new Set()))
    watchers.add(watcher)
    return () => {
      watchers.delete(watcher)
      if (watchers.size === 0 && this.#watchers.get(key) === watchers) this.#watchers.delete(key)
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

const sorted = (objects: ReadonlyMap<string, Version>, namespace: string): ReadonlyArray<Version> =>
  [...objects]
    .filter(([key]) => namespace === "" || key.startsWith(`${namespace}/`))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, version]) => version)

const watcherKeys = (resource: string, namespace: string, name: string): Set<string> =>
  new Set([`${resource} ${namespace} ${name}`, `${resource} ${namespace} `, `${resource}  ${name}`, `${resource}  `])
