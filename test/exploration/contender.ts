/**
 * What contenders may do next, each in its own way: kubelock as `internal/acquire.ts`, `hold.ts` and `release.ts` have
 * it, Dex as it is known, an operator's `Lock.break`.
 *
 * A stalled contender is one that is not scheduled. Waits between attempts and renewals are not modelled: whatever may
 * happen after a wait may happen here at any time. A read and what is made of it are one step where the write that
 * follows is conditional on what was read.
 */
import type { Behaviour } from "./behaviour.ts"
import * as wire from "./wire.ts"
import { type Actor, ended, letGo, type Request, ttl, withActor, type World } from "./world.ts"

/** How the contenders behave. */
export interface Rules {
  readonly behaviour: Behaviour
  /** By how many ticks Dex's clock is ahead of the server's. */
  readonly dexAhead: number
  /** Whether a holder may end with a commit: the lock is given up by a write that its holder waits for while it holds. */
  readonly commits: boolean
  /** Whether to blame a holder that relies on its lock for longer than it stands, before another takes advantage. */
  readonly foresight: boolean
}

/** What can be done in a world. `index` is the contender, `detail` tells apart what it could do otherwise. */
export interface Action {
  readonly name: string
  readonly index: number
  readonly detail: number
}

/** Takes an action and what it leads to; with a violation if it is one. */
export type Emit = (action: Action, next: World, violation?: string | undefined) => void

/** How uncertain a contender may be of the server's clock, in ticks to either side. */
const uncertainties = [0, 2]

export const steps = (world: World, index: number, rules: Rules, emit: Emit): void => {
  const { behaviour, dexAhead } = rules
  const actor = world.actors[index]!
  const to = (name: string, next: Actor, violation?: string, detail = 0) =>
    emit({ name, index, detail }, withActor(world, index, next), violation)
  switch (actor.kind) {
    case "kubelock":
      return kubelock(world, index, actor, rules, to)
    case "dex":
      return dex(world, actor, dexAhead, to)
    case "operator":
      return operator(world, actor, behaviour, to)
  }
}

/** What a contender makes of a write whose answer does not come. */
export const unanswered = (actor: Actor, behaviour: Behaviour): Actor => {
  if (actor.kind !== "kubelock") return ended(actor, "Done")
  switch (actor.stage) {
    case "Acquiring":
      return behaviour.followsUp ? { ...actor, stage: "Idle", mayHold: true } : ended(actor, "Done")
    case "Renewing":
      return { ...actor, stage: "Holding" }
    case "Committing":
      return behaviour.reliesOnCommitted ? { ...actor, stage: "Holding" } : lost(actor)
    default:
      return { ...actor, stage: "Removing" }
  }
}

type To = (name: string, next: Actor, violation?: string, detail?: number) => void

