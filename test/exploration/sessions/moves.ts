/** Everything that can happen next, and what it breaks. */
import { leaseOf as recordedIn } from "../../../src/LockRecord.ts"
import type * as acquiring from "../../../src/internal/protocol/acquisitionState.ts"
import type { Answer } from "../../../src/internal/protocol/answer.ts"
import * as release from "../../../src/internal/protocol/release.ts"
import { next } from "../permits/server.ts"
import type * as walking from "../walk.ts"
import { kind, type Leases, type Library, lost, parse, textOf } from "./library.ts"
import * as sessionLease from "../../../src/internal/session/sessionLease.ts"
import { operator, remove, serve } from "./server.ts"
import {
  type Breaking,
  type Cast,
  type Contender,
  foreign,
  holderId,
  leaseOf,
  lockOf,
  type Look,
  nameOf,
  type Process,
  type Request,
  type Sending,
  type Session,
  spent,
  withContender,
  withProcess,
  type World
} from "./world.ts"

type Emit = walking.Emit<World>

/** The processes, and the library that they use. */
export interface Rules extends Cast {
  readonly library: Library
}

/** Everything that can happen next. */
export const moves = (world: World, rules: Rules, emit: Emit): void => {
  const judged: Emit = (name, next, violation) => emit(name, next, violation ?? judge(next, rules))
  world.processes.forEach((_, index) => movesOf(world, index, rules, judged))
  if (world.left.deletions > 0) {
    world.leases.forEach((lease, number) => {
      if (lease !== undefined) {
        judged(`an operator deletes ${leaseOf(number)}`, spent(remove(world, number), "deletions"))
      }
    })
  }
  if (world.left.strangers > 0) {
    world.objects.forEach((object, lock) => {
      const annotations = { ...object.annotations, [foreign]: String(world.left.strangers) }
      const objects = world.objects.with(lock, next({ ...object, annotations }))
      judged(`a stranger writes on ${lockOf(lock)}`, spent({ ...world, objects }, "strangers"))
    })
  }
  breaks(world, rules, judged)
  judged("time passes", { ...world, tick: world.tick + 1 })
}

// An operator breaks a lock under a session. It tells the owner of the session, and waits until that has let go.
const breaks = (world: World, { library }: Rules, emit: Emit): void => {
  const { breaking, leases, left, objects, tick } = world
  if (breaking === undefined) {
    if (left.breaks === 0) return
    return objects.forEach((object, lock) => {
      const { holderId, session } = recordedIn(kind.decode(object.annotations)) ?? {}
      if (holderId === undefined || session === undefined) return
      const hasLetGo = !library.tells
      const begun = { ...world, breaking: { lock, holderId, session, isTold: false, hasLetGo } }
      emit(`an operator finds who has ${lockOf(lock)}`, spent(begun, "breaks"))
    })
  }
  const { hasLetGo, holderId: broken, isTold, lock, session, write } = breaking
  const on = (change: Partial<Breaking>, after = world): World => ({ ...after, breaking: { ...breaking, ...change } })
  if (write !== undefined) {
    const served = serve({ ...world, breaking: undefined }, { to: "lock", index: lock, write }, operator)
    return emit(`the operator removes the record of ${lockOf(lock)}`, served.world, served.violation)
  }
  if (hasLetGo) {
    const object = objects[lock]!
    const isStill = recordedIn(kind.decode(object.annotations))?.holderId === broken
    const next = isStill ? on({ write: library.breaks(object, tick) }) : { ...world, breaking: undefined }
    return emit(`the operator reads ${lockOf(lock)}`, next)
  }
  const { lease } = parse(session)
  const found = leases[lease]
  const { hasEnded, sent } = library.judges({ clock: 0 }, session, found, tick)
  const looked = `the operator looks at ${leaseOf(lease)}`
  if (sent !== undefined) {
    const served = serve(world, { to: "lease", index: lease, write: sent }, operator)
    return emit(looked, on({ hasLetGo: true }, served.world), served.violation)
  }
  const isNamed = found !== undefined && sessionLease.brokenOn(found).includes(broken)
  if (hasEnded || (isTold && !isNamed)) return emit(looked, on({ hasLetGo: true }))
  if (isNamed) return emit(looked, on({ isTold: true }))
  const telling: Request = {
    to: "lease",
    index: lease,
    write: {
      expect: { resourceVersion: found!.resourceVersion },
      annotations: sessionLease.breaking(found!, broken)!
    }
  }
  emit(looked, on({ isTold: true }, serve(world, telling, operator).world))
}

