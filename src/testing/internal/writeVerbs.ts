/** POST, PUT and PATCH: optimistic concurrency, validation, and metadata that the server sets. */
import * as Result from "effect/Result"
import { cannotBeHandled, checkObjectMediaType, otherType, parseObject } from "./body.ts"
import { answer, type Call, notANumber, type Outcome, parseVersion } from "./call.ts"
import { forbidden, invalid } from "./causes.ts"
import type { FieldSet } from "./fieldSet.ts"
import { unsupported } from "./kinds/definition.ts"
import { apiVersionOf, type Kind } from "./kinds/kind.ts"
import {
  clientMetadata,
  type Draft,
  type KubeObject,
  metadataOf,
  same,
  sameContent,
  valueProblems
} from "./kubeObject.ts"
import { withLastApplied } from "./lastApplied.ts"
import { Version } from "./objectTable.ts"
import { isDryRun, optionsProblem, type OptionsKind, unknownFields, withWarnings } from "./options.ts"
import { withOwners } from "./ownership.ts"
import { applyPatchBody, patchKind } from "./patchBody.ts"
import { readObject, type ReadObject } from "./readObject.ts"
import * as Reply from "./reply.ts"
import type { Target } from "./requestPath.ts"
import { problems } from "./structural.ts"
import { duplicates } from "./uniqueElements.ts"

/** What a client sent, with known fields only. */
export interface Sent extends ReadObject {
  readonly name: string
}

/** What a server-side apply sent, and its fields. */
export interface Applied {
  readonly object: Draft
  readonly fields: FieldSet
}

export const create = (call: Call): Outcome =>
  Result.flatMap(bodyOf(call, "CreateOptions"), (sent) => {
    const metadata = metadataOf(sent.draft)
    if (!sameNamespace(metadata.namespace, call.target)) return Result.fail(wrongNamespace)
    const name = metadata.name || (metadata.generateName ? metadata.generateName + suffix() : "")
    return insert(call, { ...sent, name })
  })

/** Makes an object. */
export const insert = (call: Call, { draft, dropped, name }: Sent, applied?: Applied): Outcome => {
  const { kind, table, target } = call
  const metadata = metadataOf(draft)
  if (!call.namespaceExists) return Result.fail(Reply.namespaceNotFound(target.namespace))
  const { status: _, ...withoutStatus } = draft
  const object = prepare(kind, undefined, {
    ...(kind.hasStatus === true ? withoutStatus : draft),
    metadata: {
      ...clientMetadata(metadata),
      name,
      ...(target.namespace === "" ? undefined : { namespace: target.namespace }),
      uid: crypto.randomUUID(),
      creationTimestamp: call.now,
      ...(hasGeneration(kind) ? { generation: 1 } : undefined)
    }
  })
  const problem = invalidObject(call, object, undefined)
  if (problem !== undefined) return Result.fail(problem)
  if (call.target.name === undefined && metadata.resourceVersion) {
    return Result.fail(Reply.internalError("resourceVersion should not be set on objects to be created"))
  }
  if (table.get(call.resource, target.namespace, name) !== undefined) {
    return Result.fail(Reply.alreadyExists(target, name))
  }
  const owned = withOwners(call, undefined, object, metadata.managedFields, applied?.fields)
  return warn(call, dropped, store(call, owned, 201))
}

export const update = (call: Call): Outcome =>
  Result.flatMap(bodyOf(call, "UpdateOptions"), (sent) => {
    const { target } = call
    const mismatch = pathMismatch(sent.draft, target)
    if (mismatch !== undefined) return Result.fail(mismatch)
    const name = target.name!
    const old = call.table.get(call.resource, target.namespace, name)
    const makes = old === undefined && call.kind.createsOnUpdate === true
    if (old === undefined && !makes) return Result.fail(Reply.notFound(target, name))
    const { uid } = metadataOf(sent.draft)
    if (uid && uid !== old?.object.metadata.uid) return Result.fail(otherUid(call, uid, old))
    return old === undefined
      ? insert(call, { ...sent, name })
      : warn(call, sent.dropped, replace(call, old, sent.draft))
  })

