/** What each verb does: optimistic concurrency, validation, and metadata that the server sets. */
import * as Result from "effect/Result"
import { applyPatchBody, checkObjectMediaType, parseJson, parseObject, patchKind } from "./body.ts"
import {
  clientMetadata,
  type Draft,
  isRecord,
  type KubeObject,
  metadataOf,
  same,
  sameContent,
  valueProblems
} from "./kubeObject.ts"
import { type ObjectTable, Version } from "./objectTable.ts"
import * as Reply from "./reply.ts"
import { isBuiltIn, type Target } from "./requestPath.ts"
import type * as Selectors from "./selectors.ts"

/** The request, as a verb needs it. */
export interface Call {
  readonly table: ObjectTable
  readonly target: Target
  /** The key of the resource in the table. */
  readonly resource: string
  /** The kind of the objects, if it is known. */
  readonly kind: string | undefined
  readonly query: URLSearchParams
  readonly partial: boolean
  readonly contentType: string | undefined
  readonly body: string
  /** The time of the server, RFC 3339. */
  readonly now: string
  /** Whether the namespace exists, so that objects can be created in it. */
  readonly namespaceExists: boolean
}

type Outcome = Result.Result<Reply.Reply, Reply.Reply>

const apiVersionOf = ({ group, version }: Target) => (group === "" ? version : `${group}/${version}`)

const answer = (call: Call, version: Version, status = 200): Outcome =>
  Result.succeed(Reply.json(status, version.json(call.partial)))

export const get = (call: Call): Outcome => {
  const name = call.target.name ?? ""
  const requested = call.query.get("resourceVersion")
  if (requested) {
    const version = parseVersion(requested)
    if (version === undefined) return Result.fail(Reply.internalError(`resourceVersion: ${notAVersion(requested)}`))
    if (version > call.table.version) return Result.fail(Reply.versionTooLarge(version, call.table.version))
  }
  const found = call.table.get(call.resource, call.target.namespace, name)
  return found === undefined ? Result.fail(Reply.notFound(call.target, name)) : answer(call, found)
}

export const list = (call: Call, selector: Selectors.Selector): Outcome => {
  const requested = call.query.get("resourceVersion")
  if (requested) {
    const version = parseVersion(requested)
    if (version === undefined) {
      return Result.fail(Reply.badRequest(`invalid resource version: resourceVersion: ${notAVersion(requested)}`))
    }
    if (version > call.table.version) return Result.fail(Reply.versionTooLarge(version, call.table.version))
  }
  const items = call.table
    .list(call.resource, call.target.namespace)
    .filter((version) => selector.matches(version.object))
    .map((version) => version.json(call.partial))
  const [apiVersion, kind] = call.partial
    ? ["meta.k8s.io/v1", "PartialObjectMetadataList"]
    : [apiVersionOf(call.target), `${call.kind ?? ""}List`]
  return Result.succeed(
    Reply.json(
      200,
      `{"apiVersion":"${apiVersion}","items":[${items.join(",")}],"kind":"${kind}","metadata":{"continue":"","resourceVersion":"${call.table.version}"}}`
    )
  )
}

export const create = (call: Call): Outcome => {
  const { table, target } = call
  const draft = Result.flatMap(checkObjectMediaType(call.contentType), () =>
    parseObject(call.body, call.kind, apiVersionOf(target))
  )
  if (Result.isFailure(draft)) return Result.fail(draft.failure)
  const metadata = metadataOf(draft.success)
  if (!sameNamespace(metadata.namespace, target)) return Result.fail(wrongNamespace)
  if (!call.namespaceExists) return Result.fail(Reply.namespaceNotFound(target.namespace))
  const name = metadata.name || (metadata.generateName ? metadata.generateName + suffix() : "")
  const problem = invalidObject(call, draft.success, name)
  if (problem !== undefined) return Result.fail(problem)
  if (metadata.resourceVersion) {
    return Result.fail(Reply.internalError("resourceVersion should not be set on objects to be created"))
  }
  if (table.get(call.resource, target.namespace, name) !== undefined) {
    return Result.fail(Reply.alreadyExists(target, name))
  }
  const object = {
    ...draft.success,
    metadata: {
      ...clientMetadata(metadata),
      name,
      ...(target.namespace === "" ? undefined : { namespace: target.namespace }),
      uid: crypto.randomUUID(),
      creationTimestamp: call.now,
      ...(isBuiltIn(target.group) ? undefined : { generation: 1 })
    }
  } as unknown as KubeObject
  return store(call, object, 201)
}

