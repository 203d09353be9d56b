/**
 * How many requests a layer has under way at once, and which one is next if there are more: renewals whose lease is running out, then
 * hand-overs of locks that are free already, then releases, then acquisitions. So a thousand locks that change hands at once cost no
 * lease that this process holds.
 *
 * A request is made, and the lease that it writes is planned, once it has a slot: what it waits for here costs the lease no time.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as ClockReading from "../time/clockReading.ts"
import { TimerHeap } from "../time/timerHeap.ts"

/** What a request is for. `latest` is when a renewal must have been sent, in milliseconds on the monotonic clock. */
export type Purpose = "HandOver" | "Release" | "Acquisition" | { readonly latest: number }

/** A request that wants a slot. `listen` calls `notify` once it has one, at once if it has it. It leaves once, with or without it. */
export interface Entry {
  readonly hasSlot: () => boolean
  readonly listen: (notify: () => void) => void
  readonly leave: () => void
}

/** The slots of a layer. */
export interface Slots {
  readonly enter: (purpose: Purpose) => Entry
  /** Runs an effect in a slot. */
  readonly within: <A, E>(purpose: Purpose, effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

/** How many requests of a layer are under way at most, and how many of them may be other than renewals. Our choice. */
export const atMost = { all: 20, others: 16 }

/** A renewal goes before all others this long before it must have been sent, in milliseconds. Our choice. */
export const pressingMillis = 1000

/** Makes the slots of a layer. */
export const make: Effect.Effect<Slots> = Effect.map(Clock.Clock, (clock) => {
  const renewals = new TimerHeap()
  const others = { HandOver: new TimerHeap(), Release: new TimerHeap(), Acquisition: new TimerHeap() }
  const inTurn = Object.values(others)
  let underWay = 0

  const next = (): TimerHeap => {
    const isPressing =
      renewals.first !== undefined && renewals.first.due - ClockReading.monotonic(clock) <= pressingMillis
    if (!isPressing && underWay < atMost.others) {
      const found = inTurn.find((heap) => !heap.isEmpty)
      if (found !== undefined) return found
    }
    return renewals
  }

  const admit = () => {
    while (underWay < atMost.all) {
      const heap = next()
      const { first } = heap
      if (first === undefined) return
      heap.remove(first)
      underWay++
      first.what.fire()
    }
  }

  const enter = (purpose: Purpose): Entry => {
    const heap = typeof purpose === "object" ? renewals : others[purpose]
    let isIn = false
    let notify = () => {}
    const waiting = heap.add(typeof purpose === "object" ? purpose.latest : 0, {
      fire: () => {
        isIn = true
        notify()
      }
    })
    admit()
    return {
      hasSlot: () => isIn,
      listen: (heard) => {
        notify = heard
        if (isIn) heard()
      },
      leave: () => {
        if (!isIn) return heap.remove(waiting)
        underWay--
        admit()
      }
    }
  }

  return {
    enter,
    within: (purpose, effect) =>
      Effect.uninterruptibleMask((restore) => {
        const entry = enter(purpose)
        const inside = entry.hasSlot()
          ? effect
          : Effect.andThen(
              Effect.callback<void>((resume) => entry.listen(() => resume(Effect.void))),
              effect
            )
        return Effect.onExitPrimitive(restore(inside), () => {
          entry.leave()
          return undefined
        })
      })
  }
})
