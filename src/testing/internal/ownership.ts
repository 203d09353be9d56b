/** Keeps `managedFields` up to date with each write. */
import { isDeepStrictEqual } from "node:util"
import type { Call } from "./call.ts"
import type { FieldSet } from "./fieldSet.ts"
import { apiVersionOf } from "./kinds/kind.ts"
import type { KubeObject } from "./kubeObject.ts"
import {
  afterApply,
  afterUpdate,
  differenceOf,
  managedFieldsOf,
  type Manager,
  type Owner,
  ownersOf
} from "./managedFields.ts"

/** The writer of a call. */
export const managerOf = (call: Call, operation: Manager["operation"]): Manager => ({
  manager: call.manager,
  operation,
  apiVersion: apiVersionOf(call.kind),
  ...(call.target.subresource === undefined ? {} : { subresource: call.target.subresource })
})

/** The owners before a write. A writer that applies to an object without owners finds one that owns all of it. */
export const ownersBefore = (call: Call, before: KubeObject, sent: unknown): ReadonlyArray<Owner> => {
  const owners = ownersOf(sent) ?? ownersOf(before.metadata["managedFields"])
  if (owners !== undefined) return owners
  const first = { ...managerOf(call, "Update"), manager: "before-first-apply" }
  return afterUpdate([], first, differenceOf(call.kind, undefined, before), call.now)
}

/**
 * An object with its owners. Updates of an object without owners, such as one that a test put there, are not followed
 * until somebody applies.
 */
export const withOwners = (
  call: Call,
  before: KubeObject | undefined,
  after: KubeObject,
  sent: unknown,
  applied: FieldSet | undefined
): KubeObject => {
  const isReset = before !== undefined && isDeepStrictEqual(sent, [{}])
  const isFollowed = before === undefined || before.metadata["managedFields"] !== undefined || applied !== undefined
  if (isReset || !isFollowed) return after
  const changes = differenceOf(call.kind, before, after)
  const owners = before === undefined ? (ownersOf(sent) ?? []) : ownersBefore(call, before, sent)
  const next =
    applied === undefined
      ? afterUpdate(owners, managerOf(call, "Update"), changes, call.now)
      : afterApply(owners, managerOf(call, "Apply"), applied, changes, call.now)
  const managedFields = managedFieldsOf(next)
  return managedFields.length === 0 ? after : { ...after, metadata: { ...after.metadata, managedFields } }
}