export const patch = (call: Call): Outcome => {
  const { kind, target } = call
  const patched = patchKind(call.contentType, kind)
  if (Result.isFailure(patched)) return Result.fail(patched.failure)
  const options = optionsProblem(call.query, "PatchOptions")
  if (options !== undefined) return Result.fail(options)
  const name = target.name!
  const old = call.table.get(call.resource, target.namespace, name)
  if (old === undefined) return Result.fail(Reply.notFound(target, name))
  const merged = applyPatchBody(patched.success, call.body, old.json("Whole"), kind)
  if (Result.isFailure(merged)) return Result.fail(merged.failure)
  const misread = kind.isBuiltIn ? otherType(merged.success, kind) : undefined
  const read = misread === undefined ? readObject(kind, merged.success) : Result.fail(misread)
  if (Result.isFailure(read)) return Result.fail(Reply.invalidPatch(JSON.stringify(merged.success), read.failure))
  const { draft, dropped } = read.success
  const mismatch = pathMismatch(draft, target) ?? strictly(call, draft, dropped)
  if (mismatch !== undefined) return Result.fail(mismatch)
  const { uid } = metadataOf(draft)
  if (uid && uid !== old.object.metadata.uid) {
    const message = `Invalid value: ${JSON.stringify(uid)}: field is immutable`
    const cause = { reason: "FieldValueInvalid", message, field: "metadata.uid" }
    return Result.fail(Reply.invalid(old.object.kind, target.group, name, [cause, cause]))
  }
  return warn(call, dropped, replace(call, old, draft))
}

/** The object in the body of a POST or PUT. */
const bodyOf = (call: Call, options: OptionsKind): Result.Result<ReadObject, Reply.Reply> => {
  const mediaType = checkObjectMediaType(call.contentType)
  if (Result.isFailure(mediaType)) return Result.fail(mediaType.failure)
  const problem = optionsProblem(call.query, options)
  if (problem !== undefined) return Result.fail(problem)
  const { kind } = call
  return Result.flatMap(parseObject(call.body, kind, call.kindIsKnown), (draft) => {
    const read = Result.mapError(readObject(kind, draft), (message) =>
      Reply.badRequest(`${cannotBeHandled(draft, kind)}: ${message}`)
    )
    return Result.flatMap(read, (read) => {
      const strict = strictly(call, draft, read.dropped)
      return strict === undefined ? Result.succeed(read) : Result.fail(strict)
    })
  })
}

/** The error of `fieldValidation=Strict`. */
const strictly = (call: Call, draft: Draft, dropped: ReadonlyArray<string>): Reply.Reply | undefined =>
  dropped.length === 0 || call.query.get("fieldValidation") !== "Strict"
    ? undefined
    : Reply.badRequest(`${cannotBeHandled(draft, call.kind)}: strict decoding error: ${unknownFields(dropped)}`)

const warn = (call: Call, dropped: ReadonlyArray<string>, outcome: Outcome): Outcome =>
  Result.map(outcome, (reply) => withWarnings(reply, dropped, call.query))

const prepare = (kind: Kind, before: KubeObject | undefined, draft: Draft): KubeObject => {
  const object = draft as unknown as KubeObject
  return kind.prepare === undefined ? object : kind.prepare(object, before)
}

/** Most built-in kinds do not count the changes of their content. */
const hasGeneration = (kind: Kind) => !kind.isBuiltIn || kind.group === "apiextensions.k8s.io"

const otherUid = ({ kind, target }: Call, uid: string, old: Version | undefined) => {
  const key = `/registry/${kind.isBuiltIn ? "" : `${target.group}/`}${target.plural}/${target.namespace === "" ? "" : `${target.namespace}/`}${target.name}`
  return Reply.conflict(
    target,
    target.name!,
    `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old?.object.metadata.uid ?? ""}`
  )
}

/** The common part of PUT and PATCH: checks the version, then replaces the object. */
export const replace = (call: Call, old: Version, draft: Draft, applied?: Applied): Outcome => {
  const { kind, table, target } = call
  const name = target.name!
  const { metadata: before } = old.object
  const metadata = metadataOf(draft)
  const version = parseVersion(metadata.resourceVersion || "0")
  if (version === undefined) return Result.fail(Reply.internalError(notANumber(metadata.resourceVersion!)))
  if (version === 0) {
    // Most built-in objects may be overwritten without a version. Leases and custom resources may not.
    if (!kind.isBuiltIn || kind.needsVersion === true) {
      return Result.fail(Reply.invalid(target.plural, target.group, name, [versionMissing]))
    }
  } else if (metadata.resourceVersion !== before.resourceVersion) {
    return Result.fail(Reply.modified(target, name))
  }
  const content = successor(call, old.object, draft)
  const owned = withOwners(call, old.object, content, metadata.managedFields, applied?.fields)
  const after = applied === undefined ? owned : withLastApplied(call.manager, owned, applied.object)
  const problem = invalidObject(call, after, old.object)
  if (problem !== undefined) return Result.fail(problem)
  if (same(after, old.object)) return answer(call, old)
  if (before.deletionTimestamp !== undefined && after.metadata.finalizers === undefined) {
    if (!isDryRun(call.query)) table.remove(call.resource, target.namespace, name)
    return answer(call, new Version(after))
  }
  return store(call, after)
}

