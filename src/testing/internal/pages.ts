/** LIST in pages, and of a past version. */
import * as Result from "effect/Result"
import { type Call, notAVersion, parseVersion } from "./call.ts"
import { forbidden, notSupported } from "./causes.ts"
import { isRecord, parseJson } from "./json.ts"
import type { Version } from "./objectTable.ts"
import * as Reply from "./reply.ts"

/** Where a page begins, in which version of the collection. */
interface Place {
  readonly version: number
  /** The key of the last object before it. `undefined` begins with the first. */
  readonly after: string | undefined
}

/** A page, and what its list says about it. */
export interface Page {
  readonly items: ReadonlyArray<Version>
  readonly metadata: {
    readonly resourceVersion: string
    readonly continue?: string
    readonly remainingItemCount?: number
  }
}

/** The page that a request asks for. */
export const pageOf = (
  call: Call,
  matches: ((version: Version) => boolean) | undefined
): Result.Result<Page, Reply.Reply> => {
  const limit = call.query.get("limit") || "0"
  if (!/^-?[0-9]+$/.test(limit)) {
    return Result.fail(Reply.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(limit)}: invalid syntax`))
  }
  return Result.flatMap(placeOf(call), ({ after, version }) => {
    const all = call.table.listAt(call.resource, call.target.namespace, version)
    if (all === undefined) return Result.fail(after === undefined ? tooOld : continueTooOld)
    const rest = all.filter((one) => after === undefined || keyOf(one) > after)
    const fitting = matches === undefined ? rest : rest.filter(matches)
    // The cache of a real server, which answers version 0, knows no pages.
    const isCached = call.query.get("resourceVersion") === "0" && call.kind.isBuiltIn
    const items = Number(limit) > 0 && !isCached ? fitting.slice(0, Number(limit)) : fitting
    const resourceVersion = String(version)
    if (items.length === fitting.length && !hasMore(items, rest, limit)) {
      return Result.succeed({ items, metadata: { resourceVersion } })
    }
    const last = items.at(-1)
    const metadata = {
      resourceVersion,
      continue: tokenOf({ version, after: last === undefined ? after : keyOf(last) }),
      ...(matches === undefined ? { remainingItemCount: rest.length - items.length } : {})
    }
    return Result.succeed({ items, metadata })
  })
}

/** A real server stops reading when the page is full, so it does not know whether one of the rest would match. */
const hasMore = (items: ReadonlyArray<Version>, rest: ReadonlyArray<Version>, limit: string) =>
  Number(limit) > 0 && items.length === Number(limit) && items.at(-1) !== rest.at(-1)

const keyOf = ({ object: { metadata } }: Version) => `${metadata.namespace ?? ""}/${metadata.name}`

const placeOf = (call: Call): Result.Result<Place, Reply.Reply> => {
  const { query, table } = call
  const token = query.get("continue") ?? ""
  const requested = query.get("resourceVersion") ?? ""
  const match = query.get("resourceVersionMatch") ?? ""
  const problem = matchProblem(match, requested, token)
  if (problem !== undefined) return Result.fail(problem)
  if (token !== "") {
    return requested !== "" && requested !== "0"
      ? Result.fail(Reply.badRequest("specifying resource version is not allowed when using continue"))
      : placeIn(token)
  }
  if (requested === "") return Result.succeed({ version: table.version, after: undefined })
  const version = parseVersion(requested)
  if (version === undefined) {
    return Result.fail(Reply.badRequest(`invalid resource version: resourceVersion: ${notAVersion(requested)}`))
  }
  if (version > table.version) return Result.fail(Reply.versionTooLarge(version, table.version))
  return Result.succeed({ version: match === "Exact" ? version : table.version, after: undefined })
}

const matchProblem = (match: string, version: string, token: string): Reply.Reply | undefined => {
  if (match === "") return undefined
  const field = "resourceVersionMatch"
  const causes = [
    ...(version === "" && token === ""
      ? [forbidden(field, "resourceVersionMatch is forbidden unless resourceVersion is provided")]
      : []),
    ...(token === "" ? [] : [forbidden(field, "resourceVersionMatch is forbidden when continue is provided")]),
    ...(match === "Exact" || match === "NotOlderThan"
      ? []
      : [notSupported(field, match, ["Exact", "NotOlderThan", ""])]),
    ...(match === "Exact" && version === "0"
      ? [forbidden(field, `resourceVersionMatch "exact" is forbidden for resourceVersion "0"`)]
      : [])
  ]
  return causes.length === 0 ? undefined : Reply.invalid("ListOptions", "meta.k8s.io", "", causes)
}

const tokenOf = ({ after, version }: Place) =>
  Buffer.from(JSON.stringify({ v: "meta.k8s.io/v1", rv: version, start: after })).toString("base64url")

const placeIn = (token: string): Result.Result<Place, Reply.Reply> => {
  const invalid = (reason: string) =>
    Result.fail(Reply.badRequest(`invalid continue token: continue key is not valid: ${reason}`))
  const parsed = parseJson(Buffer.from(token, "base64url").toString())
  if (Result.isFailure(parsed)) return invalid(parsed.failure)
  const { rv, start, v } = isRecord(parsed.success) ? parsed.success : {}
  if (v !== "meta.k8s.io/v1") return invalid(`server does not recognize this encoded version ${JSON.stringify(v)}`)
  return typeof rv === "number" && typeof start === "string"
    ? Result.succeed({ version: rv, after: start })
    : invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
}

const continueTooOld = Reply.expired(
  "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter."
)
const tooOld = Reply.expired("The resourceVersion for the provided list is too old.")

/** The list of a page, as JSON. */
export const listOf = (call: Call, { items, metadata }: Page): string => {
  const apiVersion =
    call.form === "PartialList"
      ? "meta.k8s.io/v1"
      : call.target.group === ""
        ? call.target.version
        : `${call.target.group}/${call.target.version}`
  const kind = call.form === "PartialList" ? "PartialObjectMetadataList" : `${call.kind.kind}List`
  // The list of a custom resource always has `continue`, and its items name their kind.
  const head = call.kind.isBuiltIn ? metadata : { continue: "", ...metadata }
  const form = call.form === "PartialList" ? "Partial" : call.kind.isBuiltIn ? "Item" : "Whole"
  return `{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":${JSON.stringify(head)},"items":[${items
    .map((version) => version.json(form))
    .join(",")}]}`
}
