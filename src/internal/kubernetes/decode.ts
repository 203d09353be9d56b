/**
 * Decodes what the API server sends: objects and watch events. Pure.
 *
 * The code checks types by hand. An acquisition waits for two or three of these objects, and a Schema takes five times
 * as long.
 */
import * as Predicate from "effect/Predicate"
import type { Content, ObjectSnapshot } from "../../ObjectStore.ts"

/**
 * An object. `isTracked`: the server tracks who owns which field, and nobody applies the object, so that the next write can reset
 * that.
 */
export interface Decoded {
  readonly snapshot: ObjectSnapshot
  readonly isTracked: boolean
}

/** A watch event. `Ended` carries the status code with which the server ended the watch. */
export type Event =
  | ({ readonly _tag: "Changed" | "Deleted" } & Decoded)
  | { readonly _tag: "Bookmark"; readonly resourceVersion: string }
  | { readonly _tag: "Ended"; readonly code: number }

/**
 * Decodes an object: its metadata, and its content if it is wanted. A server may send a whole object to a client that
 * wants its metadata only. Returns `undefined` if the text is not an object.
 */
export const objectFromJson = (text: string, includesContent: boolean): Decoded | undefined => {
  const object = parse(text)
  return Predicate.isObject(object) ? decoded(object, includesContent) : undefined
}

/** One of the objects of a list or a watch, and where it is. */
export interface Placed extends Pick<Decoded, "snapshot"> {
  readonly name: string
  readonly namespace: string
}

/** A page of a list. Another page follows if there is a token to go on with. What is no object is left out. */
export interface Page {
  readonly items: ReadonlyArray<Placed>
  readonly resourceVersion: string
  readonly goOn: string | undefined
}

/** Decodes a page of a list. Returns `undefined` if the text is not a list. */
export const pageFromJson = (text: string, includesContent: boolean): Page | undefined => {
  const list = parse(text)
  if (!Predicate.isObject(list) || !Predicate.isObject(list["metadata"])) return undefined
  const { continue: goOn, resourceVersion } = list["metadata"]
  // API servers write an empty list of metadata as null.
  const items = list["items"] === null ? [] : list["items"]
  return Array.isArray(items) && Predicate.isString(resourceVersion)
    ? {
        items: items.flatMap((item) => placed(item, includesContent) ?? []),
        resourceVersion,
        goOn: Predicate.isString(goOn) && goOn !== "" ? goOn : undefined
      }
    : undefined
}

/** Decodes the object in a line of a watch, and whether it is gone. Returns `undefined` if the line is not about an object. */
export const changeFromJson = (
  line: string,
  includesContent: boolean
): (Placed & { readonly isGone: boolean }) | undefined => {
  const event = parse(line)
  if (
    !Predicate.isObject(event) ||
    (event["type"] !== "ADDED" && event["type"] !== "MODIFIED" && event["type"] !== "DELETED")
  ) {
    return undefined
  }
  const object = placed(event["object"], includesContent)
  return object && { ...object, isGone: event["type"] === "DELETED" }
}

const placed = (object: unknown, includesContent: boolean): Placed | undefined => {
  if (!Predicate.isObject(object) || !Predicate.isObject(object["metadata"])) return undefined
  const { name, namespace = "" } = object["metadata"]
  const found = decoded(object, includesContent)
  return found !== undefined && Predicate.isString(name) && Predicate.isString(namespace)
    ? { snapshot: found.snapshot, name, namespace }
    : undefined
}

/** Decodes one line of a watch. Returns `undefined` if the line is not a watch event. */
export const eventFromJson = (line: string, includesContent: boolean): Event | undefined => {
  const event = parse(line)
  if (!Predicate.isObject(event)) return undefined
  const { object, type } = event
  if (!Predicate.isObject(object)) return undefined
  const { code, metadata } = object
  switch (type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED": {
      const found = decoded(object, includesContent)
      return found === undefined ? undefined : { _tag: type === "DELETED" ? "Deleted" : "Changed", ...found }
    }
    case "BOOKMARK":
      return Predicate.isObject(metadata) && Predicate.isString(metadata["resourceVersion"])
        ? { _tag: "Bookmark", resourceVersion: metadata["resourceVersion"] }
        : undefined
    case "ERROR":
      return Predicate.isNumber(code) ? { _tag: "Ended", code } : undefined
    default:
      return undefined
  }
}

/**
 * Whether a line of a watch is certainly a deletion. It is told by how it begins: every API server encodes the type first. So nothing is
 * parsed.
 */
export const isDeletion = (line: string): boolean => line.startsWith('{"type":"DELETED"')

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const decoded = (object: Readonly<Record<PropertyKey, unknown>>, includesContent: boolean): Decoded | undefined => {
  const { metadata } = object
  if (!Predicate.isObject(metadata)) return undefined
  const { annotations = {}, labels = {}, managedFields, resourceVersion, uid } = metadata
  if (!Predicate.isString(uid) || !Predicate.isString(resourceVersion)) return undefined
  if (!isStrings(annotations) || !isStrings(labels)) return undefined
  const snapshot = { uid, resourceVersion, annotations, labels }
  const isTracked = hasUpdatersOnly(managedFields)
  if (!includesContent) return { snapshot, isTracked }
  const { apiVersion: _apiVersion, kind: _kind, metadata: _metadata, ...content } = object
  return { snapshot: { ...snapshot, content: content as Content }, isTracked }
}

const hasUpdatersOnly = (managedFields: unknown): boolean =>
  Array.isArray(managedFields) &&
  managedFields.length > 0 &&
  managedFields.every((manager) => Predicate.isObject(manager) && manager["operation"] === "Update")

const isStrings = (value: unknown): value is Readonly<Record<string, string>> =>
  Predicate.isObject(value) && Object.values(value).every(Predicate.isString)
