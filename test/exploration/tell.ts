/** An action in words: what was done, and what it came to. */
import { kept, keptLabel, type MaybeLine } from "./patch.ts"
import type { Action } from "./rules.ts"
import * as wire from "./wire.ts"
import type { Request, World } from "./world.ts"

/** One line, times counted from the beginning. `seconds` is the time after the action. */
export const tell = (
  { detail, index, name }: Action,
  before: World,
  after: World,
  names: ReadonlyArray<string>,
  seconds: number
): string => {
  const words = wording(names, seconds)
  if (index === wire.nobody) return name.startsWith("a vandal") ? `${name}: ${words.standing(after)}` : name
  const who = names[index]!
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
          : words.standing(after)
    return `${name} ${who} (${words.written(request)}): ${outcome}`
  }
  if (name.startsWith("the network")) return `${name} ${who} (${words.written(before.actors[index]!.request!)})`
  if (actor.request !== undefined && before.actors[index]!.request !== actor.request) {
    return `${who} ${name} (${words.written(actor.request)})`
  }
  return name.startsWith("reads") ? `${who} ${name}: ${words.standing(before)}` : `${who} ${name}`
}

const wording = (names: ReadonlyArray<string>, seconds: number) => {
  const nameOf = (index: number) => names[index] ?? (index === wire.rubbish ? "rubbish" : "a ghost")
  const line = (line: MaybeLine) =>
    line === undefined || line === "any"
      ? "no line"
      : `line ${line.since === wire.absent ? "" : `since ${line.since + seconds} s `}${line.names.map(nameOf).join(" ")}`
  const bits = (mask: number) =>
    names
      .concat(Array.from({ length: 8 - names.length }, () => "a ghost"))
      .filter((_, index) => ((mask >> index) & 1) === 1)
      .join(" ")
  const queue = ({ arrived, forged, label, line: found }: wire.Queue) =>
    [
      found === undefined ? "" : `, ${line(found)}`,
      arrived === 0 ? "" : `, arrived ${bits(arrived)}`,
      forged === 0 ? "" : `, garbled arrivals ${bits(forged)}`,
      label === wire.nobody ? "" : `, label ${nameOf(label)}`
    ].join("")

  const standing = ({ annotations, owner }: World): string => {
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
      patch.line === "any" ? "" : `, ${line(patch.line)}`,
      patch.label === keptLabel ? "" : `, label ${patch.label === wire.nobody ? "removed" : nameOf(patch.label)}`,
      condition.version ? "; if the version is the one read" : "",
      condition.hasHolder ? "; if the holder has a name" : "",
      condition.lease === wire.absent
        ? ""
        : `; if ${nameOf(condition.by)}'s lease until ${condition.lease + seconds} s stands`,
      condition.line === "any" ? "" : `; if ${line(condition.line)}`,
      condition.arrived === 0 ? "" : `; if arrived ${bits(condition.arrived)}`,
      condition.hasLabel === undefined ? "" : `; if ${condition.hasLabel ? "a" : "no"} label`
    ].join("")

  return { standing, written }
}
