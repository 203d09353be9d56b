/**
 * A process that holds a lock under a session and blocks its event loop meanwhile: `holder.ts ID TTL MAX_STALL BLOCKED_FOR BY`, all times in
 * milliseconds. With `MAX_STALL` 0 no thread of its own renews the session. It prints what it sees, one line of JSON for each event.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { writeSync } from "node:fs"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as SessionThread from "../../src/SessionThread.ts"
import type { Event } from "./holders.ts"

const id = process.argv[2]!
const [ttl, maxStall, blockedFor] = process.argv.slice(3).map(Number) as [number, number, number]

const print = (event: Event) => void writeSync(1, `${JSON.stringify(event)}\n`)

const store = ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap, requestTimeout: "1 second" })

const policy = LockPolicy.make({ ttl, session: true, waitSchedule: LockPolicy.fixedPolls("1 second", 100) })

const LockLive = Lock.layer({ identity: "holder", policy }).pipe(
  Layer.provide(maxStall === 0 ? store : Layer.provide(SessionThread.layer({ maxStall }), store)),
  Layer.provideMerge(Logger.layer([Logger.make(({ message }) => print({ _tag: "Logged", line: String(message) }))]))
)

Effect.gen(function* () {
  const { fencingToken, isValid, lost } = yield* Lock.scoped(id)
  print({ _tag: "Holds", fencingToken: String(fencingToken) })
  const started = performance.now()
  if (process.argv[6] === "Sleep") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockedFor)
  else while (performance.now() - started < blockedFor);
  // Nothing else has run on this thread.
  print({ _tag: "GoesOn", isValid: Effect.runSync(isValid) })
  const after = yield* Effect.flip(lost).pipe(
    Effect.map(({ reason, withSession }) => ({ reason, withSession: withSession === true })),
    Effect.timeoutOrElse({ duration: Duration.millis(1.5 * ttl), orElse: () => Effect.succeed(null) })
  )
  print({ _tag: "Ends", isValid: yield* isValid, lost: after })
}).pipe(Effect.scoped, Effect.provide(LockLive), NodeRuntime.runMain)