/** What can happen next to one process. */
export const movesOf = (world: World, index: number, rules: Rules, emit: Emit): void => {
  const process = world.processes[index]!
  const name = nameOf(index)
  const move = { world, index, rules, emit }
  process.limbo.forEach((request, at) => {
    const without = withProcess(world, index, { limbo: process.limbo.filter((_, other) => other !== at) })
    const { violation, world: after } = serve(without, request, index)
    emit(`the server works on a request that ${name} gave up`, after, violation)
  })
  network(move, {
    what: `the request of ${name} for its session`,
    sending: process.session,
    put: (world, sending) => withSession(world, index, sending),
    unanswered: (world) => onSession(world, rules, index, lost)
  })
  network(move, {
    what: `the fence of ${name}`,
    sending: process.look ?? {},
    put: (world, sending) => withProcess(world, index, { look: { ...world.processes[index]!.look!, ...sending } }),
    unanswered: (world) => [withProcess(world, index, { look: undefined })]
  })
  process.contenders.forEach((contender, lock) =>
    network(move, {
      what: `the write of ${name} to ${lockOf(lock)}`,
      sending: contender,
      put: (world, sending) =>
        withContender(world, index, lock, { ...world.processes[index]!.contenders[lock]!, ...sending }),
      unanswered: (world) => onLock(world, rules, index, lock, lost)
    })
  )
  if (process.isCrashed) return
  if (world.left.crashes > 0) emit(`${name} crashes`, spent(crashed(world, index), "crashes"))
  if (world.left.settings > 0) {
    emit(`the clock of ${name} is set`, spent(withProcess(world, index, { clock: process.clock + 1 }), "settings"))
  }
  sessionSteps(move)
  looks(move)
  process.contenders.forEach((contender, lock) => lockSteps(move, contender, lock))
}

interface Move {
  readonly world: World
  readonly index: number
  readonly rules: Rules
  readonly emit: Emit
}

/** What comes of a step, and what it violates. */
type After = readonly [world: World, violation?: string | undefined]

const withSession = (world: World, index: number, change: Partial<Session>): World =>
  withProcess(world, index, { session: { ...world.processes[index]!.session, ...change } })

const nothing: Sending = { sent: undefined, answer: undefined }

// A request reaches the server or is lost. Its answer comes, late or never.
const network = (
  { emit, index, world }: Move,
  {
    put,
    sending: { answer, sent },
    unanswered,
    what
  }: {
    readonly what: string
    readonly sending: Sending
    readonly put: (world: World, sending: Sending) => World
    readonly unanswered: (world: World) => After
  }
): void => {
  if (sent === undefined) return
  if (answer === undefined) {
    const { violation, world: after, written } = serve(world, sent, index)
    emit(`the server works on ${what}`, put(after, { sent, answer: { written } }), violation)
  }
  if (world.left.faults === 0) return
  const faulty = spent(put(world, nothing), "faults")
  if (answer !== undefined) return emit(`the answer to ${what} is lost`, ...unanswered(faulty))
  emit(`${what} is lost`, ...unanswered(faulty))
  const { limbo } = world.processes[index]!
  emit(`${what} is late`, ...unanswered(withProcess(faulty, index, { limbo: [...limbo, sent] })))
}

