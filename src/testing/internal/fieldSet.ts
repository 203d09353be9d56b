/**
 * Sets of fields, as `managedFields` have them: which fields an object has, and in which two objects differ.
 *
 * Maps are compared key by key. Lists are compared element by element if their schema gives them keys or says that they
 * are sets, otherwise as a whole.
 */
import { isDeepStrictEqual } from "node:util"
import { isRecord } from "./json.ts"
import { serverFields } from "./kubeObject.ts"
import { fieldOf, type Schema } from "./schema.ts"

/** The elements of a path as FieldsV1 writes them: `f:data`, `k:{"uid":"x"}`, `v:"x"`. */
export type Path = ReadonlyArray<string>

/** A set of paths, by their text. */
export type FieldSet = ReadonlyMap<string, Path>

const separator = "\0"
const keyOf = (path: Path) => path.join(separator)

/** A set of paths. */
export const fromPaths = (paths: Iterable<Path>): FieldSet => new Map([...paths].map((path) => [keyOf(path), path]))

export const union = (...sets: ReadonlyArray<FieldSet>): FieldSet => {
  const all = new Map<string, Path>()
  for (const set of sets) for (const [key, path] of set) all.set(key, path)
  return all
}

export const difference = (set: FieldSet, other: FieldSet): FieldSet =>
  new Map([...set].filter(([key]) => !other.has(key)))

export const intersection = (set: FieldSet, other: FieldSet): FieldSet =>
  new Map([...set].filter(([key]) => other.has(key)))

export const equals = (set: FieldSet, other: FieldSet): boolean =>
  set.size === other.size && [...set.keys()].every((key) => other.has(key))

/** Whether a set has a path, or one below it. */
export const hasWithin = (set: FieldSet, path: Path): boolean => {
  const key = keyOf(path)
  return set.has(key) || [...set.keys()].some((other) => other.startsWith(`${key}${separator}`))
}

interface Tree {
  [element: string]: Tree
}

/** The set as FieldsV1. */
export const encode = (set: FieldSet): Tree => {
  const root: Tree = {}
  for (const path of set.values()) {
    let node = root
    for (const element of path) node = node[element] ??= {}
    node["."] = {}
  }
  return simplified(root)
}

/** A field without children is `{}`, not `{".": {}}`. */
const simplified = (node: Tree): Tree => {
  const entries = Object.entries(node)
  return entries.length === 1 && entries[0]![0] === "."
    ? {}
    : Object.fromEntries(entries.map(([element, child]) => [element, simplified(child)]))
}

/** FieldsV1 as a set; `undefined` if it is none. */
export const decode = (tree: unknown): FieldSet | undefined => {
  const paths: Array<Path> = []
  const walk = (node: unknown, path: Path): boolean => {
    if (!isRecord(node)) return false
    const entries = Object.entries(node)
    if (path.length > 0 && (entries.length === 0 || "." in node)) paths.push(path)
    return entries.every(([element, child]) => element === "." || walk(child, [...path, element]))
  }
  return walk(tree, []) ? fromPaths(paths) : undefined
}

/** Fields that nobody owns. */
const unowned = new Set([
  "f:apiVersion",
  "f:kind",
  "f:metadata",
  ...["name", "namespace", ...serverFields].map((field) => keyOf(["f:metadata", `f:${field}`]))
])

const owned = (paths: ReadonlyArray<Path>): FieldSet => fromPaths(paths.filter((path) => !unowned.has(keyOf(path))))

/** The fields of an object that somebody applies. */
export const fieldsOf = (schema: Schema, object: unknown): FieldSet => {
  const paths: Array<Path> = []
  const walk = (schema: Schema, value: unknown, path: Path): void => {
    const children = childrenOf(schema, value)
    if (children === undefined) {
      paths.push(path)
      return
    }
    for (const child of children) {
      const here = [...path, child.element]
      const isEmpty = isRecord(child.value) && Object.keys(child.value).length === 0
      if (!child.isDeclared || isEmpty) paths.push(here)
      walk(child.schema, child.value, here)
    }
  }
  walk(schema, object, [])
  return owned(paths)
}

/** What differs between two objects. */
export interface Difference {
  readonly added: FieldSet
  readonly modified: FieldSet
  readonly removed: FieldSet
}

/** Compares two objects. */
export const compare = (schema: Schema, before: unknown, after: unknown): Difference => {
  const [added, modified, removed]: [Array<Path>, Array<Path>, Array<Path>] = [[], [], []]
  const all = (schema: Schema, value: unknown, path: Path, into: Array<Path>): void => {
    into.push(path)
    for (const child of childrenOf(schema, value) ?? []) all(child.schema, child.value, [...path, child.element], into)
  }
  const walk = (schema: Schema, old: unknown, next: unknown, path: Path): void => {
    const [oldChildren, nextChildren] = [childrenOf(schema, old), childrenOf(schema, next)]
    if (oldChildren === undefined || nextChildren === undefined) {
      if (!isDeepStrictEqual(old, next)) modified.push(path)
      return
    }
    const olds = new Map(oldChildren.map((child) => [child.element, child]))
    for (const child of nextChildren) {
      const here = [...path, child.element]
      const previous = olds.get(child.element)
      if (previous === undefined) all(child.schema, child.value, here, added)
      else walk(child.schema, previous.value, child.value, here)
      olds.delete(child.element)
    }
    for (const child of olds.values()) all(child.schema, child.value, [...path, child.element], removed)
  }
  walk(schema, before, after, [])
  return { added: owned(added), modified: owned(modified), removed: owned(removed) }
}

interface Child {
  readonly element: string
  readonly value: unknown
  readonly schema: Schema
  /** Whether the schema names the field, so that it is no key of a map. */
  readonly isDeclared: boolean
}

/** The parts of a value that have owners of their own. `undefined` if the value is owned as a whole. */
export const childrenOf = (schema: Schema, value: unknown): ReadonlyArray<Child> | undefined => {
  if (isRecord(value)) {
    if (schema["x-kubernetes-map-type"] === "atomic") return undefined
    return Object.entries(value).map(([name, child]) => ({
      element: `f:${name}`,
      value: child,
      schema: fieldOf(schema, name) ?? {},
      isDeclared: schema.properties !== undefined && Object.hasOwn(schema.properties, name)
    }))
  }
  if (!Array.isArray(value)) return undefined
  const element = elementOf(schema)
  return element === undefined
    ? undefined
    : value.map((one) => ({ element: element(one), value: one, schema: schema.items ?? {}, isDeclared: false }))
}

/** How an element of a list is named in paths. `undefined` if the list is atomic. */
export const elementOf = (schema: Schema): ((value: unknown) => string) | undefined => {
  switch (schema["x-kubernetes-list-type"]) {
    case "set":
      return (value) => `v:${JSON.stringify(value)}`
    case "map": {
      const keys = schema["x-kubernetes-list-map-keys"] ?? []
      return (value) =>
        `k:${JSON.stringify(Object.fromEntries(keys.map((key) => [key, isRecord(value) ? value[key] : undefined])))}`
    }
    default:
      return undefined
  }
}

/** A path as messages show it: `.data.x`, `.metadata.ownerReferences[uid="x"]`. */
export const show = (path: Path): string =>
  path
    .map((element) => {
      const rest = element.slice(2)
      if (element.startsWith("f:")) return `.${rest}`
      if (element.startsWith("v:")) return `[=${rest}]`
      const keys = Object.entries(JSON.parse(rest) as Readonly<Record<string, unknown>>)
      return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(",")}]`
    })
    .join("")
