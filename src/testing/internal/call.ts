/** A request about objects, as the verbs see it, and what they answer with. */
import * as Result from "effect/Result"
import type { Form } from "./accept.ts"
import type { Kind } from "./kinds/kind.ts"
import type { ObjectTable, Version } from "./objectTable.ts"
import * as Reply from "./reply.ts"
import type { Target } from "./requestPath.ts"
import { tableOf } from "./tables.ts"

/** The request. */
export interface Call {
  readonly table: ObjectTable
  readonly target: Target
  /** The key of the resource in the table. */
  readonly resource: string
  readonly kind: Kind
  /** Whether `kind.kind` is known; of an unlisted resource it is a guess until there is an object. */
  readonly kindIsKnown: boolean
  readonly query: URLSearchParams
  readonly form: Exclude<Form, undefined>
  readonly contentType: string | undefined
  /** The name of the writer, from the query or from the client. */
  readonly manager: string
  readonly body: string
  /** The time of the server, RFC 3339. */
  readonly now: string
  /** Whether the namespace exists, so that objects can be created in it. */
  readonly namespaceExists: boolean
}

/** A success or a failure, as responses. */
export type Outcome = Result.Result<Reply.Reply, Reply.Reply>

/** Answers with an object, in the form that the client asked for. */
export const answer = (call: Call, version: Version, status = 200): Outcome =>
  Result.succeed(
    Reply.json(
      status,
      call.form === "Table"
        ? tableOf(call, [version], { resourceVersion: version.object.metadata.resourceVersion })
        : version.json(call.form === "Whole" ? "Whole" : "Partial")
    )
  )

/** A resourceVersion as a number, or `undefined` if it is not one. */
export const parseVersion = (version: string): number | undefined =>
  /^[0-9]+$/.test(version) ? Number(version) : undefined

/** The message of Go about text that is not a number. */
export const notANumber = (text: string): string => `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`

/** The message about a resourceVersion that is not a number. */
export const notAVersion = (version: string): string =>
  `Invalid value: ${JSON.stringify(version)}: ${notANumber(version)}`
