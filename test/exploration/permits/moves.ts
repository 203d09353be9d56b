/** Everything that can happen next, and what it breaks. */
import type { ObjectSnapshot } from "../../../src/ObjectStore.ts"
import * as PermitProtocol from "../../../src/PermitProtocol.ts"
import type * as acquiring from "../../../src/internal/protocol/acquisitionState.ts"
import type { Answer } from "../../../src/internal/protocol/answer.ts"
import type * as release from "../../../src/internal/protocol/release.ts"
import { millis } from "../time.ts"
import type * as walking from "../walk.ts"
import { type Library, lost, trueKind } from "./library.ts"
import { lineOf, next, serve } from "./server.ts"
import {
  type Attempt,
  type Cast,
  type Contender,
  ended,
  foreign,
  type Giving,
  nameOf,
  ttl,
  withContender,
  type World
} from "./world.ts"

type Emit = walking.Emit<World>

/** The contenders, and the library that they use. */
export interface Rules extends Cast {
  readonly library: Library
}

/** Everything that can happen next. */
export const moves = (world: World, rules: Rules, emit: Emit): void => {
  const judged: Emit = (name, next, violation) => emit(name, next, violation ?? judge(next, rules))
  world.contenders.forEach((_, index) => movesOf(world, index, rules, judged))
  meddle(world, rules, judged)
  judged("time passes", { ...world, tick: world.tick + 1 })
}

/** What can happen next to one contender. */
export const movesOf = (world: World, index: number, rules: Rules, emit: Emit): void => {
  steps({ world, index, rules, emit })
  network({ world, index, rules, emit })
}

interface Move {
  readonly world: World
  readonly index: number
  readonly rules: Rules
  readonly emit: Emit
}

// An operator takes permits away, and a stranger writes what is its own.
const meddle = (world: World, rules: Rules, emit: Emit): void => {
  const { breaks, contenders, object, strangers } = world
  if (breaks > 0) {
    for (const { expiresAt, holderId } of lineOf(rules, object)) {
      const index = rules.library.ids.indexOf(holderId)
      const write = PermitProtocol.planBreak(trueKind(rules), object, holderId)!
      const { world: after } = serve(rules, rules.library, world, write, index, false)
      const robbed = { ...contenders[index]!, robbedUntil: (expiresAt - millis(0)) / 1000 }
      emit(`an operator breaks the lease of ${nameOf(index)}`, {
        ...withContender({ ...world, object: after.object }, index, robbed),
        breaks: breaks - 1
      })
    }
  }
  if (strangers > 0) {
    const annotations = { ...object.annotations, [foreign]: String(strangers) }
    emit("a stranger writes on the object", {
      ...world,
      object: next({ ...object, annotations }),
      strangers: strangers - 1
    })
  }
}

// A request reaches the server or is lost. Its answer comes, late or never. A write that its sender gave up on may still arrive.
const network = ({ emit, index, rules, world }: Move): void => {
  const contender = world.contenders[index]!
  const { answer, limbo, sent } = contender
  const name = nameOf(index)
  if (sent !== undefined && answer === undefined) {
    const { violation, world: after, written } = serve(rules, rules.library, world, sent, index, false)
    const served = { ...after.contenders[index]!, answer: { written } }
    emit(`the server works on the write of ${name}`, withContender(after, index, served), violation)
  }
  if (sent !== undefined && world.faults > 0) {
    const faulty = { ...world, faults: world.faults - 1 }
    const alone = { ...contender, sent: undefined, answer: undefined, unwoken: [] }
    if (answer === undefined) {
      unanswered({ emit, index, rules, world: withContender(faulty, index, alone) }, `the write of ${name} is lost`)
      const late = withContender(faulty, index, { ...alone, limbo: [...limbo, sent] })
      unanswered({ emit, index, rules, world: late }, `the write of ${name} is late`)
    } else
      unanswered({ emit, index, rules, world: withContender(faulty, index, alone) }, `the answer to ${name} is lost`)
  }
  limbo.forEach((write, at) => {
    const without = withContender(world, index, { ...contender, limbo: limbo.filter((_, other) => other !== at) })
    const { violation, world: after } = serve(rules, rules.library, without, write, index, true)
    emit(`the server works on a write that ${name} gave up`, after, violation)
  })
}

// What a contender makes of a write whose answer does not come.
const unanswered = (move: Move, name: string): void => answered(move, name, lost)