/** The next state of an object. Its status is changed through the subresource only, if there is one. */
const successor = ({ kind, target }: Call, old: KubeObject, draft: Draft): KubeObject => {
  const { status, ...content } = draft
  const { status: oldStatus, ...oldContent } = old
  const withStatus = (object: Draft, value: unknown) => (value === undefined ? object : { ...object, status: value })
  if (target.subresource === "status") return withStatus(oldContent, status) as unknown as KubeObject
  const next = kind.hasStatus === true ? withStatus(content, oldStatus) : draft
  const { metadata: before } = old
  const { creationTimestamp, deletionGracePeriodSeconds, deletionTimestamp, generation, resourceVersion, uid } = before
  const object = prepare(kind, old, {
    ...next,
    metadata: {
      ...clientMetadata(metadataOf(draft)),
      name: before.name,
      ...(before.namespace === undefined ? undefined : { namespace: before.namespace }),
      uid,
      resourceVersion,
      creationTimestamp,
      ...(deletionTimestamp === undefined ? undefined : { deletionTimestamp, deletionGracePeriodSeconds })
    }
  })
  if (generation === undefined) return object
  const counted = sameContent(object, old) ? generation : generation + 1
  return { ...object, metadata: { ...object.metadata, generation: counted } }
}

const store = (call: Call, object: KubeObject, status = 200): Outcome => {
  const lack = call.kind.kind === "CustomResourceDefinition" ? unsupported(object) : undefined
  if (lack !== undefined) return Result.fail(Reply.notImplemented(`has ${lack}`))
  const next = call.table.next(object)
  const json = next.json("Whole")
  // etcd counts bytes. A character takes at most three of them in UTF-8, so shorter strings need no counting.
  if (json.length > maxObjectBytes / 3 && Buffer.byteLength(json) > maxObjectBytes) {
    return Result.fail(Reply.internalError("etcdserver: request is too large"))
  }
  if (isDryRun(call.query)) return answer(call, new Version(object), status)
  call.table.put(call.resource, next)
  return answer(call, next, status)
}

const maxObjectBytes = 1_572_864

const invalidObject = (call: Call, object: KubeObject, before: KubeObject | undefined): Reply.Reply | undefined => {
  const { kind, target } = call
  const { name } = object.metadata
  const wrong = (field: string, value: unknown, problem: string) =>
    Reply.invalid(object.kind, target.group, name, [
      { reason: "FieldValueInvalid", message: `Invalid value: ${JSON.stringify(value)}: ${problem}`, field }
    ])
  const apiVersion = apiVersionOf(kind)
  if (call.kindIsKnown && object.kind !== kind.kind) return wrong("kind", object.kind, `must be ${kind.kind}`)
  if (object.apiVersion !== apiVersion) return wrong("apiVersion", object.apiVersion, `must be ${apiVersion}`)
  const causes = [
    ...valueProblems(object.metadata, kind.nameIsLabel),
    ...newFinalizers(object.metadata, before?.metadata),
    ...(kind.isBuiltIn || !kind.isModelled
      ? []
      : [...problems(kind.schema, object), ...duplicates(kind.schema, object)]),
    ...(kind.validate?.(object, before) ?? [])
  ]
  return causes.length === 0 ? undefined : Reply.invalid(object.kind, target.group, name, causes)
}

/** An object that is being deleted can get no other finalizers. The API server looks for that twice. */
const newFinalizers = (
  after: KubeObject["metadata"],
  before: KubeObject["metadata"] | undefined
): ReadonlyArray<Reply.Cause> => {
  if (before?.deletionTimestamp === undefined) return []
  const added = after.finalizers?.filter((name) => before.finalizers?.includes(name) !== true) ?? []
  if (added.length === 0) return []
  const named = `[]string{${added
    .toSorted()
    .map((name) => JSON.stringify(name))
    .join(", ")}}`
  const rule = `no new finalizers can be added if the object is being deleted, found new finalizers ${named}`
  const cause = forbidden("metadata.finalizers", rule)
  return [cause, cause]
}

/** The error of an object whose name or namespace differs from its path. */
export const pathMismatch = (draft: Draft, target: Target): Reply.Reply | undefined => {
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

const versionMissing = invalid("metadata.resourceVersion", 0, "must be specified for an update")

/** Five random characters, from those that Kubernetes uses for generated names. */
const suffix = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(5)), (byte) => alphabet[byte % alphabet.length]).join("")

const alphabet = "bcdfghjklmnpqrstvwxz2456789"
