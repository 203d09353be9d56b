/**
 * Objects and events of the API server out of JSON: pure.
 *
 * Read by hand, since each acquisition of a lock waits for two or three of them: a Schema takes five times as long.
 */
import * as Predicate from "effect/Predicate"
import type { Content, ObjectSnapshot } from "../../ObjectStore.ts"

/** An event of a watch. `ended` is the code of the status with which the server ended it. */
export type Event =
  | { readonly _tag: "Changed" | "Deleted"; readonly snapshot: ObjectSnapshot }
  | { readonly _tag: "Bookmark"; readonly resourceVersion: string }
  | { readonly _tag: "Ended"; readonly code: number }

/** Reads an object: its metadata, and the rest of it unless only the metadata was asked for. Nothing where it is none. */
export const fromJson = (text: string): ObjectSnapshot | undefined => {
  const object = parse(text)
  if (!Predicate.isObject(object)) return undefined
  const { apiVersion: _apiVersion, kind, metadata: found, ...content } = object
  const metadata = metadataOf(found)
  return metadata === undefined || kind === "PartialObjectMetadata"
    ? metadata
    : { ...metadata, content: content as Content }
}

/** Reads an event of a watch. Nothing where it is none. */
export const eventFromJson = (line: string): Event | undefined => {
  const event = parse(line)
  if (!Predicate.isObject(event)) return undefined
  const { object, type } = event
  if (!Predicate.isObject(object)) return undefined
  const { code, metadata: found } = object
  switch (type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED": {
      const snapshot = metadataOf(found)
      return snapshot === undefined ? undefined : { _tag: type === "DELETED" ? "Deleted" : "Changed", snapshot }
    }
    case "BOOKMARK":
      return Predicate.isObject(found) && Predicate.isString(found["resourceVersion"])
        ? { _tag: "Bookmark", resourceVersion: found["resourceVersion"] }
        : undefined
    case "ERROR":
      return Predicate.isNumber(code) ? { _tag: "Ended", code } : undefined
    default:
      return undefined
  }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const metadataOf = (found: unknown): ObjectSnapshot | undefined => {
  if (!Predicate.isObject(found)) return undefined
  const { annotations = {}, labels = {}, resourceVersion, uid } = found
  return Predicate.isString(uid) && Predicate.isString(resourceVersion) && isStrings(annotations) && isStrings(labels)
    ? { uid, resourceVersion, annotations, labels }
    : undefined
}

const isStrings = (found: unknown): found is Readonly<Record<string, string>> =>
  Predicate.isObject(found) && Object.values(found).every(Predicate.isString)