export const update = (call: Call): Outcome => {
  const { target } = call
  const draft = Result.flatMap(checkObjectMediaType(call.contentType), () =>
    parseObject(call.body, call.kind, apiVersionOf(target))
  )
  if (Result.isFailure(draft)) return Result.fail(draft.failure)
  const mismatch = pathMismatch(draft.success, target)
  if (mismatch !== undefined) return Result.fail(mismatch)
  const name = target.name!
  const old = call.table.get(call.resource, target.namespace, name)
  if (old === undefined) return Result.fail(Reply.notFound(target, name))
  const { uid } = metadataOf(draft.success)
  if (uid && uid !== old.object.metadata.uid) {
    return Result.fail(
      Reply.conflict(
        target,
        name,
        `StorageError: invalid object, Code: 4, Key: ${storageKey(target)}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.object.metadata.uid}`
      )
    )
  }
  return replace(call, old, draft.success)
}

export const patch = (call: Call): Outcome => {
  const { target } = call
  const kind = patchKind(call.contentType)
  if (Result.isFailure(kind)) return Result.fail(kind.failure)
  const name = target.name!
  const old = call.table.get(call.resource, target.namespace, name)
  if (old === undefined) return Result.fail(Reply.notFound(target, name))
  const draft = applyPatchBody(kind.success, call.body, old.json(false))
  if (Result.isFailure(draft)) return Result.fail(draft.failure)
  const mismatch = pathMismatch(draft.success, target)
  if (mismatch !== undefined) return Result.fail(mismatch)
  const { uid } = metadataOf(draft.success)
  if (uid && uid !== old.object.metadata.uid) {
    const message = `Invalid value: ${JSON.stringify(uid)}: field is immutable`
    const cause = { reason: "FieldValueInvalid", message, field: "metadata.uid" }
    return Result.fail(Reply.invalid(old.object.kind, target.group, name, [cause, cause]))
  }
  return replace(call, old, draft.success)
}

export const remove = (call: Call): Outcome => {
  const { table, target } = call
  const name = target.name!
  const options = deleteOptions(call)
  if (Result.isFailure(options)) return Result.fail(options.failure)
  const old = table.get(call.resource, target.namespace, name)
  if (old === undefined) return Result.fail(Reply.notFound(target, name))
  const { metadata } = old.object
  const { uid, resourceVersion } = options.success
  const kindTarget = { ...target, plural: old.object.kind }
  if (uid !== undefined && uid !== metadata.uid) {
    return Result.fail(
      Reply.conflict(
        kindTarget,
        name,
        `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`
      )
    )
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    return Result.fail(
      Reply.conflict(
        kindTarget,
        name,
        `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`
      )
    )
  }
  if (metadata.finalizers !== undefined) {
    if (metadata.deletionTimestamp !== undefined) return answer(call, old)
    return store(call, {
      ...old.object,
      metadata: {
        ...metadata,
        deletionTimestamp: call.now,
        deletionGracePeriodSeconds: 0,
        ...(metadata.generation === undefined ? undefined : { generation: metadata.generation + 1 })
      }
    })
  }
  if (!isDryRun(call)) table.remove(call.resource, target.namespace, name)
  return Result.succeed(Reply.deleted(target, name, metadata.uid))
}

const deleteOptions = (
  call: Call
): Result.Result<{ readonly uid?: unknown; readonly resourceVersion?: unknown }, Reply.Reply> => {
  if (call.body === "") return Result.succeed({})
  const mediaType = checkObjectMediaType(call.contentType)
  if (Result.isFailure(mediaType)) return Result.fail(mediaType.failure)
  const parsed = parseJson(call.body)
  if (Result.isFailure(parsed)) {
    return Result.fail(Reply.badRequest(`couldn't get version/kind; json parse error: ${parsed.failure}`))
  }
  const preconditions = isRecord(parsed.success) ? parsed.success["preconditions"] : undefined
  return Result.succeed(isRecord(preconditions) ? preconditions : {})
}

