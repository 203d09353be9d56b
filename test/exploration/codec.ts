/**
 * A world as bytes and back.
 *
 * kubelock's contenders are alike: the bytes name them in an order that depends only on what each of them is doing, so
 * that worlds which differ in who is who are one.
 */
import * as wire from "./wire.ts"
import * as W from "./world.ts"

/** Bytes enough for any world. */
export const maxBytes = 256

/** In which order the bytes name the contenders: at place i stands the contender that was `order[i]`. */
export const orderOf = (world: W.World): ReadonlyArray<number> => {
  const { actors } = world
  let alike = 0
  while (alike < actors.length && actors[alike]!.kind === "kubelock") alike++
  const order = actors.map((_, index) => index)
  if (alike < 2) return order
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

const weigh = (world: W.World, actor: W.Actor, index: number): number => {
  const { request, seen } = actor
  let weight = stageCode[actor.stage]
  weight = weight * 2 + (world.owner === index ? 1 : 0)
  weight = weight * 2 + (actor.mayHold ? 1 : 0)
  weight = weight * 64 + ((actor.lease + 40) & 63)
  weight = weight * 4 + actor.age
  weight = weight * 4 + actor.token
  weight = weight * 4 + actor.robbed
  weight = weight * 4 + actor.limbo.length
  if (request !== undefined) {
    weight = weight * 4 + answerCode[request.answer]
    weight = weight * 64 + ((request.until + 40) & 63)
    weight = weight * 2 + (request.current ? 1 : 0)
    weight = weight * 4 + actor.sent
  } else if (seen !== undefined) weight = weight * 256 + ((seen.lock + 128) & 127) * 2 + (seen.current ? 1 : 0)
  return weight
}

/** Writes a world, its contenders in that order; answers how many bytes it takes. */
export const encode = (world: W.World, order: ReadonlyArray<number>, into: Uint8Array): number => {
  let at = 0
  const named = (index: number) => {
    const place = order.indexOf(index)
    return place < 0 ? wire.nobody : place
  }
  const putAnnotations = (found: W.Seen | W.World["annotations"]) => {
    into[at++] = found.lock + 128
    into[at++] = named(found.by) * 16 + found.foreign
    into[at++] = found.byUntil + 128
  }
  const putRequest = (request: W.Request) => {
    into[at++] =
      writeCode[request.write] * 64 +
      conditionCode[request.expects] * 16 +
      answerCode[request.answer] * 4 +
      (request.current ? 1 : 0)
    into[at++] = request.lease + 128
    into[at++] = request.until + 128
    into[at++] = named(request.target)
  }
  putAnnotations(world.annotations)
  into[at++] = named(world.owner) * 16 + (world.late ? 1 : 0)
  into[at++] = world.strangers * 16 + world.scribbles
  for (const index of order) {
    const actor = world.actors[index]!
    const { limbo, request, seen } = actor
    into[at++] = kindCode[actor.kind] * 16 + stageCode[actor.stage]
    into[at++] =
      (actor.mayHold ? 1 : 0) + (request === undefined ? 0 : 2) + (seen === undefined ? 0 : 4) + limbo.length * 8
    into[at++] = actor.age + actor.sent * 4 + actor.token * 16 + actor.robbed * 64
    into[at++] = actor.lease + 128
    if (request !== undefined) putRequest(request)
    for (const write of limbo) putRequest(write)
    if (seen !== undefined) {
      putAnnotations(seen)
      into[at++] = named(seen.owner) * 16 + (seen.current ? 1 : 0)
    }
  }
  return at
}

/** Reads a world. */
export const decode = (bytes: Uint8Array, from: number, to: number): W.World => {
  let at = from
  const getAnnotations = (): W.World["annotations"] => {
    const lock = bytes[at++]! - 128
    const named = bytes[at++]!
    return { lock, by: named >> 4, byUntil: bytes[at++]! - 128, foreign: named & 15 }
  }
  const getRequest = (): W.Request => {
    const first = bytes[at++]!
    return {
      write: W.writes[first >> 6]!,
      expects: W.conditions[(first >> 4) & 3]!,
      current: (first & 1) === 1,
      lease: bytes[at++]! - 128,
      until: bytes[at++]! - 128,
      target: bytes[at++]!,
      answer: W.answers[(first >> 2) & 3]!
    }
  }
  const annotations = getAnnotations()
  const owned = bytes[at++]!
  const budgets = bytes[at++]!
  const actors: Array<W.Actor> = []
  while (at < to) {
    const what = bytes[at++]!
    const has = bytes[at++]!
    const counts = bytes[at++]!
    const lease = bytes[at++]! - 128
    const request = (has & 2) === 0 ? undefined : getRequest()
    const limbo: Array<W.Request> = []
    for (let left = has >> 3; left > 0; left--) limbo.push(getRequest())
    let seen: W.Seen | undefined
    if ((has & 4) !== 0) {
      const found = getAnnotations()
      const last = bytes[at++]!
      seen = {
        lock: found.lock,
        by: found.by,
        byUntil: found.byUntil,
        foreign: found.foreign,
        owner: last >> 4,
        current: (last & 1) === 1
      }
    }
    actors.push({
      kind: W.kinds[what >> 4]!,
      stage: W.stages[what & 15]!,
      mayHold: (has & 1) === 1,
      lease,
      age: counts & 3,
      sent: (counts >> 2) & 3,
      token: (counts >> 4) & 3,
      robbed: counts >> 6,
      request,
      limbo,
      seen
    })
  }
  return {
    annotations,
    owner: owned >> 4,
    late: (owned & 1) === 1,
    strangers: budgets >> 4,
    scribbles: budgets & 15,
    actors
  }
}

const codes = <const A extends ReadonlyArray<string>>(names: A): Readonly<Record<A[number], number>> =>
  Object.fromEntries(names.map((name, code) => [name, code])) as Record<A[number], number>

const kindCode = codes(W.kinds)
const stageCode = codes(W.stages)
const writeCode = codes(W.writes)
const conditionCode = codes(W.conditions)
const answerCode = codes(W.answers)
