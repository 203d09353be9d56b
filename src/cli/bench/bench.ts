/** What `kubelock bench` does: a load test on the cluster that the flags name, or what many pods need for one. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { Ended, exitCodes, misused } from "../exitCodes.ts"
import * as target from "../target.ts"
import type { Given } from "./command.ts"
import { counted } from "./harness/text.ts"
import type { Figures } from "./load/figures.ts"
import * as LoadTest from "./load/loadTest.ts"
import * as Settings from "./load/settings.ts"
import * as Target from "./load/target.ts"
import * as Threshold from "./threshold.ts"

/** Does what was asked for. What concerns a Job is loaded when it is needed. */
export const run = (given: Given) =>
  Effect.gen(function* () {
    const problem = misfit(given)
    if (problem !== undefined) return yield* misused(problem)
    const { context, kubeconfig, namespace } = yield* target.root
    const options: Target.Options<never> = {
      connection: {
        _tag: "KubeConfig",
        file: Option.getOrUndefined(kubeconfig),
        context: Option.getOrUndefined(context)
      },
      namespace,
      resource: () => Effect.succeed(given.resource)
    }
    const thresholds = yield* thresholdsOf(given)
    const json = given.output === "json"
    if (Option.isSome(given.collect)) {
      const collect = yield* Effect.promise(() => import("./job/collect.ts"))
      return yield* judge(thresholds, yield* collect.run(given.collect.value, { json, thresholds }, options))
    }
    const threads = yield* threadsOf(given)
    const settings = yield* Settings.make(given, { threads, fibers: given.contenders / threads, json, thresholds })
    if (given.job) {
      const { print } = yield* Effect.promise(() => import("./job/print.ts"))
      return yield* print(given, settings)
    }
    if (Option.isSome(given.podOf)) {
      const pod = yield* Effect.promise(() => import("./job/pod.ts"))
      return yield* pod.run(given.podOf.value, given.pods, settings, options)
    }
    const [figures] = yield* LoadTest.run(settings, Target.open(options))
    return yield* judge(thresholds, figures!)
  })

const misfit = ({
  collect,
  compare,
  contenders,
  job,
  podOf,
  protocol,
  report,
  threshold
}: Given): string | undefined => {
  const modes = [job, Option.isSome(collect), Option.isSome(podOf)].filter((isGiven) => isGiven).length
  if (modes === 0) return undefined
  if (modes > 1) return "--job, --collect and --pod-of exclude each other"
  if (compare || protocol === "dex") return "pods measure kubelock's lock only: leave out --compare and --protocol dex"
  if (Option.isSome(report)) return "the page of --report is that of one process: leave it out"
  if (threshold.length > 0 && Option.isNone(collect)) return "--threshold belongs to --collect, which has the figures"
  return contenders > mostOfAPod ? `--contenders is ${mostOfAPod} at most in a pod` : undefined
}

// A result has a number for each of them, and a ConfigMap has 1 MiB.
const mostOfAPod = 4096

const thresholdsOf = ({ threshold }: Given) =>
  Effect.forEach(threshold, (text) =>
    Result.match(Threshold.parse(text), {
      onSuccess: (threshold) => Effect.succeed(threshold),
      onFailure: (expected) =>
        misused(`Invalid value for flag --threshold: ${JSON.stringify(text)}. Expected: ${expected}`)
    })
  )

const judge = (thresholds: ReadonlyArray<Threshold.Threshold>, figures: Figures): Effect.Effect<void, Ended> => {
  const missed = Threshold.judge(thresholds, figures).filter(({ passed }) => !passed)
  return missed.length === 0
    ? Effect.void
    : Effect.fail(
        new Ended({
          code: exitCodes.missed,
          message: `${counted(missed.length, "threshold")} of ${thresholds.length} missed`
        })
      )
}

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