// What is under way goes on without its sender.
const abandoned = (process: Process, sending: Sending): ReadonlyArray<Request> =>
  sending.sent === undefined || sending.answer !== undefined ? process.limbo : [...process.limbo, sending.sent]

const crashed = (world: World, index: number): World => {
  const process = world.processes[index]!
  const all: ReadonlyArray<Sending> = [process.session, process.look ?? {}, ...process.contenders]
  return withProcess(world, index, {
    isCrashed: true,
    session: { stage: "None", lease: 0, incarnation: 0 },
    ended: [],
    look: undefined,
    contenders: process.contenders.map(() => ({ stage: "Done" })),
    limbo: all.reduce((limbo, sending) => abandoned({ ...process, limbo }, sending), process.limbo)
  })
}

// The requests for a Lease that are made one after the other: an answer that has come already, if there is one, and what is asked at once.
const leasesOf = (world: World, index: number, first?: Sending["answer"]) => {
  const { lease } = world.processes[index]!.session
  let now = world
  let pending = first
  let violation: string | undefined
  const leases: Leases = {
    read: () => now.leases[lease],
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
  return { leases, after: () => now, violation: () => violation }
}

// Sends the first request that comes of a write.
const sending = (
  world: World,
  rules: Rules,
  index: number,
  write: (store: ReturnType<Library["leaseStore"]>) => Answer
): { readonly sent: Request | undefined; readonly answer: Answer; readonly known: Session["known"] } => {
  let sent: Request | undefined
  const { lease } = world.processes[index]!.session
  const store = rules.library.leaseStore(world.processes[index]!, world.tick, {
    read: () => world.leases[lease],
    write: (request) => {
      sent ??= request
      return "lost"
    }
  })
  const answer = write(store)
  return { sent, answer, known: store.known() }
}

/** What a process does about its own session. */
const sessionSteps = ({ emit, index, rules, world }: Move): void => {
  const { library } = rules
  const process = world.processes[index]!
  const { session } = process
  const { answer, sent, stage } = session
  const name = nameOf(index)
  const { tick } = world
  if (sent !== undefined && answer !== undefined) {
    emit(`${name} has the answer for its session`, ...onSession(world, rules, index))
  }
  switch (stage) {
    case "None":
      if (world.left.opens === 0) return
      return world.leases.forEach((_, lease) => {
        const incarnation = session.incarnation + 1
        const opening: Session = { stage: "Opening", lease, incarnation }
        const begun = spent(withProcess(world, index, { session: opening }), "opens")
        const step = library.opens(index, begun.processes[index]!, tick)
        emit(`${name} opens a session on ${leaseOf(lease)}`, ...opened(begun, rules, index, step))
      })
    case "Open":
    case "Renewing": {
      if (!library.lives(process, tick)) emit(`the session of ${name} is over`, ...sessionLost(world, index))
      if (stage === "Renewing") return
      const [hold, renewal] = library.keeps(index, process, tick)
      const { known, sent } = sending(world, rules, index, (store) => store.write(renewal.write))
      if (sent !== undefined) {
        const renewing = { stage, hold, renewal, known, sent } as const
        emit(`${name} renews its session`, withSession(world, index, { ...renewing, stage: "Renewing" }))
      }
      if (world.left.ends === 0) return
      const write = library.ends(index, process, tick)
      const ending = write && sending(world, rules, index, (store) => store.write(write)).sent
      const left = spent(withoutLocks(world, index), "ends")
      return emit(`${name} ends its session`, withSession(left, index, { stage: "Ending", sent: ending }))
    }
    case "Opening":
    case "Ending":
  }
}

// The answer to a request for the session has come, or does not come.
const onSession = (world: World, rules: Rules, index: number, unanswered?: Answer): After => {
  const { library } = rules
  const { tick } = world
  const process = world.processes[index]!
  const { answer, attempt, hold, renewal, stage } = process.session
  const alone = withSession(world, index, nothing)
  const { after, leases, violation } = leasesOf(alone, index, answer)
  const store = library.leaseStore(process, tick, leases)
  switch (stage) {
    case "Opening": {
      const { command, state } = attempt!
      const heard =
        unanswered ??
        (command._tag === "Create"
          ? store.create(command.annotations)
          : command._tag === "Write"
            ? store.write(command.write)
            : lost)
      const known = withSession(after(), index, { known: store.known() })
      const step = library.opened(index, process, state, heard, tick)
      const [next, broken] = opened(known, rules, index, step)
      return [next, violation() ?? broken]
    }
    case "Renewing": {
      const heard = unanswered ?? store.write(renewal!.write)
      let [state, next] = library.kept(index, process, hold!, heard, tick)
      if (next._tag === "Read") [state, next] = library.kept(index, process, state, store.read(), tick)
      const known = withSession(after(), index, {
        stage: "Open",
        hold: state,
        renewal: undefined,
        known: store.known()
      })
      if (next._tag !== "Lost") {
        const [heeded, broken] = heed(known, rules, index)
        return [heeded, violation() ?? broken]
      }
      const [over, broken] = sessionLost(known, index)
      return [over, violation() ?? broken]
    }
    default:
      return [withSession(alone, index, gone)]
  }
}

// What others have broken is given up, and then taken off the Lease. Nobody waits for that.
const heed = (world: World, rules: Rules, index: number): After => {
  const { session } = world.processes[index]!
  const broken = rules.library.brokenOn(index, session)
  if (broken === undefined) return [world]
  const text = textOf(index, session)
  const request: Request = { to: "lease", index: session.lease, write: broken.write }
  const { limbo } = world.processes[index]!
  const told = withSession(world, index, { broken: [...new Set([...(session.broken ?? []), ...broken.ids])] })
  const cleared = withProcess(told, index, { limbo: isIn(limbo, request) ? limbo : [...limbo, request] })
  return cleared.processes[index]!.contenders.reduce<After>(
    ([world, violation], { hold, stage }, lock) => {
      const isBroken = broken.ids.includes(holderId(index, lock)) && hold?.session === text
      if (!isBroken || (stage !== "Holding" && stage !== "Renewing")) return [world, violation]
      const [next, wrong] = runOut(world, rules, index, lock)
      return [next, violation ?? wrong]
    },
    [cleared]
  )
}

const isIn = (limbo: ReadonlyArray<Request>, request: Request): boolean =>
  limbo.some((other) => JSON.stringify(other) === JSON.stringify(request))

const gone: Partial<Session> = {
  stage: "None",
  known: undefined,
  attempt: undefined,
  hold: undefined,
  renewal: undefined,
  isRobbed: undefined,
  broken: undefined,
  ...nothing
}

// Performs what the opening of a session commands, up to a write. It tries once.
const opened = (world: World, rules: Rules, index: number, [first, next]: acquiring.Step): After => {
  const { library } = rules
  let now = world
  let state = first
  let command = next
  for (;;) {
    const process = now.processes[index]!
    const step = (event: Answer) => {
      ;[state, command] = library.opened(index, process, state, event, world.tick)
    }
    switch (command._tag) {
      case "Read": {
        const { leases } = leasesOf(now, index)
        const store = library.leaseStore(process, world.tick, leases)
        step(store.read())
        now = withSession(now, index, { known: store.known() })
        break
      }
      case "Write":
      case "Create": {
        const wanted = command
        const { answer, known, sent } = sending(now, rules, index, (store) =>
          wanted._tag === "Create" ? store.create(wanted.annotations) : store.write(wanted.write)
        )
        if (sent !== undefined) return [withSession(now, index, { attempt: { state, command }, sent, known })]
        step(answer)
        now = withSession(now, index, { known })
        break
      }
      case "Succeed": {
        const hold = library.begins(command.grant)
        return [withSession(now, index, { stage: "Open", attempt: undefined, hold })]
      }
      default:
        return [withSession(now, index, gone)]
    }
  }
}

// A session that is lost takes with it all that is held under it. What is under way goes on.
const sessionLost = (world: World, index: number): After => {
  const process = world.processes[index]!
  const without = withoutLocks(world, index)
  const limbo = abandoned(without.processes[index]!, process.session)
  return [withSession(withProcess(without, index, { limbo }), index, gone)]
}

const withoutLocks = (world: World, index: number): World => {
  const text = textOf(index, world.processes[index]!.session)
  return world.processes[index]!.contenders.reduce((next, contender, lock) => {
    const isHeld = contender.stage === "Holding" || contender.stage === "Renewing"
    if (!isHeld || contender.hold?.session !== text || text === undefined) return next
    const process = next.processes[index]!
    const limbo = abandoned(process, contender)
    return withContender(withProcess(next, index, { limbo }), index, lock, { stage: "Done" })
  }, world)
}

/** What a process does about the sessions of others that it waits for. */
const looks = ({ emit, index, rules, world }: Move): void => {
  const { library } = rules
  const process = world.processes[index]!
  const { contenders, ended, look } = process
  const name = nameOf(index)
  if (look === undefined) {
    const awaited = new Set(contenders.flatMap((contender) => sessionAwaited(contender) ?? []))
    for (const session of awaited) {
      if (ended.includes(session)) continue
      const { lease } = parse(session)
      const found = world.leases[lease]
      emit(`${name} reads ${leaseOf(lease)}`, withProcess(world, index, { look: { session, found } }))
    }
    return
  }
  const { answer, found, judgedAt, sent, session } = look
  const done = (hasEnded: boolean): Partial<Process> => ({
    look: undefined,
    ...(hasEnded ? { ended: [...ended, session] } : {})
  })
  if (judgedAt === undefined) {
    const { hasEnded, sent: fence } = library.judges(process, session, found, world.tick)
    const fencing = (write: NonNullable<typeof fence>): Look => ({
      ...look,
      judgedAt: world.tick,
      sent: { to: "lease", index: parse(session).lease, write }
    })
    return emit(
      `${name} judges the session`,
      withProcess(world, index, fence === undefined ? done(hasEnded) : { look: fencing(fence) })
    )
  }
  if (sent !== undefined && answer !== undefined) {
    const hasEnded = library.fenced(process, session, found!, answer.written, judgedAt)
    emit(`${name} has the answer to its fence`, withProcess(world, index, done(hasEnded)))
  }
}

const sessionAwaited = ({ attempt, stage }: Contender): string | undefined =>
  stage === "Seeking" && attempt!.state.phase._tag === "Waiting" ? attempt!.state.phase.state.session : undefined

/** What a process does about a lock. */
const lockSteps = ({ emit, index, rules, world }: Move, contender: Contender, lock: number): void => {
  const { library } = rules
  const { tick } = world
  const process = world.processes[index]!
  const { answer, attempt, clears, giving, hold, sent, stage } = contender
  const name = nameOf(index)
  const its = lockOf(lock)
  if (sent !== undefined && answer !== undefined) {
    emit(`${name} has its answer from ${its}`, ...onLock(world, rules, index, lock))
  }
  const isOver = () => hold !== undefined && !library.lasts(hold, tick)
  switch (stage) {
    case "Idle": {
      const begun = library.begun(index, lock, process, tick)
      return emit(`${name} begins with ${its}`, ...advanced(world, rules, index, lock, begun))
    }
    case "Seeking": {
      if (sent !== undefined) return
      const event = (event: acquiring.Event) => library.stepped(index, lock, process, attempt!.state, event, tick)
      emit(`${name} goes on with ${its}`, ...advanced(world, rules, index, lock, event({ _tag: "Elapsed" })))
      if (attempt!.state.phase._tag !== "Waiting") return
      const changed = event({ _tag: "Changed", snapshot: world.objects[lock]! })
      emit(`${name} sees a change of ${its}`, ...advanced(world, rules, index, lock, changed))
      const session = sessionAwaited(contender)
      if (session === undefined || !process.ended.includes(session)) return
      const ended = event({ _tag: "SessionEnded" })
      return emit(`${name} is told that the session of ${its} has ended`, ...advanced(world, rules, index, lock, ended))
    }
    case "Holding": {
      if (isOver()) return emit(`the lease of ${name} on ${its} has run out`, ...runOut(world, rules, index, lock))
      if (hold!.lease.session === undefined) {
        const [state, renewal] = library.renews(index, lock, process, hold!, tick)
        const write: Request = { to: "lock", index: lock, write: renewal.write }
        const renewing: Contender = { stage: "Renewing", hold: state, renewal, sent: write }
        emit(`${name} renews ${its}`, withContender(world, index, lock, renewing))
      }
      const step = library.releases(index, lock, process, hold!, tick)
      return emit(`${name} releases ${its}`, ...gives(world, rules, index, lock, clearing(hold!, 0), step))
    }
    case "Renewing":
      if (isOver()) emit(`the lease of ${name} on ${its} has run out`, ...runOut(world, rules, index, lock))
      return
    case "Releasing": {
      if (sent !== undefined) return
      const step = library.gave(index, lock, process, giving!.state, { _tag: "Elapsed" }, tick)
      return emit(`${name} tries again to release ${its}`, ...gives(world, rules, index, lock, clears, step))
    }
    case "Clearing": {
      const { session, times } = clears!
      const isCurrent = library.lives(process, tick) && textOf(index, process.session) === session
      const seen = { session, times: times - 1 }
      return isCurrent
        ? emit(
            `${name} looks for what is left of it on ${its}`,
            ...gives(world, rules, index, lock, seen, release.beginWithReading)
          )
        : emit(
            `${name} looks no more for what is left of it on ${its}`,
            withContender(world, index, lock, { stage: "Done" })
          )
    }
    case "Done":
  }
}

// The answer to a write to a lock has come, or does not come.
const onLock = (world: World, rules: Rules, index: number, lock: number, unanswered?: Answer): After => {
  const { library } = rules
  const { tick } = world
  const process = world.processes[index]!
  const contender = process.contenders[lock]!
  const { answer, attempt, clears, giving, hold, renewal, stage } = contender
  const heard: Answer =
    unanswered ?? (answer!.written === undefined ? { _tag: "Refused" } : { _tag: "Written", snapshot: answer!.written })
  const alone = withContender(world, index, lock, { ...contender, ...nothing })
  switch (stage) {
    case "Seeking":
      return advanced(alone, rules, index, lock, library.stepped(index, lock, process, attempt!.state, heard, tick))
    case "Renewing": {
      let [state, next] = library.renewed(index, lock, process, hold!, renewal!, heard, tick)
      if (next._tag === "Read") {
        const found: Answer = { _tag: "Found", snapshot: world.objects[lock]! }
        ;[state, next] = library.renewed(index, lock, process, state, renewal!, found, tick)
      }
      if (next._tag === "Lost") return [withContender(alone, index, lock, { stage: "Done" })]
      return [withContender(alone, index, lock, { stage: "Holding", hold: state })]
    }
    case "Releasing":
    case "Clearing": {
      const step = library.gave(index, lock, process, giving!.state, heard, tick)
      return gives(alone, rules, index, lock, clears, step)
    }
    default:
      return [alone]
  }
}

// Performs what an acquisition commands, up to a write or a wait.
const advanced = (world: World, rules: Rules, index: number, lock: number, [first, next]: acquiring.Step): After => {
  const { library } = rules
  const process = world.processes[index]!
  let state = first
  let command = next
  while (command._tag === "Read") {
    const found: Answer = { _tag: "Found", snapshot: world.objects[lock]! }
    ;[state, command] = library.stepped(index, lock, process, state, found, world.tick)
  }
  const attempt = { state, command }
  switch (command._tag) {
    case "Write":
    case "Join": {
      const sent: Request = { to: "lock", index: lock, write: command.write }
      return [withContender(world, index, lock, { stage: "Seeking", attempt, sent })]
    }
    case "Succeed": {
      const hold = library.begins(command.grant)
      // A session that was lost meanwhile takes the lock with it.
      const isLost = hold.session !== undefined && textOf(index, process.session) !== hold.session
      if (isLost) return [withContender(world, index, lock, { stage: "Done" })]
      if (hold.session !== undefined && process.session.broken?.includes(holderId(index, lock)) === true) {
        return runOut(withContender(world, index, lock, { stage: "Holding", hold }), rules, index, lock)
      }
      const token = Number(hold.snapshot.resourceVersion)
      const had = withContender(world, index, lock, { stage: "Holding", hold })
      const held = { ...had, tokens: had.tokens.with(lock, Math.max(token, had.tokens[lock]!)) }
      const isNew = token > world.tokens[lock]! || !library.isValid(index, process, hold, world.tick)
      return [held, isNew ? undefined : "a fencing token is no greater than one before it"]
    }
    case "Fail":
      return [withContender(world, index, lock, { stage: "Done" })]
    default:
      return [withContender(world, index, lock, { stage: "Seeking", attempt })]
  }
}

// A lease of its own that has run out is released by what is found. What is under way may still arrive.
const runOut = (world: World, rules: Rules, index: number, lock: number): After => {
  const process = world.processes[index]!
  const contender = process.contenders[lock]!
  const limbo = abandoned(process, contender)
  return gives(
    withProcess(world, index, { limbo }),
    rules,
    index,
    lock,
    clearing(contender.hold!, 2),
    release.beginWithReading
  )
}

const clearing = ({ session }: NonNullable<Contender["hold"]>, times: number): Contender["clears"] =>
  session === undefined ? undefined : { session, times }

// Performs what a release commands, up to a write or a wait. One that has failed is followed by a look for what is left.
const gives = (
  world: World,
  rules: Rules,
  index: number,
  lock: number,
  clears: Contender["clears"],
  [first, next]: release.Step
): After => {
  const { library } = rules
  const process = world.processes[index]!
  let state = first
  let command = next
  while (command._tag === "Read") {
    const found: Answer = { _tag: "Found", snapshot: world.objects[lock]! }
    ;[state, command] = library.gave(index, lock, process, state, found, world.tick)
  }
  const giving = { state, command }
  const released = (contender: Contender): After => [withContender(world, index, lock, contender)]
  switch (command._tag) {
    case "Write":
      return released({ stage: "Releasing", giving, clears, sent: { to: "lock", index: lock, write: command.write } })
    case "Done":
      return released(clears !== undefined && clears.times > 0 ? { stage: "Clearing", clears } : { stage: "Done" })
    case "Fail": {
      const again = clears && { ...clears, times: Math.max(1, clears.times) }
      return released(again === undefined ? { stage: "Done" } : { stage: "Clearing", clears: again })
    }
    default:
      return released({ stage: "Releasing", giving, clears })
  }
}

/**
 * What must hold in every state: whoever relies on a lock is the holder on its object, so that no two do. (`server.ts` judges writes.) Excused
 * is a process whose Lease an operator has deleted.
 */
export const judge = ({ objects, processes, tick }: World, { library }: Rules): string | undefined => {
  const relies = (process: Process, index: number, lock: number): boolean => {
    const { hold, stage } = process.contenders[lock]!
    const isRobbed = process.session.isRobbed === true && hold?.session !== undefined
    return (stage === "Holding" || stage === "Renewing") && !isRobbed && library.isValid(index, process, hold!, tick)
  }
  const isWrong = objects.some(({ annotations }, lock) => {
    const recorded = recordedIn(kind.decode(annotations))
    return processes.some(
      (process, index) => relies(process, index, lock) && recorded?.holderId !== holderId(index, lock)
    )
  })
  return isWrong ? "a process relies on a lock that is not its own" : undefined
}
