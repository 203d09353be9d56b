/** Columns that several kinds have. */
import { humanDuration } from "../humanDuration.ts"
import type { Column } from "./kind.ts"

/** The column Name. */
export const name: Column = {
  name: "Name",
  type: "string",
  format: "name",
  description:
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: http://kubernetes.io/docs/user-guide/identifiers#names",
  cell: (object) => object.metadata.name
}

/** How long ago a time was. */
export const since = (time: unknown, now: number): string =>
  typeof time === "string" && time !== "" ? humanDuration(now - Date.parse(time)) : "<unknown>"

/** The column Age. */
export const age: Column = {
  name: "Age",
  type: "string",
  description:
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
  cell: (object, now) => since(object.metadata.creationTimestamp, now)
}
