/**
 * A world as bytes and back.
 *
 * The contenders of kubelock are alike, apart from those with the neutral key, which come last. The bytes number them in an order
 * that depends only on what each of them is doing, so that worlds which differ only in the numbers are one. Contenders whose joins
 * stand on the object keep their order: in that order they come into the queue.
 */
import type { Condition, MaybeWaiters, Patch } from "./patch.ts"
import * as wire from "./wire.ts"
import * as W from "./world.ts"

/** Bytes enough for any world. */
export const maxBytes = 1024

/** The order in which the bytes number the contenders: contender i is the one that was `order[i]`. */
export const orderOf = (world: W.World): ReadonlyArray<number> => {
  const { actors } = world
  let alike = 0
  const { joined, neutral } = world.annotations.queue
  while (actors[alike]?.kind === "kubelock" && ((neutral >> alike) & 1) === 0) alike++
  const order = actors.map((_, index) => index)
  if (alike < 2 || (joined & (joined - 1)) !== 0) return order
  const weights = actors.map((actor, index) => (index < alike ? weigh(world, actor, index) : 0))
  for (let at = 1; at < alike; at++) {
    for (let to = at; to > 0 && weights[order[to]!]! < weights[order[to - 1]!]!; to--) {
      const moved = order[to]!
      order[to] = order[to - 1]!
      order[to - 1] = moved
    }
  }
  return order
}

// What tells contenders apart without numbers, as far as it fits.
const weigh = (world: W.World, actor: W.Actor, index: number): number => {
  const { waiters, joined } = world.annotations.queue
  const { request, seen } = actor
  let weight = stageCode[actor.stage]
  const add = (value: number, size: number) => {
    weight = weight * size + ((value + 2 * size) % size)
  }
  add(world.owner === index ? 1 : 0, 2)
  add(waiters === undefined ? 0 : waiters.ids.indexOf(index) + 1, 8)
  add(joined >> index, 2)
  add((actor.unanswered ? 1 : 0) + (actor.mayQueue ? 2 : 0), 4)
  add(actor.lease, 64)
  add(actor.left, 8)
  add(actor.token, 4)
  add(actor.robbed, 8)
  add(actor.limbo.length, 4)
  if (request !== undefined) {
    add(answerCode[request.answer], 4)
    add(request.patch.lock, 64)
    add(request.current ? 1 : 0, 2)
    add(actor.sent, 4)
  } else if (seen !== undefined) add(seen.lock * 2 + (seen.current ? 1 : 0), 256)
  return weight
}

