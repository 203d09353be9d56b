/** The objects of a Job on the API server: pods make them, the Job owns them, and they go with it. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as LockError from "../../../LockError.ts"
import * as Resource from "../../../Resource.ts"
import { LoadError } from "../harness/loadError.ts"
import { type Place, request } from "../harness/objects.ts"

/** The Job that a pod belongs to. */
export interface Job {
  readonly name: string
  readonly uid: string
}

const Owned = Schema.fromJsonString(
  Schema.Struct({
    metadata: Schema.Struct({
      ownerReferences: Schema.optionalKey(Schema.Array(Schema.Struct({ uid: Schema.String })))
    })
  })
)

/** What there may be of an object that was to be made: it is this Job's, or that of another one of the same name, which takes it along. */
type Found = "Made" | "Ours" | "Another"

const create = (place: Place, job: Job, name: string, body: object): Effect.Effect<Found, LockError.StoreError> => {
  const { resource } = place
  const owner = { apiVersion: "batch/v1", kind: "Job", name: job.name, uid: job.uid }
  const metadata = "metadata" in body ? (body.metadata as object) : {}
  return request(place, "create", name, {
    apiVersion: Resource.apiVersion(resource),
    kind: resource.kind,
    ...body,
    metadata: { ...metadata, name, ownerReferences: [owner] }
  }).pipe(
    Effect.as("Made" as const),
    Effect.catchIf(
      (error) => error._tag === "LockUnavailable" && error.status === 409,
      () => Effect.succeed("Another" as const)
    )
  )
}

const isOurs = (place: Place, job: Job, name: string): Effect.Effect<boolean, LockError.StoreError> =>
  request(place, "get", name).pipe(
    Effect.flatMap((body) => Effect.orDie(Schema.decodeEffect(Owned)(body))),
    Effect.map(({ metadata }) => (metadata.ownerReferences ?? []).some(({ uid }) => uid === job.uid)),
    Effect.catchTag("LockNotFound", () => Effect.succeed(false))
  )

/** How long the objects of an earlier Job may take to go, in seconds. Our choice. */
const patience = 120

const eventually = <E>(name: string, attempt: Effect.Effect<Found, E>): Effect.Effect<void, E | LoadError> =>
  Effect.gen(function* () {
    for (let second = 0; second < patience; second++) {
      if ((yield* attempt) !== "Another") return
      yield* Effect.sleep("1 second")
    }
    return yield* new LoadError({ message: `${name} is not of this Job: delete it, or name the Job otherwise` })
  })

/** Makes an object, unless another pod of this Job has made it. */
export const ensure = (place: Place, job: Job, name: string, body: object) =>
  eventually(
    name,
    Effect.flatMap(create(place, job, name, body), (found) =>
      found === "Made"
        ? Effect.succeed(found)
        : Effect.map(isOurs(place, job, name), (ours): Found => (ours ? "Ours" : "Another"))
    )
  )

/** Makes an object that only this pod makes. */
export const leave = (place: Place, job: Job, name: string, body: object) =>
  eventually(name, create(place, job, name, body))
