/** DELETE, of an object and of a collection. */
import * as Result from "effect/Result"
import { checkObjectMediaType } from "./body.ts"
import { answer, type Call, type Outcome } from "./call.ts"
import { notSupported } from "./causes.ts"
import { isRecord, parseJson } from "./json.ts"
import { Version } from "./objectTable.ts"
import { dryRunProblem, optionsProblem } from "./options.ts"
import { listOf, pageOf } from "./pages.ts"
import * as Reply from "./reply.ts"
import type * as Selectors from "./selectors.ts"

interface DeleteOptions {
  readonly isDryRun: boolean
  readonly uid?: unknown
  readonly resourceVersion?: unknown
}

export const remove = (call: Call): Outcome => {
  const { table, target } = call
  const name = target.name!
  const options = deleteOptions(call)
  if (Result.isFailure(options)) return Result.fail(options.failure)
  const old = table.get(call.resource, target.namespace, name)
  if (old === undefined) return Result.fail(Reply.notFound(target, name))
  const { metadata } = old.object
  const { isDryRun, resourceVersion, uid } = options.success
  const kindTarget = { ...target, plural: old.object.kind }
  if (uid !== undefined && uid !== null && uid !== metadata.uid) {
    return Result.fail(
      Reply.conflict(
        kindTarget,
        name,
        `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`
      )
    )
  }
  if (resourceVersion !== undefined && resourceVersion !== null && resourceVersion !== metadata.resourceVersion) {
    return Result.fail(
      Reply.conflict(
        kindTarget,
        name,
        `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`
      )
    )
  }
  const left = removeVersion(call, old, isDryRun)
  if (left !== undefined) return answer(call, left)
  return Result.succeed(Reply.deleted(target, name, metadata.uid))
}

/** Deletes what a selector matches. A real server deletes one by one, too, and answers with what there was. */
export const removeCollection = (call: Call, selector: Selectors.Selector): Outcome => {
  const options = deleteOptions(call)
  if (Result.isFailure(options)) return Result.fail(options.failure)
  const page = pageOf(call, selector.selectsAll ? undefined : ({ object }) => selector.matches(object))
  return Result.map(page, (page) => {
    for (const version of page.items) removeVersion(call, version, options.success.isDryRun)
    return Reply.json(200, listOf(call, page))
  })
}

/** Deletes an object, or marks it if it has finalizers. What is left of it, if anything is. */
const removeVersion = (call: Call, old: Version, isDryRun: boolean): Version | undefined => {
  const { object } = old
  const { metadata } = object
  const { terminate } = call.kind
  if (metadata.finalizers === undefined && terminate === undefined) {
    if (!isDryRun) call.table.remove(call.resource, metadata.namespace ?? "", metadata.name)
    return undefined
  }
  if (metadata.deletionTimestamp !== undefined) return old
  const ending = terminate?.(object) ?? object
  const marked = {
    ...ending,
    metadata: {
      ...ending.metadata,
      deletionTimestamp: call.now,
      ...(terminate === undefined ? { deletionGracePeriodSeconds: 0 } : undefined),
      ...(metadata.generation === undefined || terminate !== undefined
        ? undefined
        : { generation: metadata.generation + 1 })
    }
  }
  if (isDryRun) return new Version(marked)
  const next = call.table.next(marked)
  call.table.put(call.resource, next)
  return next
}

const policies = new Set(["Foreground", "Background", "Orphan"])

/** The options of a DELETE. A body replaces the query, also if it says nothing. */
const deleteOptions = (call: Call): Result.Result<DeleteOptions, Reply.Reply> => {
  if (call.body === "") {
    const problem = optionsProblem(call.query, "DeleteOptions")
    return problem === undefined ? Result.succeed({ isDryRun: call.query.has("dryRun") }) : Result.fail(problem)
  }
  const mediaType = checkObjectMediaType(call.contentType)
  if (Result.isFailure(mediaType)) return Result.fail(mediaType.failure)
  const parsed = parseJson(call.body)
  if (Result.isFailure(parsed)) {
    return Result.fail(Reply.badRequest(`couldn't get version/kind; json parse error: ${parsed.failure}`))
  }
  const {
    apiVersion = "v1",
    dryRun = [],
    kind,
    preconditions,
    propagationPolicy
  } = isRecord(parsed.success) ? parsed.success : {}
  if (kind !== undefined && kind !== "DeleteOptions") {
    return Result.fail(
      Reply.internalError(
        `no kind "${String(kind)}" is registered for version "${String(apiVersion)}" in scheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"`
      )
    )
  }
  if (dryRun !== null && !Array.isArray(dryRun)) {
    return Result.fail(
      Reply.internalError("json: cannot unmarshal string into Go struct field DeleteOptions.dryRun of type []string")
    )
  }
  const problem = dryRunProblem(dryRun ?? [], "DeleteOptions")
  if (problem !== undefined) return Result.fail(problem)
  if (propagationPolicy !== undefined && propagationPolicy !== null && !policies.has(propagationPolicy as string)) {
    return Result.fail(
      Reply.invalid("DeleteOptions", "meta.k8s.io", "", [
        notSupported("propagationPolicy", propagationPolicy, ["Foreground", "Background", "Orphan", "nil"])
      ])
    )
  }
  const isDryRun = (dryRun ?? []).length > 0
  return Result.succeed({ ...(isRecord(preconditions) ? preconditions : {}), isDryRun })
}
