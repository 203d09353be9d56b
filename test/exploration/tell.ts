/** An action in words: what was done, and what it came to. */
import { kept, keptLabel, type MaybeWaiters } from "./patch.ts"
import type { Action } from "./rules.ts"
import * as wire from "./wire.ts"
import type { Request, World } from "./world.ts"

/** One line. Times count from the beginning; `seconds` is the time after the action. */
export const tell = (
  { detail, index, name }: Action,
  before: World,
  after: World,
  names: ReadonlyArray<string>,
  seconds: number
): string => {
  const words = wording(names, seconds)
  if (index === wire.nobody) return name.startsWith("a vandal") ? `${name}: ${words.object(after)}` : name
  const contender = names[index]!
  const actor = after.actors[index]!
  if (name.startsWith("the server works")) {
    const request =
      name === "the server works on the write of"
        ? before.actors[index]!.request!
        : before.actors[index]!.limbo[detail]!
    const outcome =
      actor.request?.answer === "refused"
        ? "refused"
        : before.annotations === after.annotations
          ? "nothing changes"
          : words.object(after)
    return `${name} ${contender} (${words.written(request)}): ${outcome}`
  }
  if (name.startsWith("the network")) return `${name} ${contender} (${words.written(before.actors[index]!.request!)})`
  if (actor.request !== undefined && before.actors[index]!.request !== actor.request) {
    return `${contender} ${name} (${words.written(actor.request)})`
  }
  return name.startsWith("reads") ? `${contender} ${name}: ${words.object(before)}` : `${contender} ${name}`
}

const wording = (names: ReadonlyArray<string>, seconds: number) => {
  const nameOf = (index: number) => names[index] ?? (index === wire.rubbish ? "rubbish" : "a ghost")
  const list = (waiters: MaybeWaiters) => {
    if (waiters === undefined || waiters === "any") return "no queue"
    const { chainStartedAt, ids } = waiters
    return `queue ${chainStartedAt === wire.absent ? "" : `since ${chainStartedAt + seconds} s `}${ids.map(nameOf).join(" ")}`
  }
  const bits = (mask: number) =>
    names
      .concat(Array.from({ length: 8 - names.length }, () => "a ghost"))
      .filter((_, index) => ((mask >> index) & 1) === 1)
      .join(" ")
  const queue = ({ garbled, joined, label, neutralWaiters, waiters }: wire.Queue) =>
    [
      waiters === undefined ? "" : `, ${list(waiters)}`,
      neutralWaiters === undefined ? "" : `, neutral ${list(neutralWaiters)}`,
      joined === 0 ? "" : `, joined ${bits(joined)}`,
      garbled === 0 ? "" : `, garbled joins ${bits(garbled)}`,
      label === wire.nobody ? "" : `, label ${nameOf(label)}`
    ].join("")

  const object = ({ annotations, owner }: World): string => {
    const rest = queue(annotations.queue)
    switch (annotations.lock) {
      case wire.absent:
        return `the lock is free${rest}`
      case wire.malformed:
        return `the lock is malformed${rest}`
      default:
        return `${owner === wire.nobody ? "nobody" : nameOf(owner)} has the lock until ${annotations.lock + seconds} s${rest}`
    }
  }

  const written = ({ condition, patch, write }: Request): string =>
    [
      write,
      patch.lock === kept || patch.lock === wire.absent ? "" : ` until ${patch.lock + seconds} s`,
      patch.by === wire.nobody ? "" : ` for ${nameOf(patch.by)}`,
      patch.waiters === "any" ? "" : `, ${list(patch.waiters)}`,
      patch.neutralWaiters === "any" ? "" : `, neutral ${list(patch.neutralWaiters)}`,
      patch.label === keptLabel ? "" : `, label ${patch.label === wire.nobody ? "removed" : nameOf(patch.label)}`,
      condition.version ? "; if the version is the one read" : "",
      condition.holder === 0 ? "" : "; if the holder has a name",
      condition.lease === wire.absent
        ? ""
        : `; if ${nameOf(condition.by)}'s lease until ${condition.lease + seconds} s stands`,
      condition.waiters === "any" ? "" : `; if ${list(condition.waiters)}`,
      condition.neutralWaiters === "any" ? "" : `; if neutral ${list(condition.neutralWaiters)}`,
      condition.joined === 0 ? "" : `; if joined ${bits(condition.joined)}`,
      condition.hasLabel === undefined ? "" : `; if ${condition.hasLabel ? "a" : "no"} label`
    ].join("")

  return { object, written }
}
