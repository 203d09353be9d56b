/** What a client-go may do next: its fast path, what it observes, its take-over and its release, with their defects. */
import * as rfc3339 from "../../../src/internal/time/rfc3339.ts"
import type * as walking from "../walk.ts"
import { millis } from "../time.ts"
import { goBehind, goName } from "./names.ts"
import { mayBeTaken, replace } from "./server.ts"
import { foreign, type Go, holderOf, leaseDuration, recordOf, specOf, type World } from "./world.ts"

type Emit = walking.Emit<World>

const to = (world: World, go: Go): World => ({ ...world, go })

const isLeader = ({ observed }: Go): boolean => observed.holder === goName
const isValid = ({ observed }: Go, tick: number): boolean => observed.tick + observed.duration > tick

const observe = (world: World, go: Go): Go => {
  const raw = recordOf(world.lease)
  const seen = { ...go, version: world.lease?.resourceVersion ?? "" }
  if (raw === go.observed.raw) return seen
  const duration = Number(specOf(world.lease)["leaseDurationSeconds"] ?? 0)
  return { ...seen, observed: { holder: holderOf(world.lease), duration, raw, tick: world.tick } }
}

// What it writes: the whole spec. A renewal keeps the transitions.
const spec = (world: World, transitions: number) => ({
  holderIdentity: goName,
  leaseDurationSeconds: leaseDuration,
  acquireTime: "",
  renewTime: rfc3339.formatMicros(millis(world.tick - goBehind)),
  leaseTransitions: transitions
})

const looks = (world: World, go: Go, stage: "Idle" | "Leading"): World => {
  const seen = observe(world, go)
  const sending = stage === "Idle" ? "Writing" : "Renewing"
  if (world.lease === undefined)
    return to(world, { ...seen, stage: sending, sent: { spec: spec(world, 0), version: undefined } })
  const transitions = Number(specOf(world.lease)["leaseTransitions"] ?? 0)
  const holder = holderOf(world.lease)
  if (holder !== "" && isValid(seen, world.tick) && !isLeader(seen)) return to(world, { ...seen, stage })
  const written = spec(world, isLeader(seen) ? transitions : transitions + 1)
  return to(world, { ...seen, stage: sending, sent: { spec: written, version: seen.version } })
}

/** The server works on what it has sent. A PUT keeps metadata and replaces the spec. */
const serve = (world: World, go: Go): World => {
  const { spec, version } = go.sent!
  const { lease } = world
  if (version === undefined ? lease !== undefined : lease?.resourceVersion !== version) {
    return to(world, { ...go, answer: "refused" })
  }
  const resourceVersion = String(world.version + 1)
  const base = lease ?? { uid: `uid${resourceVersion}`, annotations: foreign.annotations, labels: {} }
  const written = { ...base, resourceVersion, content: { spec } }
  const isTakeOver = holderOf(written) === goName && mayBeTaken(world)
  const next = { ...replace(world, written, isTakeOver), version: world.version + 1 }
  return to(next, { ...go, answer: "done", version: resourceVersion })
}

/** What a client-go may do next. */
export const steps = (world: World, emit: Emit): void => {
  const { go } = world
  if (go === undefined) return
  const { answer, sent, stage } = go
  if (sent !== undefined && answer === undefined) {
    emit("the server works on the write of the client-go", serve(world, go))
    emit("the client-go gets no answer", unanswered(world, { ...go, sent: undefined }))
  }
  if (sent !== undefined && answer === "done") {
    emit("the answer to the client-go is lost", unanswered(world, { ...go, sent: undefined, answer: undefined }))
  }
  switch (stage) {
    case "Idle":
      emit("the client-go looks", looks(world, go, "Idle"))
      return
    case "Writing":
    case "Renewing": {
      const settled = { ...go, sent: undefined, answer: undefined }
      if (answer === "done") emit("the client-go leads", to(world, written(world, settled, sent!.spec)))
      if (answer === "refused")
        emit("the client-go finds a conflict", looks(world, settled, stage === "Writing" ? "Idle" : "Leading"))
      if (stage === "Renewing") emit("the client-go is stopped", to(world, { ...settled, stage: "Stopping" }))
      return
    }
    case "Leading":
      if (isLeader(go) && isValid(go, world.tick)) {
        const transitions = Number(JSON.parse(go.observed.raw)[5] ?? 0)
        emit(
          "the client-go renews",
          to(world, { ...go, stage: "Renewing", sent: { spec: spec(world, transitions), version: go.version } })
        )
      } else emit("the client-go looks", looks(world, go, "Leading"))
      emit("the client-go is stopped", to(world, { ...go, stage: "Stopping" }))
      return
    case "Stopping": {
      // It reads, and asks what it observed before.
      if (!isLeader(go) || world.lease === undefined)
        return emit("the client-go ends", to(world, { ...go, stage: "Done" }))
      const { leaseTransitions = 0 } = specOf(world.lease)
      const released = { ...spec(world, Number(leaseTransitions)), holderIdentity: "", leaseDurationSeconds: 1 }
      return emit(
        "the client-go releases",
        to(world, {
          ...go,
          stage: "Releasing",
          sent: { spec: released, version: world.lease.resourceVersion }
        })
      )
    }
    case "Releasing":
      if (answer !== undefined)
        emit("the client-go ends", to(world, { ...go, stage: "Done", sent: undefined, answer: undefined }))
      return
    case "Done":
  }
}

const written = (world: World, go: Go, spec: Readonly<Record<string, unknown>>): Go => {
  const raw = JSON.stringify([
    world.lease?.uid,
    spec["holderIdentity"],
    spec["leaseDurationSeconds"],
    spec["acquireTime"],
    spec["renewTime"],
    spec["leaseTransitions"]
  ])
  return { ...go, stage: "Leading", observed: { holder: goName, duration: leaseDuration, raw, tick: world.tick } }
}

const unanswered = (world: World, go: Go): World => {
  switch (go.stage) {
    case "Writing":
      return to(world, { ...go, stage: "Idle" })
    case "Renewing":
      return looks(world, go, "Leading")
    default:
      return to(world, { ...go, stage: "Done" })
  }
}
