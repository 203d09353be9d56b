/**
 * The vandal: spoils what is on the object for the queue, which is anybody's to write, and leaves the lock alone.
 *
 * It deletes, garbles and forges the line, the arrivals and the label: with the names of contenders that wait, that are
 * through, that are still to come, and that never were.
 */
import * as Effect from "effect/Effect"
import type { ObjectSnapshot } from "../../src/ObjectStore.ts"
import type { Dice } from "./dice.ts"
import type { VandalPlan } from "./plan.ts"
import { id, type Server } from "./server.ts"

/** What a vandal needs of its world: the server, the keys of the processes, and true time. */
export interface Options {
  readonly plan: VandalPlan
  readonly dice: Dice
  readonly server: Server
  readonly keys: ReadonlyArray<string>
  readonly at: (millis: number) => Effect.Effect<void>
  readonly now: () => number
}

const name = /^(\w{1,63})\/([a-z0-9]{12})\.[a-z0-9]+$/

type Spoiling = {
  readonly annotations?: Record<string, string | null>
  readonly labels?: Record<string, string | null>
}

/** Spoils the queue now and then, until the plan says that it is enough. */
export const run = ({ at, dice, keys, now, plan, server }: Options): Effect.Effect<void> => {
  // Names that were seen on the object, and the processes in them.
  const names = new Set<string>()
  const processes = new Map<string, string>()

  const learn = ({ annotations }: ObjectSnapshot) => {
    for (const value of Object.values(annotations)) {
      for (const token of value.split(/[ @]/)) {
        const [contender, title, process] = name.exec(token) ?? []
        if (contender === undefined || title === "ghost") continue
        names.add(contender)
        processes.set(process!, title!)
      }
    }
  }

  const ghostProcess = () => Array.from({ length: 12 }, () => dice.pick(letters)).join("")
  const ghost = () => `ghost/${ghostProcess()}.${dice.between(1, 9)}`
  const known = () => (names.size === 0 ? ghost() : dice.pick([...names]))
  const process = () => (processes.size === 0 ? ghostProcess() : dice.pick([...processes.keys()]))
  // A wish that a real process has not made yet, has just made, or had long ago.
  const other = () => {
    const of = process()
    return `${processes.get(of) ?? "ghost"}/${of}.${dice.between(1, 40).toString(36)}`
  }
  const anybody = () => dice.pick([ghost, known, known, other])()
  const several = (most: number, one: () => string) => Array.from({ length: dice.between(1, most) }, one)
  const junk = () =>
    dice.pick(["", " ", "?", "since=", "since=99999999999999999", "a/b.c", "\u0000{}", "x".repeat(2000)])

  const found = () => dice.pick(["@0", "@1", `@${dice.between(1, 1000)}`, `@${"9".repeat(20)}`, "@", ""])

  const spoil = ({ annotations, labels }: ObjectSnapshot): Spoiling => {
    const key = keys.length === 1 ? keys[0]! : dice.pick(keys)
    const line = `${key}-queue`
    const label = `${key}-next`
    const arrival = (process: string) => `${line}-${process}`
    const arrivals = Object.keys(annotations).filter((name) => name.startsWith(`${line}-`))
    const tokens = (annotations[line] ?? "").split(" ").filter((token) => token !== "")
    const noArrivals = Object.fromEntries(arrivals.map((name) => [name, null]))
    const noLabel = label in labels ? { [label]: null } : {}
    const choices: ReadonlyArray<() => Spoiling> = [
      () => ({ annotations: { [line]: null } }),
      () => ({ annotations: noArrivals }),
      () => ({ labels: noLabel }),
      () => ({ annotations: { ...noArrivals, [line]: null }, labels: noLabel }),
      () => ({ annotations: { [line]: junk() } }),
      () => ({ annotations: { [line]: [...several(3, junk), ...tokens, ...several(3, junk)].join(" ") } }),
      () => ({ annotations: { [line]: tokens.toReversed().join(" ") } }),
      () => ({ annotations: { [line]: [...tokens, ...tokens, ...several(3, anybody)].join(" ") } }),
      () => ({ annotations: { [line]: [...several(3, anybody), ...tokens].join(" ") } }),
      () => ({ annotations: { [line]: several(5, anybody).join(" ") } }),
      () => ({ annotations: { [line]: Array.from({ length: 200 }, ghost).join(" ") } }),
      () => ({
        annotations: { [line]: `since=${Math.round(server.time()) - dice.between(-5000, 5000)} ${tokens.join(" ")}` }
      }),
      () => ({ annotations: { [arrival(process())]: dice.pick([anybody, junk])() + found() } }),
      () => {
        const name = anybody()
        return { annotations: { [arrival(name.slice(-14).split("/").at(-1)!.split(".")[0]!)]: name + found() } }
      },
      () => ({
        annotations: Object.fromEntries(several(60, ghost).map((name) => [arrival(name.slice(6, 18)), name + found()]))
      }),
      () => ({ labels: { [label]: dice.pick([process, process, ghostProcess])() } }),
      () => ({ labels: { [label]: dice.pick(["x", "not-a-process"]) } })
    ]
    return dice.pick(choices)()
  }

  const once = Effect.flatMap(server.store.read(id), (metadata) => {
    learn(metadata)
    const { annotations = {}, labels = {} } = spoil(metadata)
    return server.store.compareAndSwap(id, {
      expect: { resourceVersion: metadata.resourceVersion },
      annotations,
      labels
    })
  })

  return Effect.suspend(() => at(dice.between(1, plan.every))).pipe(
    Effect.andThen(Effect.sync(() => now() >= plan.from && now() < plan.to && server.handle("vandal", "spoil", once))),
    Effect.repeat({ while: () => now() < plan.to }),
    Effect.asVoid
  )
}

const letters = [..."abcdefghijklmnopqrstuvwxyz0123456789"]