const kubelock = (world: World, index: number, actor: Actor, { behaviour, commits }: Rules, to: To): void => {
  const holder = behaviour.holder(index)
  const contender = { holder, ttl: ttl * 1000 }
  switch (actor.stage) {
    case "Idle":
      to("reads", { ...actor, stage: "Read", seen: see(world) })
      to("gives up waiting", withdrawn(actor, behaviour))
      return
    case "Read": {
      const seen = actor.seen!
      const record = wire.toRecord(seen)
      for (const uncertainty of uncertainties) {
        const decision = behaviour.decide(record, serverTime(uncertainty), contender)
        switch (decision._tag) {
          case "Acquire": {
            const write = request(
              "acquire",
              behaviour.expects.acquire,
              seen.current,
              0,
              wire.tickOf(decision.lease.expiry)
            )
            to("sends an acquiring write", sending(actor, "Acquiring", write), undefined, uncertainty)
            break
          }
          case "Wait":
            to(
              "waits",
              { ...actor, stage: "Idle", seen: undefined },
              seen.owner === index ? "a contender waits out a lock of its own" : undefined,
              uncertainty
            )
            break
          case "Malformed":
            to("fails on a malformed lock", withdrawn(actor, behaviour))
            break
        }
      }
      to("gives up waiting", withdrawn(actor, behaviour))
      return
    }
    case "Acquiring": {
      const { answer, until } = actor.request!
      if (answer === "done") {
        const age = behaviour.countsFrom === "sending" ? actor.sent : 0
        to("is granted the lock", {
          ...actor,
          stage: "Holding",
          mayHold: false,
          lease: until,
          age,
          sent: 0,
          request: undefined
        })
      }
      if (answer === "refused") to("has lost the race", { ...actor, stage: "Idle", sent: 0, request: undefined })
      to("is interrupted", withdrawn({ ...letGo(actor), mayHold: true }, behaviour))
      return
    }
    case "Holding":
      if (behaviour.isReliable(actor.age)) {
        for (const uncertainty of uncertainties) {
          const next = behaviour.renewal(serverTime(uncertainty), contender, wire.expiryText(actor.lease))
          const write = request("renew", behaviour.expects.renew, false, actor.lease, wire.tickOf(next.expiry))
          to("sends a renewal", sending(actor, "Renewing", write), undefined, uncertainty)
        }
      }
      if (commits) {
        const write = request("remove", behaviour.expects.release, false, actor.lease, 0)
        to("sends a commit", sending(actor, "Committing", write))
      }
      expire(actor, behaviour, to)
      release(actor, behaviour, to)
      return
    case "Renewing": {
      const { answer, until } = actor.request!
      if (answer === "done" || (answer === "refused" && !behaviour.heedsRefusal)) {
        const age = behaviour.countsFrom === "sending" ? actor.sent : 0
        to("has renewed", { ...actor, stage: "Holding", lease: until, age, sent: 0, request: undefined })
      } else if (answer === "refused") {
        to("finds its renewal refused", { ...actor, stage: "Refused", sent: 0, request: undefined })
      }
      expire(actor, behaviour, to)
      release(actor, behaviour, to)
      return
    }
    case "Refused": {
      const fate = behaviour.fate(wire.toRecord(world.annotations), holder)
      if (fate._tag === "Ours") {
        to(
          "reads that the lock is still its own",
          { ...actor, stage: "Holding", lease: wire.tickOf(fate.expiry) },
          actor.robbed > 0 ? "a renewal after the loss did not notice it" : undefined
        )
      } else to("reads that the lock is lost", lost(actor))
      to("gets no answer to its read", { ...actor, stage: "Holding" })
      expire(actor, behaviour, to)
      release(actor, behaviour, to)
      return
    }
    case "Committing": {
      const { answer, lease } = actor.request!
      if (answer === "done") to("has committed", ended({ ...actor, request: undefined }, "Done"))
      if (answer === "refused") {
        const fate = behaviour.fate(wire.toRecord(world.annotations), holder)
        if (fate._tag !== "Ours") to("reads that the lock is gone", lost({ ...actor, request: undefined }))
        else if (wire.tickOf(fate.expiry) !== lease) {
          const write = request("remove", behaviour.expects.release, false, wire.tickOf(fate.expiry), 0)
          to("reads another lease of its own and commits again", sending(actor, "Committing", write))
        }
      }
      return
    }
    case "Lost":
      release(actor, behaviour, to)
      return
    case "Releasing": {
      const { answer } = actor.request!
      if (answer === "done") to("has released", ended({ ...actor, request: undefined }, "Done"))
      if (answer === "refused")
        to("finds its release refused", { ...actor, stage: "Removing", sent: 0, request: undefined })
      return
    }
    case "Removing": {
      const fate = behaviour.fate(wire.toRecord(world.annotations), holder)
      if (fate._tag === "Ours") {
        const write = request("remove", behaviour.expects.release, false, wire.tickOf(fate.expiry), 0)
        to("reads a lock of its own and sends its release", sending(actor, "Releasing", write))
      } else to("reads that nothing is left of its own", ended(actor, "Done"))
    }
  }
}