/** The common part of PUT and PATCH: checks the version, then replaces the object. */
const replace = (call: Call, old: Version, draft: Draft): Outcome => {
  const { table, target } = call
  const name = target.name!
  const { metadata: before } = old.object
  const metadata = metadataOf(draft)
  const version = parseVersion(metadata.resourceVersion || "0")
  if (version === undefined) return Result.fail(Reply.internalError(notANumber(metadata.resourceVersion!)))
  if (version === 0) {
    // Built-in objects such as ConfigMaps may be overwritten without a version. Custom resources may not.
    if (target.group !== "") return Result.fail(Reply.invalid(target.plural, target.group, name, [versionMissing]))
  } else if (metadata.resourceVersion !== before.resourceVersion) {
    return Result.fail(Reply.modified(target, name))
  }
  const problem = invalidObject(call, draft, name)
  if (problem !== undefined) return Result.fail(problem)
  const { uid, resourceVersion, creationTimestamp, generation, deletionTimestamp, deletionGracePeriodSeconds } = before
  const after = {
    ...draft,
    metadata: {
      ...clientMetadata(metadata),
      name,
      ...(target.namespace === "" ? undefined : { namespace: target.namespace }),
      uid,
      resourceVersion,
      creationTimestamp,
      ...(generation === undefined
        ? undefined
        : { generation: sameContent(draft, old.object) ? generation : generation + 1 }),
      ...(deletionTimestamp === undefined ? undefined : { deletionTimestamp, deletionGracePeriodSeconds })
    }
  } as unknown as KubeObject
  if (same(after, old.object)) return answer(call, old)
  if (deletionTimestamp !== undefined && after.metadata.finalizers === undefined) {
    if (!isDryRun(call)) table.remove(call.resource, target.namespace, name)
    return answer(call, new Version(after))
  }
  return store(call, after)
}

const store = (call: Call, object: KubeObject, status = 200): Outcome => {
  const next = call.table.next(object)
  const json = next.json(false)
  // etcd counts bytes. A character takes at most three of them in UTF-8, so shorter strings need no counting.
  if (json.length > maxObjectBytes / 3 && Buffer.byteLength(json) > maxObjectBytes) {
    return Result.fail(Reply.internalError("etcdserver: request is too large"))
  }
  if (isDryRun(call)) return answer(call, new Version(object), status)
  call.table.put(call.resource, next)
  return answer(call, next, status)
}

const maxObjectBytes = 1_572_864

const isDryRun = (call: Call) => call.query.get("dryRun") === "All"

const invalidObject = (call: Call, draft: Draft, name: string): Reply.Reply | undefined => {
  const { target } = call
  const kind = String(draft["kind"])
  const apiVersion = apiVersionOf(target)
  const wrong = (field: string, value: unknown, problem: string) =>
    Reply.invalid(kind, target.group, name, [
      { reason: "FieldValueInvalid", message: `Invalid value: ${JSON.stringify(value)}: ${problem}`, field }
    ])
  if (call.kind !== undefined && kind !== call.kind) return wrong("kind", kind, `must be ${call.kind}`)
  if (draft["apiVersion"] !== apiVersion) return wrong("apiVersion", draft["apiVersion"], `must be ${apiVersion}`)
  const causes = valueProblems({ ...metadataOf(draft), name })
  return causes.length === 0 ? undefined : Reply.invalid(kind, target.group, name, causes)
}

/** The error of an object whose name or namespace differs from its path. */
const pathMismatch = (draft: Draft, target: Target): Reply.Reply | undefined => {
  const { name, namespace } = metadataOf(draft)
  if (!name) {
    return Reply.badRequest(
      `the name of the object (${target.name} based on URL) was undeterminable: name must be provided`
    )
  }
  if (name !== target.name) {
    return Reply.badRequest(`the name of the object (${name}) does not match the name on the URL (${target.name})`)
  }
  return sameNamespace(namespace, target) ? undefined : wrongNamespace
}

const sameNamespace = (namespace: string | undefined | null, target: Target) =>
  !namespace || namespace === target.namespace

const wrongNamespace = Reply.badRequest(
  "the namespace of the provided object does not match the namespace sent on the request"
)

const versionMissing: Reply.Cause = {
  reason: "FieldValueInvalid",
  message: "Invalid value: 0: must be specified for an update",
  field: "metadata.resourceVersion"
}

const storageKey = ({ group, plural, namespace, name }: Target) =>
  `/registry/${group === "" ? "" : `${group}/`}${plural}/${namespace === "" ? "" : `${namespace}/`}${name}`

/** A resourceVersion as a number, or `undefined` if it is not one. */
export const parseVersion = (version: string): number | undefined =>
  /^[0-9]+$/.test(version) ? Number(version) : undefined

const notANumber = (version: string) => `strconv.ParseUint: parsing ${JSON.stringify(version)}: invalid syntax`

/** The message about a resourceVersion that is not a number. */
export const notAVersion = (version: string): string =>
  `Invalid value: ${JSON.stringify(version)}: ${notANumber(version)}`

/** Five random characters, from those that Kubernetes uses for generated names. */
const suffix = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(5)), (byte) => alphabet[byte % alphabet.length]).join("")

const alphabet = "bcdfghjklmnpqrstvwxz2456789"
