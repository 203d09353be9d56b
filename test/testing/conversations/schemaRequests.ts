/** Requests about what the schema of a definition may say, and about lists whose elements differ and numbers of a size. */
import { merge, type Step, step } from "./step.ts"

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
const ledgers = "/apis/books.io/v1/namespaces/talk/ledgers"

const text = { type: "string" }
const object = (properties: object, more: object = {}) => ({ type: "object", properties, ...more })
const listOf = (items: object, more: object) => ({ type: "array", items, ...more })
const set = { "x-kubernetes-list-type": "set" }
const map = (...keys: ReadonlyArray<string>) => ({
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": keys
})

const definition = (spec: unknown) => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "ledgers.books.io" },
  spec: {
    group: "books.io",
    scope: "Namespaced",
    names: { plural: "ledgers", kind: "Ledger" },
    versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: object({ spec }) } }]
  }
})

const refused = (title: string, field: unknown): Step =>
  step(`a definition ${title}`, "POST", definitions, definition(object({ a: field })))

const ledger = (name: string, spec: object) => ({
  apiVersion: "books.io/v1",
  kind: "Ledger",
  metadata: { name },
  spec
})

const made = (title: string, spec: object): Step => step(title, "POST", ledgers, ledger("x", spec))

/** Requests about schemas, for any API server. */
export const schemas: ReadonlyArray<Step> = [
  refused("says the type of each field", { properties: { b: text } }),
  refused("says the type of each element", listOf({ minLength: 1 }, {})),
  refused("says the type of each value of a map", { type: "object", additionalProperties: { minLength: 1 } }),
  refused("has no type of its own", { type: "money" }),
  refused("says what a list is of", { type: "array" }),
  refused("has fields or a map", object({ b: text }, { additionalProperties: text })),
  refused("names the keys of a map as a list", listOf(object({ k: text }), { "x-kubernetes-list-type": "map" })),
  refused("requires the keys of a map as a list", listOf(object({ k: text }), map("k"))),
  refused("has fields for the keys of a map as a list", listOf(object({ k: text }, { required: ["k"] }), map("l"))),
  refused("has maps as a list of objects only", listOf(text, map("k"))),
  refused("has no keys for a set", listOf(text, { ...set, "x-kubernetes-list-map-keys": ["k"] })),
  refused("has a set of whole objects only", listOf(object({ k: text }), set)),
  refused("has no lists of another sort", listOf(text, { "x-kubernetes-list-type": "bag" })),
  refused("has no set that is no list", { ...text, ...set }),
  refused("has defaults of the right type", { type: "integer", default: "x" }),
  refused("has defaults that are valid", { type: "integer", minimum: 3, default: 2 }),
  refused("has defaults without unknown fields", object({ b: text }, { default: { c: "1" } })),
  step(
    "a definition with lists and numbers",
    "POST",
    definitions,
    definition(
      object({
        set: listOf(text, set),
        wholes: listOf(object({ k: text }, { "x-kubernetes-map-type": "atomic" }), set),
        map: listOf(object({ k: text, p: { ...text, default: "TCP" }, v: text }, { required: ["k"] }), map("k", "p")),
        sets: { type: "object", additionalProperties: listOf({ type: "integer" }, set) },
        small: { type: "integer", format: "int32" },
        large: { type: "integer", format: "int64" },
        ratio: { type: "number", format: "float" },
        pair: listOf(text, { minItems: 2, maxItems: 2 }),
        one: { type: "object", additionalProperties: text, minProperties: 1, maxProperties: 1 },
        code: { ...text, minLength: 2, maxLength: 3, pattern: "^[a-z]*$" }
      })
    )
  ),
  { ...step("objects of the kind are listed", "GET", ledgers), until: 200 },
  step("lists whose elements differ", "POST", ledgers, ledger("kept", { set: ["a", "b"], map: [{ k: "a" }] })),
  made("a set with an element twice", { set: ["a", "b", "a"] }),
  made("a set with an element three times", { set: ["a", "a", "a"] }),
  made("a set with an object twice", { wholes: [{ k: "a" }, { k: "b" }, { k: "a" }] }),
  made("a map as a list with a key twice", {
    map: [
      { k: "a", v: "1" },
      { k: "a", v: "2" }
    ]
  }),
  made("a map as a list with a key twice, once by default", { map: [{ k: "a", p: "TCP" }, { k: "a" }] }),
  made("a set in a map with an element twice", { sets: { m: [1, 1] } }),
  made("a set of the wrong type", { set: "a" }),
  step("a merge patch that makes an element twice", "PATCH", `${ledgers}/kept`, { spec: { set: ["a", "a"] } }, merge),
  made("a number that is too large for 32 bits", { small: 3_000_000_000 }),
  made("a number that is too small for 32 bits", { small: -3_000_000_000 }),
  made("a float for 32 bits", { small: 1.5 }),
  made("a text for 32 bits", { small: "1" }),
  made("a float for 64 bits", { large: 1.5 }),
  made("a text for a float", { ratio: "1" }),
  made("a list that is too short", { pair: ["a"] }),
  made("a list that is too long for two", { pair: ["a", "b", "c"] }),
  made("a map that is too small", { one: {} }),
  made("a map that is too large", { one: { a: "1", b: "1" } }),
  made("a text that is too short", { code: "a" }),
  made("a text that is too short and does not match", { code: "A" }),
  made("a text that is too long and does not match", { code: "AAAA" }),
  made("two mistakes", { small: "1", set: ["a", "a"] }),
  step("the other definition is deleted", "DELETE", `${definitions}/ledgers.books.io`)
]