const expire = (actor: Actor, behaviour: Behaviour, to: To): void => {
  if (!behaviour.isReliable(actor.age)) to("lets its lease run out", lost(letGo(actor)))
}

const lost = (actor: Actor): Actor => ({ ...actor, stage: "Lost", age: 0, sent: 0, robbed: 0 })

const release = (actor: Actor, behaviour: Behaviour, to: To): void => {
  const write = request("remove", behaviour.expects.release, false, actor.lease, 0)
  to("sends its release", { ...sending(letGo(actor), "Releasing", write), lease: 0, age: 0, robbed: 0 })
}

const withdrawn = (actor: Actor, behaviour: Behaviour): Actor =>
  actor.mayHold && behaviour.followsUp
    ? { ...actor, stage: "Removing", mayHold: false, sent: 0, seen: undefined }
    : ended(actor, "Done")

const dex = (world: World, actor: Actor, ahead: number, to: To): void => {
  switch (actor.stage) {
    case "Idle":
      to("reads", { ...actor, stage: "Read", seen: see(world) })
      return
    case "Read": {
      const { current, lock } = actor.seen!
      if (lock === wire.malformed) to("fails on a malformed lock", ended(actor, "Done"))
      else if (lock === wire.absent || ahead > lock) {
        to(
          "sends an acquiring write",
          sending(actor, "Acquiring", request("acquire", "version", current, 0, ahead + ttl))
        )
      } else to("waits", { ...actor, stage: "Idle", seen: undefined })
      return
    }
    case "Acquiring":
      if (actor.request!.answer === "done") {
        to("is granted the lock", { ...actor, stage: "Holding", sent: 0, request: undefined })
      }
      if (actor.request!.answer === "refused") {
        to("has lost the race", { ...actor, stage: "Idle", sent: 0, request: undefined })
      }
      return
    case "Holding":
      to("reads in order to release", { ...actor, stage: "Removing", seen: see(world) })
      return
    case "Removing":
      to(
        "sends its release",
        sending(actor, "Releasing", request("remove", "version", actor.seen!.current, 0, 0, actor.seen!.owner))
      )
      return
    case "Releasing":
      if (actor.request!.answer !== "none") to("is done", ended({ ...actor, request: undefined }, "Done"))
  }
}

const operator = (world: World, actor: Actor, { expects }: Behaviour, to: To): void => {
  switch (actor.stage) {
    case "Idle":
      to("reads", { ...actor, stage: "Read", seen: see(world) })
      return
    case "Read": {
      const { current, lock, owner } = actor.seen!
      if (lock === wire.absent) to("finds nothing to break", ended(actor, "Done"))
      else {
        to("sends the removal", sending(actor, "Releasing", request("remove", expects.break, current, 0, 0, owner)))
      }
      return
    }
    case "Releasing":
      if (actor.request!.answer === "done") to("has broken the lock", ended({ ...actor, request: undefined }, "Done"))
      if (actor.request!.answer === "refused") {
        to("has lost the race", { ...actor, stage: "Idle", sent: 0, request: undefined })
      }
  }
}

const see = (world: World) => ({ ...world.annotations, owner: world.owner, current: true })

const serverTime = (uncertainty: number) => ({
  earliest: wire.millis(-uncertainty),
  latest: wire.millis(uncertainty)
})

const sending = (actor: Actor, stage: Actor["stage"], write: Request): Actor => ({
  ...actor,
  stage,
  sent: 0,
  request: write,
  seen: undefined
})

const request = (
  write: Request["write"],
  expects: Request["expects"],
  current: boolean,
  lease: number,
  until: number,
  target: number = wire.nobody
): Request => ({
  write,
  expects,
  current: expects === "version" && current,
  lease: expects === "lease" ? lease : 0,
  until,
  target,
  answer: "none"
})