/** What a contender may do next. */
const steps = (move: Move): void => {
  const { emit, index, rules, world } = move
  const { library } = rules
  const contender = world.contenders[index]!
  const { answer, attempt, giving, hold, sent, stage } = contender
  const name = nameOf(index)
  const { tick } = world
  if (world.crashes > 0 && stage !== "Local" && stage !== "Idle" && stage !== "Done" && stage !== "Crashed") {
    const crashed = withContender(world, index, ended("Crashed", contender))
    emit(`${name} crashes`, { ...succeeded(crashed, index, "Crashed"), crashes: world.crashes - 1 })
  }
  if (sent !== undefined && answer !== undefined) {
    const { written } = answer
    const heard: Answer =
      written === undefined ? { _tag: "Refused" } : { _tag: "Written", snapshot: library.seen(index, written, tick) }
    const alone = withContender(world, index, { ...contender, sent: undefined, answer: undefined })
    answered({ ...move, world: alone }, `${name} has its answer`, heard)
  }
  switch (stage) {
    case "Idle": {
      const fresh = { joins: 0, unanswered: undefined }
      const seeking = { ...contender, stage: "Seeking" as const, start: undefined }
      const begins = (what: string, start: acquiring.Start) =>
        emit(`${name} ${what}`, ...advanced(world, rules, index, seeking, fresh, library.begun(index, start, tick)))
      if (contender.start === undefined) begins("begins without a look", { queued: false, isInUse: true })
      return begins("begins", contender.start ?? { queued: false })
    }
    case "Seeking": {
      if (attempt !== undefined && sent === undefined) {
        for (const [what, event] of eventsOf(move, attempt)) {
          const step = library.stepped(index, attempt.state, event, tick)
          emit(`${name} ${what}`, ...advanced(world, rules, index, contender, attempt, step))
        }
      }
      if (world.withdrawals > 0) {
        emit(`${name} gives up`, { ...withdrawn(world, rules, index, contender), withdrawals: world.withdrawals - 1 })
      }
      return
    }
    case "Holding": {
      if (!library.isValid(hold!, tick)) {
        return emit(`the lease of ${name} has run out`, releasedExpired(world, rules, index, contender))
      }
      const [state, renewal] = library.renews(index, hold!, tick)
      const write = library.sent(index, renewal.write, hold!.snapshot, tick)
      emit(
        `${name} renews`,
        withContender(world, index, { ...contender, stage: "Renewing", hold: state, renewal, sent: write })
      )
      const { asked } = library.permits(index, hold!)
      if (asked > 1) {
        const keeps = 1
        const leaving = { keeps, again: undefined, passed: 0 }
        const step = library.releases(index, hold!, leaving, tick)
        const keeping = { ...contender, stage: "Keeping" as const, uses: keeps }
        emit(`${name} gives a permit back`, gives(world, rules, index, keeping, { leaving, cutOff: undefined }, step))
      }
      const raise = library.raises(index, hold!)
      if (raise !== undefined) {
        const sent = library.sent(index, raise, hold!.snapshot, tick)
        emit(`${name} takes all permits`, withContender(world, index, { ...contender, stage: "Raising", sent }))
      }
      const isFollowed = world.contenders[index + 1]?.stage === "Local"
      const again = isFollowed
        ? { holderId: library.ids[index + 1]!, permits: library.asks[index + 1]!.permits, ttl: ttl * 1000 }
        : undefined
      const leaving = { keeps: 0, again, passed: 0 }
      const step = library.releases(index, hold!, leaving, tick)
      const releasing = { ...contender, stage: "Releasing" as const }
      return emit(`${name} releases`, gives(world, rules, index, releasing, { leaving, cutOff: undefined }, step))
    }
    case "Raising":
    case "Renewing":
      if (!library.isValid(hold!, tick))
        emit(`the lease of ${name} has run out`, releasedExpired(world, rules, index, contender))
      return
    case "Keeping":
    case "Releasing": {
      if (giving === undefined || sent !== undefined) return
      const step = library.gave(index, giving, { _tag: "Elapsed" }, tick)
      if (giving.command._tag === "LookLater") emit(`${name} stops looking`, done(world, rules, index, contender))
      emit(`${name} tries again`, gives(world, rules, index, contender, giving, step))
    }
  }
}

// What may end a wait.
const eventsOf = (
  { index, rules, world }: Move,
  { command, state }: Attempt
): ReadonlyArray<readonly [string, acquiring.Event]> => {
  const elapsed = ["goes on", { _tag: "Elapsed" }] as const
  if (state.phase._tag !== "Waiting" || command._tag !== "BackOff") return [elapsed]
  const snapshot = rules.library.seen(index, world.object, world.tick)
  return [elapsed, ["sees a change", { _tag: "Changed", snapshot }]]
}

