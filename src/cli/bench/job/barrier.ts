/** Where pods wait for each other: an object on which each says that it is there. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as LockError from "../../../LockError.ts"
import { type Place, request } from "../harness/objects.ts"

const Data = Schema.fromJsonString(Schema.Struct({ data: Schema.Record(Schema.String, Schema.String) }))

/** How often it looks. Pods begin within this time of each other. */
const pause = "100 millis"

/** Says that this pod has come to a stage, and waits until as many pods have as there are. */
export const pass = (
  place: Place,
  {
    index,
    name,
    pods,
    stage
  }: { readonly name: string; readonly stage: string; readonly index: number; readonly pods: number }
): Effect.Effect<void, LockError.StoreError> => {
  const isComplete = (body: string) =>
    Effect.map(
      Effect.orDie(Schema.decodeEffect(Data)(body)),
      ({ data }) => Object.keys(data).filter((key) => key.startsWith(`${stage}.`)).length >= pods
    )
  // The Job has a deadline. Until then an answer that is missing is waited for. Both requests may be repeated.
  const patiently = (asked: Effect.Effect<string, LockError.StoreError>) =>
    Effect.retry(asked, { while: ({ _tag }) => _tag === "LockUnavailable", schedule: Schedule.spaced("1 second") })
  return Effect.gen(function* () {
    let body = yield* patiently(request(place, "patch", name, { data: { [`${stage}.${index}`]: "there" } }))
    while (!(yield* isComplete(body))) {
      yield* Effect.sleep(pause)
      body = yield* patiently(request(place, "get", name))
    }
  })
}
