/** PATCH as server-side apply. */
import * as Result from "effect/Result"
import { mediaType, parseObject } from "./body.ts"
import type { Call, Outcome } from "./call.ts"
import { required } from "./causes.ts"
import { fieldsOf, union } from "./fieldSet.ts"
import { parseJson } from "./json.ts"
import { apiVersionOf } from "./kinds/kind.ts"
import { type Draft, metadataOf } from "./kubeObject.ts"
import { withoutLastApplied } from "./lastApplied.ts"
import { conflictsOf, differenceOf, find, isSameManager, wholeSchema } from "./managedFields.ts"
import { optionsProblem } from "./options.ts"
import { managerOf, ownersBefore } from "./ownership.ts"
import { readObject } from "./readObject.ts"
import * as Reply from "./reply.ts"
import { conflictReply, mergeApplied, withoutAbandoned } from "./serverSideApply.ts"
import { insert, pathMismatch, replace } from "./writeVerbs.ts"

/** Whether a PATCH is a server-side apply, by its media type. */
export const isApply = (contentType: string | undefined): boolean =>
  mediaType(contentType) === "application/apply-patch+yaml"

/** Server-side apply. A missing object is made. */
export const apply = (call: Call): Outcome => {
  const { kind, query, target } = call
  const options = optionsProblem(query, "PatchOptions")
  if (options !== undefined) return Result.fail(options)
  const name = target.name!
  const old = call.table.get(call.resource, target.namespace, name)
  if (!query.get("fieldManager")) return Result.fail(managerMissing)
  const json = parseJson(call.body)
  if (Result.isFailure(json)) return Result.fail(Reply.notImplemented("reads no YAML: send JSON"))
  return Result.flatMap(parseObject(call.body, kind, call.kindIsKnown), (sent) => {
    const read = readObject(kind, sent)
    const misfit = Result.isFailure(read)
      ? read.failure
      : read.success.dropped.map((path) => `.${path}: field not declared in schema`).join(", ")
    if (Result.isFailure(read) || misfit !== "") {
      const what = `${String(metadataOf(sent).namespace ?? "")}/${name}; ${apiVersionOf(kind)}, Kind=${kind.kind}`
      return Result.fail(Reply.internalError(`failed to create typed patch object (${what}): ${misfit}`))
    }
    const { draft } = read.success
    const mismatch = pathMismatch(draft, target)
    if (mismatch !== undefined) return Result.fail(mismatch)
    if (metadataOf(draft).managedFields?.length) return Result.fail(managedFieldsSent)
    // Defaults are nobody's: an applied custom resource is what was sent.
    const applied = kind.isBuiltIn ? draft : { ...sent, metadata: draft["metadata"] }
    const schema = wholeSchema(kind)
    const fields = fieldsOf(schema, applied)
    if (old === undefined) return insert(call, { draft, dropped: [], name }, { fields, object: sent })
    const owners = ownersBefore(call, old.object, undefined)
    const merged = withoutAbandoned(schema, mergeApplied(schema, old.object, applied), {
      applied: fields,
      before: find(owners, managerOf(call, "Apply"))?.fields ?? new Map(),
      others: union(
        ...owners.filter((owner) => !isSameManager(owner, managerOf(call, "Apply"))).map((owner) => owner.fields)
      )
    })
    const next = readObject(kind, merged as Draft)
    if (Result.isFailure(next)) return Result.fail(Reply.badRequest(next.failure))
    const differences = differenceOf(kind, old.object, next.success.draft)
    const conflicts =
      query.get("force") === "true"
        ? []
        : withoutLastApplied(call.manager, kind, old.object, conflictsOf(owners, managerOf(call, "Apply"), differences))
    return conflicts.length === 0
      ? replace(call, old, next.success.draft, { fields, object: sent })
      : Result.fail(conflictReply(conflicts))
  })
}

const managerMissing = Reply.invalid("PatchOptions", "meta.k8s.io", "", [
  required("fieldManager", "is required for apply patch")
])

const managedFieldsSent = Reply.badRequest("metadata.managedFields must be nil")
