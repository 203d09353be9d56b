/** Everything that can happen next in an election, and what it breaks. */
import type { ObjectSnapshot } from "../../../src/ObjectStore.ts"
import type * as walking from "../walk.ts"
import * as goMoves from "./go.ts"
import type { Intent, Library, Requests } from "./library.ts"
import { goName, nameOf } from "./names.ts"
import { expiryOf, replace, serve } from "./server.ts"
import { type Candidate, holderOf, renewDeadline, type Sent, specOf, withCandidate, type World } from "./world.ts"

type Emit = walking.Emit<World>

/** Everything that can happen next. */
export const moves = (world: World, library: Library, emit: Emit): void => {
  const judged: Emit = (name, next, violation) => emit(name, next, violation ?? judge(next, library))
  world.candidates.forEach((candidate, index) => steps({ world, candidate, index, library, emit: judged }))
  goMoves.steps(world, judged)
  judged("time passes", { ...world, tick: world.tick + 1 })
  if (world.meddlings > 0) meddle(world, judged)
}

interface Move {
  readonly world: World
  readonly candidate: Candidate
  readonly index: number
  readonly library: Library
  readonly emit: Emit
}

const called = (index: number): string => String.fromCharCode(65 + index)

const meddle = (world: World, emit: Emit): void => {
  const { lease, meddlings, version } = world
  if (lease === undefined) return
  const after = { ...world, meddlings: meddlings - 1, version: version + 1 }
  emit("somebody deletes the Lease", { ...after, ...pick(replace(after, undefined, false)) })
  if (holderOf(lease) === "") return
  const content = { spec: { ...specOf(lease), holderIdentity: "", leaseDurationSeconds: 1 } }
  const emptied = { ...lease, resourceVersion: String(version + 1), content }
  emit("somebody empties the Lease", { ...after, ...pick(replace(after, emptied, false)) })
}

const pick = ({ candidates, changedAt, lease }: World) => ({ candidates, changedAt, lease })

// A candidate acts. What it asks the server at once, the server does at once: `world` is what has become of it.
const acting = (
  { candidate, index, library, world }: Move,
  first?: { readonly written: ObjectSnapshot | undefined }
) => {
  let now = world
  let violation: string | undefined
  let pending = first
  const requests: Requests = {
    read: () => now.lease,
    write: (sent) => {
      if (pending !== undefined) {
        const { written } = pending
        pending = undefined
        return written ?? "refused"
      }
      const served = serve(now, sent, index)
      now = served.world
      violation ??= served.violation
      return served.written ?? "refused"
    }
  }
  return {
    store: library.storeOf(candidate.sights, world.tick, requests),
    after: () => now,
    violation: () => violation
  }
}

// What a candidate sends, without an answer yet.
const sending = ({ candidate, library, world }: Move, send: (store: ReturnType<Library["storeOf"]>) => void) => {
  let sent: Sent | undefined
  const store = library.storeOf(candidate.sights, world.tick, {
    read: () => world.lease,
    write: (write) => {
      sent ??= write
      return "lost"
    }
  })
  send(store)
  return { sent, sights: store.sights() }
}

const steps = (move: Move): void => {
  const { candidate, emit, index, library, world } = move
  const name = called(index)
  const become = (next: Candidate, after: World = world) => withCandidate(after, index, mergeRobbed(after, index, next))

  candidate.limbo.forEach((sent, at) => {
    const { violation, world: after } = serve(world, sent, index)
    const limbo = candidate.limbo.filter((_, other) => other !== at)
    emit(`the server works on a write that ${name} gave up`, become({ ...candidate, limbo }, after), violation)
  })
  if (candidate.sent !== undefined && candidate.answer === undefined) {
    const { violation, world: after, written } = serve(world, candidate.sent, index)
    emit(`the server works on the write of ${name}`, become({ ...candidate, answer: { written } }, after), violation)
  }
  if (candidate.sent !== undefined) unanswered(move, become)

  switch (candidate.stage) {
    case "Idle": {
      look(move, become)
      const { after, store, violation } = acting(move)
      library.withdraw(store, index, world.tick)
      emit(`${name} gives up`, become({ ...gone(candidate), stage: "Done" }, after()), violation())
      return
    }
    case "Acquiring": {
      if (candidate.answer === undefined) return
      const { after, store, violation } = acting(move, candidate.answer)
      const { pending, wish } = candidate
      const answer = wish === undefined ? store.create(library.encode(pending!.lease)) : store.write(wish)
      const intent = library.acquired(pending!, answer)
      const next = { ...settled(candidate), sights: store.sights() }
      const [decided, broken] = begin({ candidate: next, library, world: after() }, intent)
      emit(`${name} has its answer`, become(decided, granted(after(), intent)), violation() ?? broken)
      return
    }
    case "Leading": {
      if (!library.isValid(candidate, world.tick)) {
        return emit(`the term of ${name} has ended`, become({ ...gone(candidate), stage: "Done" }))
      }
      const [hold, renewal] = library.renew(candidate.hold!, index, world.tick)
      const renews = sending(move, (store) => store.write(renewal.write))
      const renewing = { ...candidate, stage: "Renewing", hold, renewal, wish: renewal.write, ...renews } as const
      if (renews.sent !== undefined) emit(`${name} renews`, become(renewing))
      const write = library.release(candidate.hold!, index, world.tick)
      const releases = sending(move, (store) => store.write(write))
      if (releases.sent !== undefined)
        emit(`${name} releases`, become({ ...candidate, stage: "Releasing", wish: write, ...releases }))
      return emit(`${name} crashes`, become({ ...gone(candidate), stage: "Crashed" }))
    }
    case "Renewing": {
      if (candidate.answer === undefined) return
      const { after, store, violation } = acting(move, candidate.answer)
      const answer = store.write(candidate.wish!)
      const [hold, next] = library.renewed(store, candidate, index, answer, world.tick)
      const renewed = { ...settled(candidate), sights: store.sights(), hold }
      const stage = next._tag === "Lost" ? "Done" : "Leading"
      const told = stage === "Done" ? gone(renewed) : renewed
      emit(`${name} has its answer`, become({ ...told, stage }, after()), violation())
      return
    }
    case "Releasing": {
      if (candidate.answer === undefined) return
      const { after, store, violation } = acting(move, candidate.answer)
      const answer = store.write(candidate.wish!)
      if (answer._tag !== "Written") library.withdraw(store, index, world.tick)
      emit(`${name} has released`, become({ ...gone(candidate), stage: "Done" }, after()), violation())
      return
    }
    case "Done":
    case "Crashed":
  }
}

