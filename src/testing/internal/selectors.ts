/** The label and field selectors of LIST and watch. */
import * as Result from "effect/Result"
import type { Kind } from "./kinds/kind.ts"
import type { KubeObject } from "./kubeObject.ts"

/** A parsed pair of selectors. `name` is set if only one object can match, `selectsAll` if every object does. */
export interface Selector {
  readonly selectsAll: boolean
  readonly name: string | undefined
  readonly matches: (object: KubeObject) => boolean
}

type Test = (object: KubeObject) => boolean

const everything: Selector = { selectsAll: true, name: undefined, matches: () => true }

/** Parses both selectors. The failure is the message of the API server. */
export const parse = (kind: Kind, fields: string | null, labels: string | null): Result.Result<Selector, string> => {
  if (!fields && !labels) return Result.succeed(everything)
  const parts = [...split(fields ?? "").map((part) => field(kind, part)), ...split(labels ?? "").map(label)]
  const tests: Array<Test> = []
  let name: string | undefined
  for (const part of parts) {
    if (typeof part === "string") return Result.fail(part)
    if ("name" in part) name = part.name
    tests.push(part.test)
  }
  return Result.succeed({ selectsAll: false, name, matches: (object) => tests.every((test) => test(object)) })
}

/** Splits at the commas outside parentheses. */
const split = (selector: string): ReadonlyArray<string> =>
  selector.trim() === "" ? [] : selector.split(/,(?![^(]*\))/).map((part) => part.trim())

const readers: Readonly<Record<string, (object: KubeObject) => string>> = {
  "metadata.name": (object) => object.metadata.name,
  "metadata.namespace": (object) => object.metadata.namespace ?? ""
}

/** Kinds without fields of their own have a message of their own. */
const notSelectable = (kind: Kind) => (key: string) =>
  kind.isBuiltIn
    ? `"${key}" is not a known field selector: only "metadata.name", "metadata.namespace"`
    : `field label not supported: ${key}`

const field = (kind: Kind, part: string): string | { readonly test: Test; readonly name?: string } => {
  const [, key, operator, value] = /^([^=!]*)(==|=|!=)(.*)$/.exec(part) ?? []
  if (key === undefined || value === undefined) return `invalid selector: '${part}'; can't understand '${part}'`
  const read = readers[key] ?? kind.selectable?.[key]
  if (read === undefined) return (kind.notSelectable ?? notSelectable(kind))(key)
  if (operator === "!=") return { test: (object) => read(object) !== value }
  const test: Test = (object) => read(object) === value
  return key === "metadata.name" ? { test, name: value } : { test }
}

const key = String.raw`[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?`
const presence = new RegExp(`^(!?)\\s*(${key})$`)
const comparison = new RegExp(`^(${key})\\s*(==|=|!=|>|<)\\s*([-A-Za-z0-9_.]*)$`)
const membership = new RegExp(`^(${key})\\s+(in|notin)\\s*\\(([-A-Za-z0-9_.,\\s]*)\\)$`)

const label = (part: string): string | { readonly test: Test; readonly name?: string } => {
  const present = presence.exec(part)
  if (present !== null) {
    return { test: (object) => (value(object, present[2]!) === undefined) === (present[1] === "!") }
  }
  const compared = comparison.exec(part)
  if (compared !== null) return { test: compare(compared[1]!, compared[3]!, compared[4]!) }
  const member = membership.exec(part)
  if (member !== null) {
    const values = new Set(member[4]!.split(",").map((value) => value.trim()))
    return member[3] === "in"
      ? { test: (object) => values.has(value(object, member[1]!) ?? "\0") }
      : { test: (object) => !values.has(value(object, member[1]!) ?? "\0") }
  }
  const [, second] = part.split(/\s+/)
  return `unable to parse requirement: found '${second ?? part}', expected: in, notin, =, ==, !=, gt, lt`
}

const compare = (key: string, operator: string, expected: string): Test => {
  switch (operator) {
    case "!=":
      return (object) => value(object, key) !== expected
    case ">":
      return (object) => Number(value(object, key) ?? Number.NaN) > Number(expected)
    case "<":
      return (object) => Number(value(object, key) ?? Number.NaN) < Number(expected)
    default:
      return (object) => value(object, key) === expected
  }
}

const value = (object: KubeObject, key: string): string | undefined => object.metadata.labels?.[key]
