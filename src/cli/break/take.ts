/** Takes a lock from one holder, under a compare-and-swap. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as electionStore from "../../internal/election/electionStore.ts"
import * as leaseMirror from "../../internal/election/leaseMirror.ts"
import * as requests from "../../internal/engine/requests.ts"
import * as layerSessions from "../../internal/session/layerSessions.ts"
import * as LockError from "../../LockError.ts"
import * as LockKind from "../../LockKind.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import { type ConditionalPatch, type ObjectSnapshot, ObjectStore, type ServerTime } from "../../ObjectStore.ts"
import * as PermitProtocol from "../../PermitProtocol.ts"
import * as busy from "../busy.ts"
import * as view from "../inspect/view.ts"

/** Whose lock: that of a holder ID. Without one it is what has no name, and must be as it was shown. */
export interface Whose {
  readonly holder: string | undefined
}

/** Takes a lock from one holder, and returns whether it had it. The lock may have been renewed since it was shown. */
export const from = (found: view.Found, seen: view.View, whose: Whose, key: string | undefined) =>
  Effect.gen(function* () {
    const given = yield* ObjectStore
    const { name, resource } = found
    // The holder of a session is on its Lease as a leader is.
    const isElection = seen.kind === "election" || seen.kind === "session"
    const kind = isElection ? electionStore.kind(view.leaderKey) : LockKind.exclusive(key ?? resource.annotation)
    const store = isElection ? electionsOn(given) : given.holdsLeases ? leaseMirror.make(given, kind) : given

    const plan = (
      current: ObjectSnapshot,
      state: LockProtocol.LockState,
      now: ServerTime
    ): ConditionalPatch | undefined =>
      isSame(found, seen, whose, state)
        ? {
            expect: { resourceVersion: current.resourceVersion },
            ...LockProtocol.planBreak(current, now, { kind, sharedWithDex: given.sharedWithDex })
          }
        : undefined

    const conflict = new LockError.Conflict({ id: name, object: store.describe(name), reason: "RaceLost" })
    // A holder under a session is told that it loses the lock, and may release it by itself.
    let wasTold = false

    const once = Effect.gen(function* () {
      const current = yield* store.read(name)
      const now = yield* requests.knownTime(store, name)
      const permits = view.permitsOn(current, key)
      const patch =
        permits === undefined
          ? plan(current, LockProtocol.lockState(kind.decode(current.annotations), now), now)
          : PermitProtocol.planBreak(permits, current, whose.holder ?? "")
      if (patch === undefined) return wasTold
      if (permits === undefined && !wasTold) {
        wasTold = (yield* layerSessions.letGo(store, kind, name, current)) !== current
        if (wasTold) return yield* conflict
      }
      if (Option.isSome(yield* store.compareAndSwap(name, patch))) return true
      return yield* conflict
    })
    return yield* busy.patiently(Effect.retry(once, { while: ({ _tag }) => _tag === "LockConflict", times: 5 }))
  })

const isSame = (
  { snapshot: shown }: view.Found,
  { holders: [first] }: view.View,
  { holder }: Whose,
  state: LockProtocol.LockState
): boolean => {
  switch (state._tag) {
    case "Free":
      return false
    case "Malformed":
      return shown.annotations[state.key] === state.value
    case "Held":
    case "Expired":
      // A holder without a name renews nothing.
      return state.holder === holder && (holder !== undefined || state.expiry === first?.expires)
  }
}

const electionsOn = (leases: ObjectStore["Service"]): ObjectStore["Service"] =>
  electionStore.make(leases, {
    key: view.leaderKey,
    leaseDuration: 0,
    onSlowPath: () => Effect.void,
    onLongLease: () => Effect.void
  })
