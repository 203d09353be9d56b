/** The three kinds of patch: JSON merge patch, JSON patch, and strategic merge patch. */
import * as Result from "effect/Result"
import { apply as applyMergePatch } from "json-merge-patch"
import { applyPatch, type Operation, Pointer } from "rfc6902"
import { mediaType } from "./body.ts"
import { goKind, isRecord, isSpelledByGo, parseJson } from "./json.ts"
import type { Kind } from "./kinds/kind.ts"
import type { Draft } from "./kubeObject.ts"
import { badRequest, notImplemented, patchRejected, type Reply, unsupportedMediaType } from "./reply.ts"
import { objectMeta, type Schema } from "./schema.ts"
import { strategicMerge } from "./strategicMerge.ts"

const customMediaTypes = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
const builtInMediaTypes =
  "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml"

/** The kinds of patch. */
export type PatchKind = "Merge" | "Json" | "Strategic"

/** The kind of patch of a media type. Custom resources take no strategic merge patch. */
export const patchKind = (contentType: string | undefined, kind: Kind): Result.Result<PatchKind, Reply> => {
  switch (mediaType(contentType)) {
    case "application/merge-patch+json":
      return Result.succeed("Merge")
    case "application/json-patch+json":
      return Result.succeed("Json")
    case "application/strategic-merge-patch+json":
      if (!kind.isBuiltIn) return Result.fail(unsupportedMediaType(customMediaTypes))
      return kind.isModelled
        ? Result.succeed("Strategic")
        : Result.fail(notImplemented(`has no schema of ${kind.plural} for a strategic merge patch: send a merge patch`))
    default:
      return Result.fail(unsupportedMediaType(kind.isBuiltIn ? builtInMediaTypes : customMediaTypes))
  }
}

/** Applies a patch to an object, given as JSON. */
export const applyPatchBody = (
  patchKind: PatchKind,
  patch: string,
  object: string,
  { schema }: Kind
): Result.Result<Draft, Reply> => {
  switch (patchKind) {
    case "Merge":
      return mergePatch(patch, object)
    case "Json":
      return jsonPatch(patch, object)
    case "Strategic":
      return strategicPatch(patch, object, schema)
  }
}

const strategicPatch = (text: string, object: string, schema: Schema): Result.Result<Draft, Reply> => {
  const patch = parseJson(text)
  if (Result.isFailure(patch)) return Result.fail(badRequest(patch.failure))
  if (!isRecord(patch.success)) {
    return Result.fail(
      badRequest(`json: cannot unmarshal ${goKind(patch.success)} into Go value of type map[string]interface {}`)
    )
  }
  const whole: Schema = { ...schema, properties: { ...schema.properties, metadata: objectMeta } }
  return Result.mapError(strategicMerge(whole, JSON.parse(object) as Draft, patch.success), badRequest)
}

const mergePatch = (text: string, object: string): Result.Result<Draft, Reply> => {
  const patch = parseJson(text)
  if (Result.isFailure(patch)) return Result.fail(badRequest(`error decoding patch: ${patch.failure}`))
  if (patch.success === null) return Result.fail(badRequest("Invalid JSON Patch"))
  if (!isRecord(patch.success)) {
    return Result.fail(
      badRequest(
        `error decoding patch: json: cannot unmarshal ${goKind(patch.success)} into Go value of type map[string]interface {}`
      )
    )
  }
  const changes = patch.success
  return Result.mapError(
    Result.try(() => applyMergePatch(JSON.parse(object), changes) as Draft),
    () => patchRejected
  )
}

const operationNames = new Set(["add", "remove", "replace", "move", "copy", "test"])

const jsonPatch = (text: string, object: string): Result.Result<Draft, Reply> => {
  const parsed = parseJson(text)
  if (Result.isFailure(parsed)) return Result.fail(badRequest(`error decoding patch: ${parsed.failure}`))
  const patch = parsed.success
  if (!Array.isArray(patch)) return Result.fail(badRequest(notAPatch(patch, "[]handlers.jsonPatchOp")))
  for (const operation of patch) {
    if (!isRecord(operation)) return Result.fail(badRequest(notAPatch(operation, "handlers.jsonPatchOp")))
    if (typeof operation["op"] !== "string" || !operationNames.has(operation["op"])) {
      return Result.fail(badRequest(`invalid operation ${JSON.stringify(operation)}: unsupported operation`))
    }
  }
  const draft: unknown = JSON.parse(object)
  const applied = Result.try(() => patch.every((operation: Operation) => applyOperation(draft, operation, text)))
  return Result.isSuccess(applied) && applied.success && isRecord(draft)
    ? Result.succeed(draft)
    : Result.fail(patchRejected)
}

const notAPatch = (value: unknown, type: string) =>
  `error decoding patch: json: cannot unmarshal ${goKind(value)} into Go value of type ${type}`

/**
 * As in the library of the API server, a test compares how a text is spelled in the patch, and a test for null passes if the key is absent,
 * but not if its parent is absent.
 */
const applyOperation = (draft: unknown, operation: Operation, patch: string): boolean => {
  if (operation.op === "test" && operation.value === null) {
    const { parent, value } = Pointer.fromJSON(operation.path).evaluate(draft)
    return parent !== undefined && parent !== null && (value === undefined || value === null)
  }
  const isSpelledRight = operation.op !== "test" || isSpelledByGo(patch, operation.value)
  return isSpelledRight && applyPatch(draft, [operation])[0] === null
}