/** Writes a world with its contenders in that order, and answers how many bytes it takes. */
export const encode = (world: W.World, order: ReadonlyArray<number>, into: Uint8Array): number => {
  let at = 0
  const named = (index: number) => (index < order.length ? order.indexOf(index) : index)
  const putBits = (bits: number) => {
    let renamed = bits & ~((1 << order.length) - 1)
    if (bits !== renamed) order.forEach((index, place) => (renamed |= ((bits >> index) & 1) << place))
    into[at++] = renamed
  }
  const putWaiters = ({ chainStartedAt, ids }: wire.Waiters) => {
    into[at++] = chainStartedAt + 128
    into[at++] = ids.length
    for (const id of ids) into[at++] = named(id)
  }
  const putQueue = ({ joined, garbled, label, neutral, neutralWaiters, waiters }: wire.Queue) => {
    const has =
      (waiters === undefined ? 0 : 16) +
      (joined + garbled === 0 ? 0 : 32) +
      (neutral === 0 ? 0 : 64) +
      (neutralWaiters === undefined ? 0 : 128)
    into[at++] = named(label) + has
    if (waiters !== undefined) putWaiters(waiters)
    if (neutral !== 0) into[at++] = neutral
    if (neutralWaiters !== undefined) putWaiters(neutralWaiters)
    if ((has & 32) !== 0) {
      putBits(joined)
      putBits(garbled)
    }
  }
  const putAnnotations = (found: wire.Annotations) => {
    into[at++] = found.lock + 128
    into[at++] = named(found.by) * 16 + found.foreign
    if (found.by !== wire.nobody) into[at++] = found.byUntil + 128
    putQueue(found.queue)
  }
  const putSeen = (seen: W.Seen) => {
    putAnnotations(seen)
    into[at++] = named(seen.owner) * 16 + (seen.current ? 1 : 0)
  }
  const putMaybeWaiters = (waiters: MaybeWaiters) => {
    if (waiters !== "any" && waiters !== undefined) putWaiters(waiters)
  }
  const putRequest = ({ answer, condition, current, patch, target, write }: W.Request) => {
    into[at++] = writeCode[write] * 16 + answerCode[answer] * 4 + (current ? 1 : 0)
    into[at++] =
      (condition.version ? 1 : 0) +
      waitersCode(condition.waiters) * 4 +
      (condition.hasLabel === undefined ? 0 : condition.hasLabel ? 32 : 16) +
      condition.holder * 64
    into[at++] = condition.lease + 128
    into[at++] = named(condition.by) * 16 + named(target)
    into[at++] = waitersCode(condition.neutralWaiters) * 16 + waitersCode(patch.neutralWaiters) * 4 + patch.removes
    putMaybeWaiters(condition.waiters)
    putMaybeWaiters(condition.neutralWaiters)
    putBits(condition.joined)
    putBits(condition.garbled)
    into[at++] = patch.lock + 128
    into[at++] = named(patch.by) * 16 + named(patch.joins)
    into[at++] = named(patch.label) * 4 + waitersCode(patch.waiters)
    putBits(patch.clears)
    putMaybeWaiters(patch.waiters)
    putMaybeWaiters(patch.neutralWaiters)
  }
  putAnnotations(world.annotations)
  into[at++] = named(world.owner) * 16 + (world.late ? 1 : 0)
  into[at++] = world.strangers + world.scribbles * 4 + world.vandals * 16
  into[at++] = named(world.committed)
  putBits(world.litter)
  for (const index of order) {
    const actor = world.actors[index]!
    const { known, limbo, release, request, seen, watched, written } = actor
    into[at++] = kindCode[actor.kind] * 32 + stageCode[actor.stage]
    into[at++] =
      (actor.unanswered ? 1 : 0) +
      (actor.mayQueue ? 2 : 0) +
      (request === undefined ? 0 : 4) +
      (seen === undefined ? 0 : 8) +
      (watched === undefined ? 0 : 16) +
      (known === undefined ? 0 : 32) +
      limbo.length * 64
    into[at++] = actor.left + actor.sent * 8 + actor.token * 32 + (actor.hasYielded ? 128 : 0)
    into[at++] = actor.robbed * 16 + named(actor.next)
    into[at++] =
      handOverCode[release.handsOver] +
      (release.requeues ? 4 : 0) +
      (written === 0 ? 0 : 8) +
      (actor.hasCommitted ? 16 : 0)
    if (written !== 0) {
      into[at++] = written & 255
      into[at++] = written >> 8
    }
    into[at++] = actor.lease + 128
    if (request !== undefined) putRequest(request)
    for (const write of limbo) putRequest(write)
    if (seen !== undefined) putSeen(seen)
    if (watched !== undefined) putSeen(watched)
    if (known !== undefined) putQueue(known)
  }
  return at
}

