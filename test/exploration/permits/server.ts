/** The API server works on a write to the line, and the write is judged. */
import type { AnnotationGuardedPatch, ConditionalPatch, ObjectSnapshot } from "../../../src/ObjectStore.ts"
import * as precondition from "../../../src/internal/precondition.ts"
import * as LockQueue from "../../../src/LockQueue.ts"
import * as PermitProtocol from "../../../src/PermitProtocol.ts"
import * as PermitRecord from "../../../src/PermitRecord.ts"
import { millis } from "../time.ts"
import { type Library, trueKind } from "./library.ts"
import { type Cast, foreign, type World } from "./world.ts"

/** What comes of a write: the object after it if it was applied, and what it violates. */
export interface Served {
  readonly world: World
  readonly written: ObjectSnapshot | undefined
  readonly violation?: string | undefined
}

const patched = <A extends Readonly<Record<string, string>>>(
  values: A,
  patch: Readonly<Record<string, string | null>>
): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries({ ...values, ...patch }).filter((entry): entry is [string, string] => entry[1] !== null)
  )

/** The object as a write leaves it, without its new version; `undefined` if the precondition does not hold. */
export const applied = (object: ObjectSnapshot, write: ConditionalPatch): ObjectSnapshot | undefined => {
  const { expect } = write
  if ("resourceVersion" in expect) {
    if (expect.resourceVersion !== object.resourceVersion) return undefined
  } else {
    const { annotations, hasLabels } = expect
    if (!precondition.isMet(annotations, object.annotations)) return undefined
    if (hasLabels !== undefined && hasLabels !== Object.keys(object.labels).length > 0) return undefined
  }
  const { copies = [], stamps = [] } = "resourceVersion" in expect ? {} : (write as AnnotationGuardedPatch)
  const values = { annotations: { ...object.annotations }, labels: { ...object.labels } }
  for (const { from, to } of copies) {
    const value = values.annotations[from]
    if (value === undefined) return undefined
    if ("label" in to) values.labels[to.label] = value
    else values.annotations[to.annotation] = value
  }
  const stamped = Object.fromEntries(stamps.map((name) => [name, object.resourceVersion]))
  const annotations = patched(values.annotations, { ...write.annotations, ...stamped })
  return { ...object, annotations, labels: patched(values.labels, write.labels ?? {}) }
}

/** The line on an object, as it is. */
export const lineOf = (cast: Cast, { annotations }: ObjectSnapshot): ReadonlyArray<PermitRecord.Placed> => {
  const known = linesOf.get(annotations)
  if (known !== undefined) return known
  const line = PermitRecord.placed(trueKind(cast).decode(annotations))
  linesOf.set(annotations, line)
  return line
}

const linesOf = new WeakMap<ObjectSnapshot["annotations"], ReadonlyArray<PermitRecord.Placed>>()

/** The object in its next version. */
export const next = (object: ObjectSnapshot): ObjectSnapshot => ({
  ...object,
  resourceVersion: String(Number(object.resourceVersion) + 1)
})

const isSame = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean => {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}

/** Works on a write of this contender. `late`: its sender waits no longer. */
export const serve = (
  cast: Cast,
  library: Library,
  world: World,
  write: ConditionalPatch,
  index: number,
  late: boolean
): Served => {
  const { object } = world
  const after = applied(object, write)
  if (after === undefined) return { world, written: undefined }
  if (isSame(after.annotations, object.annotations) && isSame(after.labels, object.labels)) {
    return { world, written: object }
  }
  const written = next(after)
  const [was, is] = [lineOf(cast, object), lineOf(cast, written)]
  const own = library.ids[index]!
  const isNew = is.some(({ holderId }) => holderId === own) && !was.some(({ holderId }) => holderId === own)
  const letIn = is.filter(
    ({ granted, holderId }) =>
      holderId !== own &&
      !PermitProtocol.isWaiting(is.find((lease) => lease.holderId === holderId)!) &&
      granted > (was.find((lease) => lease.holderId === holderId)?.granted ?? granted)
  )
  const label = written.labels[LockQueue.labelKey(library.kinds[index]!.key)]
  const isWoken = (holderId: string) => label === PermitProtocol.several || label === LockQueue.processIdOf(holderId)
  const contenders = world.contenders.map((contender, at) => {
    const letInBy = at === index && contender.stage === "Releasing" ? letIn : []
    const unwoken = [...contender.unwoken, ...letInBy.map(({ holderId }) => holderId)].filter((id) => !isWoken(id))
    const litters = contender.litters || (at === index && late && isNew && !("resourceVersion" in write.expect))
    const robbedUntil = at === index && isNew && !late ? undefined : contender.robbedUntil
    return { ...contender, litters, robbedUntil, unwoken }
  })
  const changed = { ...world, object: written, contenders }
  return { world: changed, written, violation: judge(cast, library, world, written, index) }
}

const judge = (
  cast: Cast,
  library: Library,
  { object, tick }: World,
  written: ObjectSnapshot,
  index: number
): string | undefined => {
  const { annotations } = written
  if (annotations[foreign] !== object.annotations[foreign]) return "what others wrote on the object is gone"
  const [was, is] = [lineOf(cast, object), lineOf(cast, written)]
  const own = library.ids[index]!
  const isOwn = (holderId: string) =>
    holderId === own || (cast.askers[index + 1]?.again === true && holderId === library.ids[index + 1])
  for (const lease of was) {
    const still = is.find(({ holderId }) => holderId === lease.holderId)
    if (still !== undefined && still.place !== lease.place) return "a contender in the line has another place"
    if (isOwn(lease.holderId)) continue
    if (still === undefined && millis(tick) <= lease.expiresAt) return "a lease was removed that had not expired"
    if (still !== undefined && (still.expiry !== lease.expiry || still.permits !== lease.permits)) {
      return "a contender changed the lease of another"
    }
  }
  const joined = is.filter(({ holderId }) => !was.some((lease) => lease.holderId === holderId))
  if (joined.some(({ holderId }) => !isOwn(holderId))) return "a contender put another one into the line"
  const kept = is.filter((lease) => !joined.includes(lease)).length
  if (joined.some((lease) => is.indexOf(lease) < kept)) return passed
  if (is.length > 0 && annotations[trueKind(cast).key] !== cast.permits.mark) return "a line has lost its mark"
  return undefined
}

const passed = "a contender passed one that came before it"
