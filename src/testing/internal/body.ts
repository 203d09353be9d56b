/** The object in the body of a POST or PUT: its media type, its JSON, its kind. */
import * as Result from "effect/Result"
import { goKind, isRecord, parseJson } from "./json.ts"
import { builtInKinds } from "./kinds/index.ts"
import { apiVersionOf, type Kind } from "./kinds/kind.ts"
import type { Draft } from "./kubeObject.ts"
import { badRequest, notImplemented, type Reply, unsupportedMediaType } from "./reply.ts"

const objectMediaTypes = "application/json, application/yaml, application/vnd.kubernetes.protobuf"

/** The media type without its parameters. */
export const mediaType = (header: string | undefined): string => (header ?? "").split(";", 1)[0]!.trim().toLowerCase()

/** Checks that the media type is JSON or absent. */
export const checkObjectMediaType = (contentType: string | undefined): Result.Result<void, Reply> => {
  switch (mediaType(contentType)) {
    case "":
    case "application/json":
      return Result.succeed(undefined)
    case "application/yaml":
      return Result.fail(notImplemented("reads no YAML: send JSON"))
    default:
      return Result.fail(unsupportedMediaType(objectMediaTypes))
  }
}

/** The object in the body. `kind` is its kind, if it is known. */
export const parseObject = (text: string, expected: Kind, isKnown: boolean): Result.Result<Draft, Reply> => {
  const unrecognized = (reason: string) =>
    Result.fail(
      badRequest(
        `the object provided is unrecognized (must be of type ${isKnown ? expected.kind : "unknown"}): ${reason} (${excerpt(text)})`
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
  const apiVersion = apiVersionOf(expected)
  if (expected.isBuiltIn) {
    // Built-in types are told by the path; a body that names neither kind nor version is read as that type.
    const { kind, apiVersion: version } = draft ?? {}
    const named = { kind: kind || expected.kind, apiVersion: version || apiVersion }
    const problem = otherType(named, expected)
    return problem === undefined
      ? Result.succeed({ ...draft, ...named })
      : Result.fail(badRequest(`${cannotBeHandled(named, expected)}: ${problem}`))
  }
  if (draft === null || typeof draft["kind"] !== "string") return unrecognized(`Object 'Kind' is missing in '${text}'`)
  if (typeof draft["apiVersion"] !== "string") return unrecognized(`Object 'apiVersion' is missing in '${text}'`)
  if (draft["apiVersion"] === apiVersion) return Result.succeed(draft)
  return Result.fail(
    badRequest(
      `the API version in the data (${draft["apiVersion"]}) does not match the expected API version (${apiVersion})`
    )
  )
}

/** The beginning of the message about an object that does not fit its type. */
export const cannotBeHandled = (draft: Draft, expected: Kind): string => {
  const version = String(draft["apiVersion"])
  return `${String(draft["kind"])} in version "${version.slice(version.indexOf("/") + 1)}" cannot be handled as a ${expected.kind}`
}

/** What is wrong with the kind and the version of an object of a built-in type. */
export const otherType = (draft: Draft, expected: Kind): string | undefined => {
  const { apiVersion, kind } = draft
  if (kind === expected.kind && apiVersion === apiVersionOf(expected)) return undefined
  const other = builtInKinds.find((one) => one.kind === kind && apiVersionOf(one) === apiVersion)
  return other === undefined
    ? `no kind "${String(kind)}" is registered for version "${String(apiVersion)}" in scheme "pkg/api/legacyscheme/scheme.go:30"`
    : `converting (${goPackage(other)}.${other.kind}) to (${internalPackage(expected)}.${expected.kind}): unknown conversion`
}

const goPackage = ({ version }: Kind) => version
const internalPackage = ({ group }: Kind) => (group === "" ? "core" : group.split(".", 1)[0]!)

const cut = (text: string, most = 30) => (text.length > most ? `${text.slice(0, most)} ...` : text)

const excerpt = (text: string): string =>
  text === "" ? "<empty>" : text.startsWith("{") ? cut(text) : cut(Buffer.from(text.slice(0, 31)).toString("hex"), 60)