const answered = (move: Move, name: string, answer: Answer): void => {
  const { emit, index, rules, world } = move
  const { library } = rules
  const { tick } = world
  const contender = world.contenders[index]!
  const { attempt, giving, hold, renewal, stage } = contender
  switch (stage) {
    case "Seeking": {
      const { command, unanswered: before } = attempt!
      const unanswered = answer === lost ? withCommand(before, command) : before
      const known: Attempt = { ...attempt!, unanswered }
      const step = library.stepped(index, known.state, answer, tick)
      return emit(name, ...advanced(world, rules, index, contender, known, step))
    }
    case "Renewing": {
      let [state, next] = library.renewed(index, hold!, renewal!, answer, tick)
      if (next._tag === "Read") {
        const snapshot = library.seen(index, world.object, tick)
        ;[state, next] = library.renewed(index, state, renewal!, { _tag: "Found", snapshot }, tick)
      }
      const known: Contender = { ...contender, stage: "Holding", hold: state, renewal: undefined }
      if (next._tag === "Lost") return emit(name, done(world, rules, index, known))
      return emit(name, withContender(world, index, known))
    }
    case "Raising": {
      if (answer._tag !== "Written") return emit(name, withContender(world, index, { ...contender, stage: "Holding" }))
      const [raised, next] = library.wrote(index, hold!, answer.snapshot, tick)
      if (next._tag === "Lost") return emit(name, done(world, rules, index, { ...contender, hold: raised }))
      const uses = Math.max(contender.uses, library.permits(index, raised).granted)
      return emit(name, withContender(world, index, { ...contender, stage: "Holding", hold: raised, uses }))
    }
    case "Keeping":
    case "Releasing": {
      const step = library.gave(index, giving!, answer, tick)
      return emit(name, gives(world, rules, index, contender, giving!, step), leftAsleep(world, rules, index, step))
    }
    default:
      return emit(name, world)
  }
}

// A release that nothing went wrong with has woken all that it let in.
const leftAsleep = (world: World, rules: Rules, index: number, [, command]: release.Step): string | undefined =>
  command._tag === "Done" &&
  world.contenders[index]!.unwoken.some((id) => {
    const waiter = world.contenders[rules.library.ids.indexOf(id)]
    const isThere = lineOf(rules, world.object).some(({ holderId }) => holderId === id)
    return isThere && waiter?.stage === "Seeking" && waiter.sent === undefined
  })
    ? "a contender was let in and not woken"
    : undefined

// Performs what an acquisition commands, up to a write or a wait.
const advanced = (
  world: World,
  rules: Rules,
  index: number,
  contender: Contender,
  known: Pick<Attempt, "joins" | "unanswered">,
  step: acquiring.Step
): readonly [World, string | undefined] => {
  const { library } = rules
  const { object, tick } = world
  let [state, command] = step
  while (command._tag === "Read") {
    const snapshot = library.seen(index, object, tick)
    ;[state, command] = library.stepped(index, state, { _tag: "Found", snapshot }, tick)
  }
  const { joins, unanswered } = known
  const attempt: Attempt = { joins, unanswered, state, command }
  switch (command._tag) {
    case "Write":
    case "Join": {
      const sent = library.sent(index, command.write, object, tick)
      const sending = { ...attempt, joins: joins + (command._tag === "Join" ? 1 : 0) }
      return [withContender(world, index, { ...contender, attempt: sending, sent }), undefined]
    }
    case "Succeed": {
      const hold = library.holds(command.grant)
      const { granted } = library.permits(index, hold)
      const lateJoin = unanswered?.join && { join: { isRepeated: joins > 1 } }
      const holder: Contender = { ...contender, stage: "Holding", attempt: undefined, hold, uses: granted, lateJoin }
      return [withContender(world, index, holder), undefined]
    }
    case "Fail":
      return [
        state.inDoubt.held || state.inDoubt.queued
          ? withdrawn(world, rules, index, { ...contender, attempt })
          : done(world, rules, index, contender),
        undefined
      ]
    default:
      return [withContender(world, index, { ...contender, attempt }), undefined]
  }
}

// An acquisition ends without permits. It withdraws if it may have them, or stand in the line.
const withdrawn = (world: World, rules: Rules, index: number, contender: Contender): World => {
  const { answer, attempt, limbo, sent } = contender
  const { state } = attempt!
  const gone: Contender = {
    ...contender,
    attempt: undefined,
    sent: undefined,
    answer: undefined,
    limbo: sent === undefined || answer !== undefined ? limbo : [...limbo, sent]
  }
  if (!state.inDoubt.held && !state.inDoubt.queued) return done(world, rules, index, gone)
  return giving(world, rules, index, gone, cutOffBy(attempt!, sent !== undefined))
}

// As the engine does: what is under way, and what got no answer before.
const cutOffBy = ({ command, joins, unanswered }: Attempt, isPerforming: boolean): release.CutOff | undefined => {
  const cutOff = isPerforming ? withCommand(unanswered, command) : unanswered
  return cutOff?.join === undefined ? cutOff : { ...cutOff, join: { isRepeated: joins > 1 } }
}

