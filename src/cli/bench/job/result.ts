/** What a pod leaves in a ConfigMap: its encoding, and the merger of all of them. Pure. */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { gunzipSync, gzipSync } from "node:zlib"
import * as ServerWitness from "../contest/serverWitness.ts"
import { kinds } from "../flags.ts"
import * as histogram from "../harness/histogram.ts"
import * as requests from "../harness/requests.ts"
import * as statistics from "../harness/statistics.ts"
import * as Figures from "../load/figures.ts"
import type { Side } from "../page/data.ts"

const Counts = Schema.Struct({
  get: Schema.Number,
  put: Schema.Number,
  patch: Schema.Number,
  watch: Schema.Number,
  other: Schema.Number,
  conflicts: Schema.Number
})

const Seen = Schema.Struct({
  visits: Schema.Number,
  mostInside: Schema.Number,
  overlaps: Schema.Number,
  updates: Schema.Number,
  staleReads: Schema.Number,
  staleTokens: Schema.Number,
  unsure: Schema.Number,
  incidents: Schema.Array(Schema.Struct({ id: Schema.Number, who: Schema.String, other: Schema.String }))
})

const Summary = Schema.Struct({
  job: Schema.String,
  kind: Schema.Literals(kinds),
  limit: Schema.NullOr(Schema.Number),
  writers: Schema.NullOr(Schema.Number),
  target: Schema.String,
  threads: Schema.Number,
  fibers: Schema.Number,
  ids: Schema.Number,
  holdMillis: Schema.Number,
  durationMillis: Schema.Number,
  violations: Schema.Number,
  timeouts: Schema.Number,
  errors: Schema.Number,
  firstError: Schema.optionalKey(Schema.String),
  acquisitions: Schema.Array(Schema.Number),
  requests: Counts,
  seen: Seen
})

/** What one pod measured and saw. `violations` are those that its own threads saw, and `acquisitions` those of each contender. */
export interface Result {
  readonly summary: typeof Summary.Type
  readonly wait: histogram.Histogram
}

const ConfigMap = Schema.fromJsonString(
  Schema.Struct({
    data: Schema.Struct({ summary: Schema.fromJsonString(Summary) }),
    binaryData: Schema.Struct({ wait: Schema.String })
  })
)

const decodeConfigMap = Schema.decodeOption(ConfigMap)

/** What a pod of the Job with this UID measured. */
export const of = (
  job: string,
  {
    acquisitions,
    figures,
    firstError,
    records,
    seen
  }: Side & { readonly seen: ServerWitness.Seen; readonly firstError: string | undefined }
): Result => ({
  summary: {
    job,
    kind: figures.kind,
    limit: figures.limit,
    writers: figures.writers,
    target: figures.target,
    threads: figures.threads,
    fibers: figures.fibers,
    ids: figures.ids,
    holdMillis: figures.holdMillis,
    durationMillis: figures.durationMillis,
    violations: figures.violations,
    timeouts: figures.timeouts,
    errors: figures.errors,
    ...(firstError === undefined ? {} : { firstError: firstError.slice(0, 1000) }),
    acquisitions,
    requests: { ...figures.requests, conflicts: figures.conflicts },
    seen
  },
  wait: records.wait
})

/**
 * The content of the ConfigMap. Its size is limited, whatever was measured: 170 KiB for the histogram (if nothing can be compressed),
 * and ten bytes for each contender.
 */
export const encode = ({ summary, wait }: Result) => ({
  data: { summary: JSON.stringify(summary) },
  binaryData: { wait: gzipSync(new Uint8Array(wait.buffer)).toString("base64") }
})

/** Reads such a ConfigMap: nothing if it is something else. */
export const decode = (body: string): Option.Option<Result> =>
  Option.flatMap(
    decodeConfigMap(body),
    Option.liftThrowable(({ binaryData, data }) => {
      const wait = histogram.make()
      const compressed = Buffer.from(binaryData.wait, "base64")
      new Uint8Array(wait.buffer).set(gunzipSync(compressed, { maxOutputLength: wait.byteLength }))
      return { summary: data.summary, wait }
    })
  )

/** What the witness on the API server says of all pods: the figures of `Seen`, and `lostUpdates`, which nobody has seen. */
export interface Proof extends ServerWitness.Seen {
  readonly lostUpdates: number
  readonly violations: number
}

/** What all pods measured, as if it were one run. There are no hand-offs: the clocks of machines differ. */
export interface Merged {
  readonly figures: Figures.Figures
  readonly proof: Proof
  readonly firstError: string | undefined
}

/** Merges the results of pods. `sights` is what is left on the objects of the witness. */
export const merge = (results: ReadonlyArray<Result>, sights: ReadonlyArray<ServerWitness.Sight>): Merged => {
  const summaries = results.map(({ summary }) => summary)
  const { fibers, holdMillis, ids, kind, limit, target, writers } = summaries[0]!
  const add = (read: (summary: Result["summary"]) => number) => statistics.sum(summaries.map(read))
  const seen = ServerWitness.sum(summaries.map((summary) => summary.seen))
  const left = sights.flatMap(({ inside }) => inside).length
  const lostUpdates = seen.updates - statistics.sum(sights.map(({ count }) => count))
  const proof: Proof = {
    ...seen,
    // A contender that is still on an object has not been able to leave, or does not belong there.
    unsure: seen.unsure + left,
    lostUpdates,
    violations: Math.max(
      seen.overlaps,
      Math.abs(lostUpdates) + seen.staleReads,
      seen.staleTokens,
      add(({ violations }) => violations)
    )
  }
  const wait = histogram.make()
  for (const result of results) histogram.add(wait, result.wait)
  const acquisitions = summaries.flatMap((summary) => summary.acquisitions)
  const totals = {
    acquisitions,
    requests: requests.sum(summaries.map((summary) => summary.requests)),
    timeouts: add(({ timeouts }) => timeouts),
    errors: add(({ errors }) => errors)
  }
  return {
    figures: Figures.of(
      {
        kind,
        limit,
        writers,
        protocol: "kubelock",
        target,
        threads: add(({ threads }) => threads),
        fibers,
        ids,
        holdMillis
      },
      Math.max(...summaries.map(({ durationMillis }) => durationMillis)),
      totals,
      {
        wait,
        handoff: histogram.make(),
        acquisitions: statistics.sum(acquisitions),
        mostInside: proof.mostInside,
        violations: proof.violations
      }
    ),
    proof,
    firstError: summaries.find(({ firstError }) => firstError !== undefined)?.firstError
  }
}
