/** What a pod of the Job does: makes the objects with the others, waits for them, runs the test beside them, and leaves a result. */
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Resource from "../../../Resource.ts"
import { misused } from "../../exitCodes.ts"
import * as Objects from "../harness/objects.ts"
import * as LoadTest from "../load/loadTest.ts"
import * as report from "../load/report.ts"
import type { Settings } from "../load/settings.ts"
import * as Target from "../load/target.ts"
import * as barrier from "./barrier.ts"
import * as names from "./names.ts"
import * as objects from "./objects.ts"
import * as Result from "./result.ts"

/** Runs the pod. */
export const run = Effect.fnUntraced(function* <E>(
  name: string,
  pods: number,
  settings: Settings,
  options: Target.Options<E>
) {
  const index = yield* variable(names.indexVariable)
  const uid = yield* variable(names.uidVariable)
  const number = Number(index)
  if (!(Number.isInteger(number) && number >= 0 && number < pods)) {
    return yield* misused(`${names.indexVariable} is ${index}: it must be from 0 to ${pods - 1}`)
  }
  yield* Effect.scoped(
    Effect.gen(function* () {
      const target = yield* Target.connect(options)
      const job = { name, uid }
      const configMaps = { ...target, resource: Resource.configMap }
      const { ids } = settings
      const witnesses = names.witnesses(name, ids)
      const locks = names.locks(name, ids)
      yield* objects.ensure(configMaps, job, names.barrier(name), {
        data: { job: uid, pods: String(pods), ids: String(ids) }
      })
      yield* Effect.forEach(witnesses, (one) => objects.ensure(configMaps, job, one, {}), { discard: true })
      yield* Effect.forEach(locks, (one) => objects.ensure(target, job, one, Objects.bodyOf(target.resource, one)), {
        discard: true
      })
      // The warm-up is a stage, and so is the measurement.
      let stage = 0
      const together = Effect.suspend(() =>
        barrier.pass(configMaps, { name: names.barrier(name), stage: `stage-${stage++}`, index: number, pods })
      )
      const measured = yield* LoadTest.share(
        {
          ...settings,
          serverWitness: {
            namespace: target.namespace,
            names: witnesses,
            machine: number,
            most: settings.limit ?? Number.POSITIVE_INFINITY
          }
        },
        Effect.succeed({ ...target, objects: () => Effect.as(together, locks) })
      )
      const result = Result.of(uid, measured)
      yield* objects.leave(configMaps, job, names.results(name, pods)[number]!, Result.encode(result))
      yield* Console.log(report.verdict(measured.figures))
    })
  )
})

const variable = (name: string) =>
  Effect.flatMap(
    Config.option(Config.String(name)),
    Option.match({
      onNone: () => misused(`--pod-of is for the pods of a Job that --job has printed: ${name} is not set`),
      onSome: (value: string) => Effect.succeed(value)
    })
  )
