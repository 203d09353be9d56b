/** Answers without what two versions of the API server word differently. */
import type { Answer } from "./converse.ts"

export const comparable = ({ body, status }: Answer): unknown => ({ status, body: plain(withoutOwners(body)) })

const withoutOwners = (body: unknown): unknown => {
  const { kind, metadata } = Object(body) as { readonly kind?: string; readonly metadata?: object }
  return kind !== undefined && unfollowed.has(kind)
    ? { ...(body as object), metadata: { ...metadata, managedFields: undefined } }
    : body
}

/** Fields of which only some servers keep the owners: controllers write them there, and nothing here. */
const unfollowed = new Set(["CustomResourceDefinition", "SelfSubjectAccessReview"])

const ownersOf = (value: ReadonlyArray<unknown>) => {
  const owners = (value as ReadonlyArray<{ readonly manager: string; readonly operation: string }>)
    .filter(({ manager }) => manager !== "kube-apiserver")
    .toSorted((a, b) => (`${a.operation} ${a.manager}` < `${b.operation} ${b.manager}` ? -1 : 1))
  return owners.length === 0 ? undefined : owners.map((owner) => plain(owner))
}

const text = (value: unknown) => JSON.stringify(value)

const plain = (value: unknown, key = ""): unknown => {
  if (Array.isArray(value)) {
    // Go names conflicting managers in any order.
    if (key === "causes") return value.map((one) => plain(one)).toSorted((a, b) => (text(a) < text(b) ? -1 : 1))
    if (key === "managedFields") return ownersOf(value)
    // Cells of times depend on when they were asked for.
    return key === "cells"
      ? value.map((cell) => (/^\d+[smhdy]/.test(String(cell)) ? "AGE" : cell))
      : value.map((one) => plain(one))
  }
  // Before 1.26 the fields of an owner reference had owners of their own.
  if (key.startsWith('k:{"uid"')) return {}
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .map(([field, one]) => [field, plain(one, field)] as const)
        .filter(([, one]) => one !== undefined)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
    )
  }
  // The descriptions of columns are long, and nobody relies on them.
  if (key === "description") return "DESCRIPTION"
  return key === "message" && typeof value === "string" ? reworded(value) : value
}

const decoder =
  /error found in #|unknown conversion|marked as storage version|json: |looking for beginning of|strconv|base64|unmarshal|cannot convert|parsing time|registered for version/

const reworded = (message: string): string =>
  decoder.test(message)
    ? "THE DECODER'S WORDS"
    : message
        .replace("must to greater or equal than 0", "must be greater than or equal to 0")
        .replace("Invalid value: 0x0:", "Invalid value: 0:")
        .replaceAll('[]string{"Some"}', '["Some"]')
        .replaceAll('[]string{""}', '[""]')
        .replace(/expected: .*/, "expected: AN OPERATOR")
