/** Request bodies: JSON with the error messages of Go's decoder, and the two kinds of patch. */
import * as Result from "effect/Result"
import { apply as applyMergePatch } from "json-merge-patch"
import { applyPatch, type Operation, Pointer } from "rfc6902"
import { type Draft, goKind, isRecord, typeProblem } from "./kubeObject.ts"
import { badRequest, invalidPatch, patchRejected, type Reply, unsupportedMediaType } from "./reply.ts"

/** Parses JSON. The failure is the message of Go's decoder, as far as it can be derived. */
export const parseJson = (text: string): Result.Result<unknown, string> =>
  Result.mapError(
    Result.try((): unknown => JSON.parse(text)),
    (error) => {
      const message = error instanceof Error ? error.message : ""
      const at = /at position (\d+)/.exec(message)?.[1]
      const token = /^Unexpected token '(.)'/su.exec(message)?.[1] ?? (at === undefined ? undefined : text[Number(at)])
      if (token === undefined || message.startsWith("Unterminated")) return "unexpected end of JSON input"
      return message.startsWith("Expected property name")
        ? `invalid character '${token}' looking for beginning of object key string`
        : `invalid character '${token}' looking for beginning of value`
    }
  )

const objectMediaTypes = "application/json, application/yaml, application/vnd.kubernetes.protobuf"

/** The media type without its parameters. */
const mediaType = (header: string | undefined): string => (header ?? "").split(";", 1)[0]!.trim().toLowerCase()

/** Checks that the media type is JSON or absent. */
export const checkObjectMediaType = (contentType: string | undefined): Result.Result<void, Reply> => {
  const type = mediaType(contentType)
  return type === "" || type === "application/json"
    ? Result.succeed(undefined)
    : Result.fail(unsupportedMediaType(objectMediaTypes))
}

/** The object in the body of a POST or PUT. `kind` is the expected kind, if it is known. */
export const parseObject = (
  text: string,
  kind: string | undefined,
  apiVersion: string
): Result.Result<Draft, Reply> => {
  const unrecognized = (reason: string) =>
    Result.fail(
      badRequest(
        `the object provided is unrecognized (must be of type ${kind ?? "unknown"}): ${reason} (${excerpt(text)})`
      )
    )
  const parsed = parseJson(text)
  if (Result.isFailure(parsed)) return unrecognized(`couldn't get version/kind; json parse error: ${parsed.failure}`)
  const draft = parsed.success
  if (draft !== null && !isRecord(draft)) {
    return unrecognized(
      `couldn't get version/kind; json parse error: json: cannot unmarshal ${goKind(draft)} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`
    )
  }
  if (draft === null || typeof draft["kind"] !== "string") return unrecognized(`Object 'Kind' is missing in '${text}'`)
  if (typeof draft["apiVersion"] !== "string") return unrecognized(`Object 'apiVersion' is missing in '${text}'`)
  if (draft["apiVersion"] !== apiVersion) {
    return Result.fail(
      badRequest(
        `the API version in the data (${draft["apiVersion"]}) does not match the expected API version (${apiVersion})`
      )
    )
  }
  const problem = typeProblem(draft)
  if (problem === undefined) return Result.succeed(draft)
  const version = apiVersion.slice(apiVersion.indexOf("/") + 1)
  return Result.fail(
    badRequest(`${draft["kind"]} in version "${version}" cannot be handled as a ${draft["kind"]}: ${problem}`)
  )
}

const excerpt = (text: string): string =>
  text === "" ? "<empty>" : text.startsWith("{") ? text.slice(0, 1024) : Buffer.from(text.slice(0, 512)).toString("hex")

const patchMediaTypes = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"

/** The kinds of patch. */
export type PatchKind = "Merge" | "Json"

/** The kind of patch of a media type. */
export const patchKind = (contentType: string | undefined): Result.Result<PatchKind, Reply> => {
  switch (mediaType(contentType)) {
    case "application/merge-patch+json":
      return Result.succeed("Merge")
    case "application/json-patch+json":
      return Result.succeed("Json")
    default:
      return Result.fail(unsupportedMediaType(patchMediaTypes))
  }
}

/** Applies a patch to an object, given as JSON. */
export const applyPatchBody = (kind: PatchKind, patch: string, object: string): Result.Result<Draft, Reply> =>
  Result.flatMap(kind === "Merge" ? mergePatch(patch, object) : jsonPatch(patch, object), checkPatched)

const checkPatched = (draft: Draft): Result.Result<Draft, Reply> => {
  const problem = typeProblem(draft)
  return problem === undefined ? Result.succeed(draft) : Result.fail(invalidPatch(JSON.stringify(draft), problem))
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
  const applied = Result.try(() => patch.every((operation: Operation) => applyOperation(draft, operation)))
  return Result.isSuccess(applied) && applied.success && isRecord(draft)
    ? Result.succeed(draft)
    : Result.fail(patchRejected)
}

const notAPatch = (value: unknown, type: string) =>
  `error decoding patch: json: cannot unmarshal ${goKind(value)} into Go value of type ${type}`

/**
 * As in the library of the API server, a test for null passes if the key is absent, but not if its parent is absent.
 */
const applyOperation = (draft: unknown, operation: Operation): boolean => {
  if (operation.op === "test" && operation.value === null) {
    const { parent, value } = Pointer.fromJSON(operation.path).evaluate(draft)
    return parent !== undefined && parent !== null && (value === undefined || value === null)
  }
  return applyPatch(draft, [operation])[0] === null
}
