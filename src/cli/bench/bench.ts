/** What `kubelock bench` does: a load test on the cluster that the flags name. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { Ended, exitCodes, misused } from "../exitCodes.ts"
import * as target from "../target.ts"
import type { Given } from "./command.ts"
import { counted } from "./harness/text.ts"
import * as LoadTest from "./load/loadTest.ts"
import * as Settings from "./load/settings.ts"
import * as Target from "./load/target.ts"
import * as Threshold from "./threshold.ts"

/** Runs the test. */
export const run = (given: Given) =>
  Effect.gen(function* () {
    const { context, kubeconfig, namespace } = yield* target.root
    const thresholds = yield* Effect.forEach(given.threshold, (text) =>
      Result.match(Threshold.parse(text), {
        onSuccess: (threshold) => Effect.succeed(threshold),
        onFailure: (expected) =>
          misused(`Invalid value for flag --threshold: ${JSON.stringify(text)}. Expected: ${expected}`)
      })
    )
    const threads = yield* threadsOf(given)
    const settings = yield* Settings.make(given, {
      threads,
      fibers: given.contenders / threads,
      json: given.output === "json",
      thresholds
    })
    const runs = yield* LoadTest.run(
      settings,
      Target.open({
        connection: {
          _tag: "KubeConfig",
          file: Option.getOrUndefined(kubeconfig),
          context: Option.getOrUndefined(context)
        },
        namespace,
        resource: () => Effect.succeed(given.resource)
      })
    )
    const missed = Threshold.judge(thresholds, runs[0]!).filter(({ passed }) => !passed)
    if (missed.length > 0) {
      return yield* new Ended({
        code: exitCodes.missed,
        message: `${counted(missed.length, "threshold")} of ${thresholds.length} missed`
      })
    }
  })

const usualThreads = 4

const threadsOf = ({ contenders, threads }: Given): Effect.Effect<number, Ended> => {
  const isDivisor = (count: number) => contenders % count === 0
  const usual = Math.max(...[1, 2, 3, usualThreads].filter(isDivisor))
  return Option.match(threads, {
    onNone: () => Effect.succeed(usual),
    onSome: (threads) =>
      isDivisor(threads)
        ? Effect.succeed(threads)
        : misused(
            `--contenders ${contenders} cannot be divided evenly among ${counted(threads, "thread")}: use ${threads * Math.max(1, Math.round(contenders / threads))}, or --threads ${usual}`
          )
  })
}
