/** An action in words: what was done, and what it came to. */
import type { Action } from "./contender.ts"
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
  if (index === wire.nobody) return name
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
          : standing(after, names, seconds)
    return `${name} ${who} (${written(request, seconds)}): ${outcome}`
  }
  if (name.startsWith("the network")) return `${name} ${who} (${written(before.actors[index]!.request!, seconds)})`
  if (name.startsWith("reads")) return `${who} ${name}: ${standing(before, names, seconds)}`
  if (name.startsWith("sends") && actor.request !== undefined) {
    return `${who} ${name} (${written(actor.request, seconds)})`
  }
  return `${who} ${name}`
}

const standing = ({ annotations, owner }: World, names: ReadonlyArray<string>, seconds: number): string => {
  switch (annotations.lock) {
    case wire.absent:
      return "the lock is free"
    case wire.malformed:
      return "the lock is malformed"
    default:
      return `${names[owner] ?? "nobody"} has the lock until ${annotations.lock + seconds} s`
  }
}

const written = ({ expects, lease, until, write }: Request, seconds: number): string => {
  const what = write === "remove" ? "remove" : `until ${until + seconds} s`
  switch (expects) {
    case "version":
      return `${what}, if the version is the one read`
    case "lease":
      return `${what}, if the lease until ${lease + seconds} s stands`
    case "nothing":
      return `${what}, unconditionally`
  }
}