// What a candidate was robbed of while it acted, it was robbed of.
const mergeRobbed = (after: World, index: number, next: Candidate): Candidate => ({
  ...next,
  robbedAt: next.robbedAt ?? after.candidates[index]!.robbedAt
})

const settled = (candidate: Candidate): Candidate => ({
  ...candidate,
  wish: undefined,
  sent: undefined,
  answer: undefined,
  pending: undefined,
  renewal: undefined
})

const gone = (candidate: Candidate): Candidate => ({ ...settled(candidate), sights: [], hold: undefined })

// A write whose answer does not come may still arrive, if it has not.
const unanswered = ({ candidate, emit, index }: Move, become: (next: Candidate) => World): void => {
  const { answer, sent, stage } = candidate
  const name = called(index)
  const given = { ...settled(candidate), hold: candidate.hold }
  const stageOf = stage === "Acquiring" ? "Idle" : stage === "Renewing" ? "Leading" : "Done"
  const next = { ...given, stage: stageOf } as const
  if (answer !== undefined) return emit(`the answer to ${name} is lost`, become(next))
  emit(`the write of ${name} is lost`, become(next))
  if (candidate.limbo.length === 0) emit(`the write of ${name} is late`, become({ ...next, limbo: [sent!] }))
}

const look = (move: Move, become: (next: Candidate, after?: World) => World): void => {
  const { candidate, emit, index, library, world } = move
  const name = called(index)
  const { after, store, violation } = acting(move)
  const intent = library.look(store, index, world.tick)
  const seen = { ...candidate, sights: store.sights() }
  switch (intent._tag) {
    case "Waits":
      return emit(`${name} looks`, become(seen))
    case "Joins": {
      store.write(intent.write)
      return emit(`${name} joins the queue`, become({ ...seen, sights: store.sights() }, after()), violation())
    }
    case "Creates":
    case "Acquires": {
      const { pending } = intent
      const wish = intent._tag === "Acquires" ? intent.write : undefined
      const { sent, sights } = sending({ ...move, candidate: seen }, (store) =>
        wish === undefined ? store.create(library.encode(pending.lease)) : store.write(wish)
      )
      return sent === undefined
        ? emit(`${name} looks`, become(seen))
        : emit(`${name} sends its write`, become({ ...seen, stage: "Acquiring", wish, sent, sights, pending }))
    }
    case "Leads": {
      const [next, broken] = begin({ ...move, candidate: seen }, intent)
      return emit(`${name} finds that it leads`, become(next, granted(world, intent)), broken)
    }
  }
}

const granted = (world: World, intent: Intent): World =>
  intent._tag === "Leads" ? { ...world, token: Math.max(world.token, intent.token) } : world

const begin = (
  { candidate, library, world }: Pick<Move, "candidate" | "library" | "world">,
  intent: Intent
): readonly [Candidate, string | undefined] => {
  if (intent._tag !== "Leads") return [{ ...candidate, stage: "Idle" }, undefined]
  const isGreater = intent.token > world.token
  const next: Candidate = { ...candidate, stage: "Leading", hold: intent.hold, robbedAt: undefined }
  // The answer to a write may come after its lease is over: such a term is over as well.
  const isOver = !library.isValid(next, world.tick)
  return [next, isGreater || isOver ? undefined : "a fencing token is no greater than that of a term before it"]
}

/** What must hold in every state. */
const judge = (world: World, library: Library): string | undefined => {
  const valid = world.candidates.flatMap((candidate, index) =>
    library.isValid(candidate, world.tick) ? [{ candidate, index }] : []
  )
  if (valid.some(({ candidate: { robbedAt } }) => robbedAt !== undefined && world.tick >= robbedAt + renewDeadline)) {
    return "a candidate leads on for longer than the renew deadline after its Lease was taken away"
  }
  const leaders = valid.filter(({ candidate }) => candidate.robbedAt === undefined)
  if (leaders.length > 1) return "two candidates lead at once"
  const [leader] = leaders
  if (leader === undefined) return undefined
  const holder = holderOf(world.lease)
  if (holder === goName) return "a candidate leads beside the client-go that has the Lease"
  if (holder !== nameOf(leader.index)) return undefined
  const until = library.reliesUntil(leader.candidate, world.tick)
  const bySight = world.changedAt + Number(specOf(world.lease)["leaseDurationSeconds"]) / 1.005
  return until > Math.min(expiryOf(world.lease!), bySight)
    ? "a candidate relies on the Lease for longer than others respect it"
    : undefined
}