const withCommand = (cutOff: release.CutOff | undefined, command: acquiring.Command): release.CutOff | undefined => {
  if (command._tag === "Write") return { ...cutOff, write: command.write }
  return command._tag === "Join" ? { ...cutOff, join: { isRepeated: false } } : cutOff
}

const releasedExpired = (world: World, rules: Rules, index: number, contender: Contender): World => {
  const { answer, limbo, sent } = contender
  const late = sent === undefined || answer !== undefined ? limbo : [...limbo, sent]
  return giving(world, rules, index, { ...contender, sent: undefined, answer: undefined, limbo: late }, undefined)
}

// Begins with a reading: what is the contender's own is not known.
const giving = (
  world: World,
  rules: Rules,
  index: number,
  contender: Contender,
  cutOff: release.CutOff | undefined
): World => {
  const releasing: Contender = { ...contender, stage: "Releasing", hold: undefined, renewal: undefined, uses: 0 }
  return gives(world, rules, index, releasing, { leaving: undefined, cutOff }, rules.library.withdraws)
}

// Performs what a release commands, up to a write or a wait.
const gives = (
  world: World,
  rules: Rules,
  index: number,
  contender: Contender,
  { cutOff, leaving }: Pick<Giving, "cutOff" | "leaving">,
  step: release.Step
): World => {
  const { library } = rules
  const { object, tick } = world
  let [state, command] = step
  while (command._tag === "Read") {
    const snapshot = library.seen(index, object, tick)
    ;[state, command] = library.gave(index, { state, command, leaving, cutOff }, { _tag: "Found", snapshot }, tick)
  }
  const known: Contender = { ...contender, giving: { state, command, leaving, cutOff } }
  switch (command._tag) {
    case "Write": {
      const sent = library.sent(index, command.write, contender.hold?.snapshot ?? object, tick)
      return withContender(world, index, { ...known, sent })
    }
    case "Done":
    case "Fail": {
      const outcome = command._tag === "Done" ? command.outcome : undefined
      if (contender.stage === "Keeping") {
        const kept: Contender = { ...contender, stage: "Holding", giving: undefined }
        if (outcome?.seen === undefined) return withContender(world, index, kept)
        const [hold, next] = library.wrote(index, contender.hold!, outcome.seen, tick)
        return next._tag === "Lost"
          ? done(world, rules, index, { ...kept, hold })
          : withContender(world, index, { ...kept, hold })
      }
      return done(world, rules, index, contender, outcome?.requeued)
    }
    default:
      return withContender(world, index, known)
  }
}

// A contender is done. A join without an answer may still arrive.
const done = (world: World, rules: Rules, index: number, contender: Contender, requeued?: ObjectSnapshot): World => {
  const { lateJoin, ...others } = contender
  const after = succeeded(world, index, "Done", requeued)
  return lateJoin === undefined
    ? withContender(after, index, ended("Done", contender))
    : giving(after, rules, index, others, lateJoin)
}

// The next contender of the process begins: with the object in which it got its place, if it did.
const succeeded = (world: World, index: number, how: "Done" | "Crashed", requeued?: ObjectSnapshot): World => {
  const next = world.contenders[index + 1]
  if (next?.stage !== "Local") return world
  const start: acquiring.Start = { queued: true, snapshot: requeued }
  return withContender(world, index + 1, how === "Crashed" ? ended("Crashed", next) : { ...next, stage: "Idle", start })
}

/** What must hold in every state. (`server.ts` judges writes.) */
export const judge = (world: World, rules: Rules): string | undefined => {
  const { library } = rules
  const { contenders, object, tick } = world
  const line = lineOf(rules, object)
  let used = 0
  for (const [index, contender] of contenders.entries()) {
    const { hold, litters, robbedUntil, stage, uses } = contender
    const lease = line.find(({ holderId }) => holderId === library.ids[index])
    const holds = stage === "Holding" || stage === "Renewing" || stage === "Raising" || stage === "Keeping"
    if (stage === "Done" && lease !== undefined && !litters) return "a contender is done and has left its lease behind"
    if (!holds || hold === undefined || !library.isValid(hold, tick)) continue
    if (robbedUntil !== undefined) {
      if (tick > robbedUntil) return "permits were relied on anew after they had been taken away"
      continue
    }
    used += uses
    if (used > rules.permits.limit) return "valid holders have more permits than there are"
    if (lease === undefined) return "a contender relies on a lease that is gone"
    if (lease.granted < uses) return "a contender relies on permits that its lease does not hold"
    if (lease.expiresAt < millis(tick + library.reliesFor(hold, tick))) {
      return "a contender relies on its permits for longer than its lease stands"
    }
  }
  return undefined
}