/** Reads a world. */
export const decode = (bytes: Uint8Array, from: number, to: number): W.World => {
  let at = from
  const getWaiters = (): wire.Waiters => {
    const chainStartedAt = bytes[at++]! - 128
    const ids: Array<number> = []
    for (let left = bytes[at++]!; left > 0; left--) ids.push(bytes[at++]!)
    return { chainStartedAt, ids }
  }
  const getQueue = (): wire.Queue => {
    const has = bytes[at++]!
    return {
      label: has & 15,
      waiters: (has & 16) === 0 ? undefined : getWaiters(),
      neutral: (has & 64) === 0 ? 0 : bytes[at++]!,
      neutralWaiters: (has & 128) === 0 ? undefined : getWaiters(),
      joined: (has & 32) === 0 ? 0 : bytes[at++]!,
      garbled: (has & 32) === 0 ? 0 : bytes[at++]!
    }
  }
  const getAnnotations = (): wire.Annotations => {
    const lock = bytes[at++]! - 128
    const named = bytes[at++]!
    const by = named >> 4
    return { lock, by, byUntil: by === wire.nobody ? 0 : bytes[at++]! - 128, foreign: named & 15, queue: getQueue() }
  }
  const getSeen = (): W.Seen => {
    const { by, byUntil, foreign, lock, queue } = getAnnotations()
    const last = bytes[at++]!
    return { lock, by, byUntil, foreign, queue, owner: last >> 4, current: (last & 1) === 1 }
  }
  const getMaybeWaiters = (code: number): MaybeWaiters => (code === 0 ? "any" : code === 1 ? undefined : getWaiters())
  const getCondition = (): Condition & { readonly target: number; readonly more: number } => {
    const first = bytes[at++]!
    const lease = bytes[at++]! - 128
    const named = bytes[at++]!
    const more = bytes[at++]!
    const label = (first >> 4) & 3
    return {
      more,
      version: (first & 1) === 1,
      holder: first >> 6,
      hasLabel: label === 0 ? undefined : label === 2,
      lease,
      by: named >> 4,
      target: named & 15,
      waiters: getMaybeWaiters((first >> 2) & 3),
      neutralWaiters: getMaybeWaiters((more >> 4) & 3),
      joined: bytes[at++]!,
      garbled: bytes[at++]!
    }
  }
  const getPatch = (more: number): Patch => {
    const lock = bytes[at++]! - 128
    const named = bytes[at++]!
    const last = bytes[at++]!
    return {
      lock,
      by: named >> 4,
      removes: more & 3,
      joins: named & 15,
      label: last >> 2,
      clears: bytes[at++]!,
      waiters: getMaybeWaiters(last & 3),
      neutralWaiters: getMaybeWaiters((more >> 2) & 3)
    }
  }
  const getRequest = (): W.Request => {
    const first = bytes[at++]!
    const { more, target, ...condition } = getCondition()
    return {
      write: W.writes[first >> 4]!,
      answer: W.answers[(first >> 2) & 3]!,
      current: (first & 1) === 1,
      target,
      condition,
      patch: getPatch(more)
    }
  }
  const annotations = getAnnotations()
  const owned = bytes[at++]!
  const budgets = bytes[at++]!
  const committed = bytes[at++]!
  const litter = bytes[at++]!
  const actors: Array<W.Actor> = []
  while (at < to) {
    const what = bytes[at++]!
    const has = bytes[at++]!
    const counts = bytes[at++]!
    const more = bytes[at++]!
    const release = bytes[at++]!
    const written = (release & 8) === 0 ? 0 : bytes[at++]! + bytes[at++]! * 256
    const lease = bytes[at++]! - 128
    const request = (has & 4) === 0 ? undefined : getRequest()
    const limbo: Array<W.Request> = []
    for (let left = has >> 6; left > 0; left--) limbo.push(getRequest())
    actors.push({
      kind: W.kinds[what >> 5]!,
      stage: W.stages[what & 31]!,
      unanswered: (has & 1) === 1,
      mayQueue: (has & 2) === 2,
      hasCommitted: (release & 16) === 16,
      release: releases[release & 7]!,
      lease,
      written,
      left: counts & 7,
      sent: (counts >> 3) & 3,
      token: (counts >> 5) & 3,
      hasYielded: counts >> 7 === 1,
      robbed: more >> 4,
      next: more & 15,
      request,
      limbo,
      seen: (has & 8) === 0 ? undefined : getSeen(),
      watched: (has & 16) === 0 ? undefined : getSeen(),
      known: (has & 32) === 0 ? undefined : getQueue()
    })
  }
  return {
    annotations,
    owner: owned >> 4,
    late: (owned & 1) === 1,
    litter,
    committed,
    strangers: budgets & 3,
    scribbles: (budgets >> 2) & 3,
    vandals: budgets >> 4,
    actors
  }
}

const waitersCode = (waiters: MaybeWaiters): number => (waiters === "any" ? 0 : waiters === undefined ? 1 : 2)

const codes = <const A extends ReadonlyArray<string>>(names: A): Readonly<Record<A[number], number>> =>
  Object.fromEntries(names.map((name, code) => [name, code])) as Record<A[number], number>

const kindCode = codes(W.kinds)
const stageCode = codes(W.stages)
const writeCode = codes(W.writes)
const answerCode = codes(W.answers)
const handOverCode = codes(W.handOvers)

// By their codes.
const releases: ReadonlyArray<W.Release | undefined> = [false, true].flatMap((requeues) =>
  [0, 1, 2, 3].map((code) => (code === 3 ? undefined : { handsOver: W.handOvers[code]!, requeues }))
)
