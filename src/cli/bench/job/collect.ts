/** What `kubelock bench --collect` does: merges what the pods of a Job have left, and judges it. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Resource from "../../../Resource.ts"
import { Ended, exitCodes } from "../../exitCodes.ts"
import * as ServerWitness from "../contest/serverWitness.ts"
import { LoadError } from "../harness/loadError.ts"
import { find, type Place, request } from "../harness/objects.ts"
import { counted } from "../harness/text.ts"
import * as report from "../load/report.ts"
import * as Target from "../load/target.ts"
import * as Threshold from "../threshold.ts"
import * as names from "./names.ts"
import * as Result from "./result.ts"

const Count = Schema.NumberFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 1000 }))

const Barrier = Schema.fromJsonString(
  Schema.Struct({ data: Schema.Struct({ job: Schema.String, pods: Count, ids: Count }) })
)

/** How the result is printed and judged. */
export interface Options {
  readonly json: boolean
  readonly thresholds: ReadonlyArray<Threshold.Threshold>
}

/** Merges and prints, and answers the figures. */
export const run = Effect.fnUntraced(function* <E>(name: string, { json, thresholds }: Options, to: Target.Options<E>) {
  const { pods, results, sights } = yield* Effect.scoped(
    Effect.gen(function* () {
      const place = { ...(yield* Target.connect(to)), resource: Resource.configMap }
      const { ids, job, pods } = yield* shapeOf(place, name)
      const found = yield* Effect.forEach(names.results(name, pods), (one) => resultOf(place, one), { concurrency: 8 })
      // Those of an earlier Job of this name go with it, but not at once.
      const results = found.flatMap((result) => Option.toArray(result)).filter(({ summary }) => summary.job === job)
      if (results.length < pods) {
        return yield* new Ended({
          code: exitCodes.notHad,
          message: `${results.length} of ${counted(pods, "pod")} have left a result: wait for the Job (kubectl wait --for=condition=complete job/${name}). If it has failed, its pods say why (kubectl logs --prefix -l job-name=${name})`
        })
      }
      const sights = yield* Effect.forEach(names.witnesses(name, ids), (one) =>
        Effect.flatMap(request(place, "get", one), ServerWitness.read)
      )
      return { pods, results, sights }
    })
  ).pipe(Effect.catchTag("SchemaError", () => somethingElse(name)))
  const { figures, firstError, proof } = Result.merge(results, sights)
  yield* json
    ? Console.log(report.json([figures], Threshold.judge(thresholds, figures), { pods, witness: proof }))
    : Console.log(
        [
          `${counted(pods, "pod")} of ${counted(figures.threads / pods, "thread")} of ${counted(figures.fibers, "fiber")} on ${counted(figures.ids, "id")}${report.named(figures)}; target ${figures.target}`,
          "",
          report.table([figures]),
          "",
          report.verdict(figures),
          report.across(proof, pods),
          ...Threshold.table(thresholds, figures),
          ...proof.incidents.map(
            ({ id, other, who }) =>
              `${who} was in the critical section of id ${id} together with ${other} (pod.contender)`
          ),
          ...(firstError === undefined ? [] : [`first error: ${firstError}`])
        ].join("\n")
      )
  if (proof.violations > 0) return yield* new LoadError({ message: `${report.rule(figures)} was broken` })
  if (proof.unsure > 0) {
    return yield* new LoadError({
      message: `exclusion is not proved: ${counted(proof.unsure, "visit")} did not come to an end on the witness`
    })
  }
  return figures
})

const shapeOf = Effect.fnUntraced(function* (place: Place, name: string) {
  const found = yield* find(place, names.barrier(name))
  if (Option.isNone(found)) {
    return yield* new Ended({
      code: exitCodes.notHad,
      message: `the Job ${name} has not begun, or is not there: apply what --job prints, and wait for it`
    })
  }
  const { data } = yield* Schema.decodeEffect(Barrier)(found.value)
  return data
})

const somethingElse = (name: string) => new LoadError({ message: `ConfigMap ${name} is not what this version leaves` })

const resultOf = Effect.fnUntraced(function* (place: Place, name: string) {
  const found = yield* find(place, name)
  const result = Option.flatMap(found, Result.decode)
  if (Option.isSome(found) && Option.isNone(result)) return yield* somethingElse(name)
  return result
})
