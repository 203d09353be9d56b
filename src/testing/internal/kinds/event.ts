/** Events: what happened to an object. */
import { invalid } from "../causes.ts"
import type { KubeObject } from "../kubeObject.ts"
import { name, since } from "./columns.ts"
import type { Column, Kind } from "./kind.ts"
import type { Schema } from "../schema.ts"

type Fields = Readonly<Record<string, string | undefined>>

const fieldsOf = (object: KubeObject, field: string) => (object[field] ?? {}) as Fields
const textOf = (object: KubeObject, field: string) => String(object[field] ?? "")

const text: Schema = { type: "string" }
const time: Schema = { type: "string", format: "date-time" }
const count: Schema = { type: "integer", format: "int32" }
const reference: Schema = {
  title: "ObjectReference",
  type: "object",
  properties: {
    kind: text,
    namespace: text,
    name: text,
    uid: text,
    apiVersion: text,
    resourceVersion: text,
    fieldPath: text
  }
}

const subject = (field: string) => (object: KubeObject) => fieldsOf(object, "involvedObject")[field] ?? ""

const column = (name: string, description: string, cell: Column["cell"], priority = 0): Column => ({
  name,
  type: "string",
  description,
  priority,
  cell
})

const firstSeen = (object: KubeObject, now: number) => since(object["firstTimestamp"] ?? object["eventTime"], now)
const lastSeen = (object: KubeObject, now: number) =>
  object["lastTimestamp"] === undefined ? firstSeen(object, now) : since(object["lastTimestamp"], now)

export const event: Kind = {
  group: "",
  version: "v1",
  plural: "events",
  kind: "Event",
  namespaced: true,
  singular: "event",
  shortNames: ["ev"],
  isBuiltIn: true,
  isModelled: true,
  createsOnUpdate: true,
  skeleton: {
    involvedObject: {},
    source: {},
    firstTimestamp: null,
    lastTimestamp: null,
    eventTime: null,
    reportingComponent: "",
    reportingInstance: ""
  },
  schema: {
    title: "Event",
    description: "Event is a report of an event somewhere in the cluster.",
    type: "object",
    properties: {
      involvedObject: reference,
      reason: text,
      message: text,
      source: { title: "EventSource", type: "object", properties: { component: text, host: text } },
      firstTimestamp: time,
      lastTimestamp: time,
      count,
      type: text,
      eventTime: { type: "string", format: "micro-time" },
      series: {
        title: "EventSeries",
        type: "object",
        properties: { count, lastObservedTime: { type: "string", format: "micro-time" } }
      },
      action: text,
      related: reference,
      reportingComponent: text,
      reportingInstance: text
    }
  },
  prepare: (object) => ({
    ...object,
    involvedObject: fieldsOf(object, "involvedObject"),
    source: fieldsOf(object, "source"),
    firstTimestamp: object["firstTimestamp"] ?? null,
    lastTimestamp: object["lastTimestamp"] ?? null,
    eventTime: object["eventTime"] ?? null,
    reportingComponent: textOf(object, "reportingComponent"),
    reportingInstance: textOf(object, "reportingInstance")
  }),
  validate: (object) => {
    const namespace = subject("namespace")(object)
    const own = object.metadata.namespace
    // An object of the whole cluster has its Events in the namespace `default`.
    return namespace === own || (namespace === "" && own === "default")
      ? []
      : [invalid("involvedObject.namespace", namespace, "does not match event.namespace")]
  },
  selectable: {
    ...Object.fromEntries(
      Object.keys(reference.properties!).map((field) => [`involvedObject.${field}`, subject(field)])
    ),
    reason: (object) => textOf(object, "reason"),
    reportingComponent: (object) => textOf(object, "reportingComponent"),
    source: (object) => fieldsOf(object, "source")["component"] ?? "",
    type: (object) => textOf(object, "type")
  },
  notSelectable: (field) => `field label not supported: ${field}`,
  columns: [
    column("Last Seen", "The time at which the most recent occurrence of this event was recorded.", lastSeen),
    column("Type", "Type of this event (Normal, Warning), new types could be added in the future", (object) =>
      textOf(object, "type")
    ),
    column(
      "Reason",
      "This should be a short, machine understandable string that gives the reason for the transition into the object's current status.",
      (object) => textOf(object, "reason")
    ),
    column("Object", "The object that this event is about.", (object) => {
      const { kind = "", name = "" } = fieldsOf(object, "involvedObject")
      return name === "" ? kind.toLowerCase() : `${kind.toLowerCase()}/${name}`
    }),
    column("Subobject", "The part of the object.", subject("fieldPath"), 1),
    column(
      "Source",
      "The component reporting this event. Should be a short machine understandable string.",
      (object) => {
        const { component = "", host = "" } = fieldsOf(object, "source")
        return host === "" ? component : `${component}, ${host}`
      },
      1
    ),
    column("Message", "A human-readable description of the status of this operation.", (object) =>
      textOf(object, "message").trim()
    ),
    column(
      "First Seen",
      "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)",
      firstSeen,
      1
    ),
    column("Count", "The number of times this event has occurred.", (object) => object["count"] ?? 1, 1),
    { ...name, priority: 1 }
  ]
}
