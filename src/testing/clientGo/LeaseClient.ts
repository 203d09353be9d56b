/** The requests of an elector for one Lease on a Kubernetes API server. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as encode from "../../internal/kubernetes/encode.ts"
import type { Request } from "../../internal/kubernetes/http.ts"
import { KubernetesClient } from "../../KubernetesClient.ts"
import { type Lease, type LeaseApi, LeaseError, type LeaseSpec } from "./LeaderElector.ts"

/** Which Lease, and how long a request may take. */
export interface Options {
  readonly namespace: string
  readonly name: string
  readonly requestTimeout: Duration.Duration
}

/** Makes the requests. */
export const make = Effect.fnUntraced(function* (options: Options) {
  const client = yield* KubernetesClient
  const limits = { timeoutMillis: Duration.toMillis(options.requestTimeout), maxBytes: 1 << 20 }
  const leases = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`
  const path = `${leases}/${options.name}`
  // The Lease as it was answered: a PUT sends back what the elector does not know.
  let answered: Schema.Schema.Type<typeof Answer> = { metadata: { resourceVersion: "" } }

  const ask = Effect.fnUntraced(function* (request: Request): Effect.fn.Return<Option.Option<Lease>, LeaseError> {
    const { body, status } = yield* Effect.mapError(client.request(request, limits), toLeaseError)
    if (status === 404 && request.method === "GET") return Option.none()
    if (status > 299) return yield* new LeaseError({ detail: `${request.method} ${path}: ${status}` })
    answered = yield* Effect.mapError(decode(body), toLeaseError)
    const { metadata, spec } = answered
    return Option.some({
      resourceVersion: metadata.resourceVersion,
      annotations: metadata.annotations ?? {},
      labels: metadata.labels ?? {},
      spec: withoutNulls(spec ?? {})
    })
  })
  const write = (request: Request) =>
    Effect.flatMap(ask(request), (lease) =>
      Option.isSome(lease) ? Effect.succeed(lease.value) : Effect.fail(new LeaseError({ detail: "no Lease" }))
    )

  const api: LeaseApi = {
    get: ask(encode.get(path)),
    create: (spec) =>
      write(
        encode.post(leases, {
          apiVersion: "coordination.k8s.io/v1",
          kind: "Lease",
          metadata: { name: options.name, namespace: options.namespace },
          spec
        })
      ),
    update: ({ annotations, labels, resourceVersion, spec }) =>
      write(
        encode.withJson(
          "PUT",
          path,
          { ...answered, metadata: { ...answered.metadata, annotations, labels, resourceVersion }, spec },
          "application/json"
        )
      )
  }
  return api
})

const toLeaseError = (error: { readonly message: string }): LeaseError => new LeaseError({ detail: error.message })

const Texts = Schema.Record(Schema.String, Schema.String)

const text = Schema.optional(Schema.NullOr(Schema.String))
const whole = Schema.optional(Schema.NullOr(Schema.Int))

const Answer = Schema.StructWithRest(
  Schema.Struct({
    metadata: Schema.StructWithRest(
      Schema.Struct({
        resourceVersion: Schema.String,
        annotations: Schema.optional(Texts),
        labels: Schema.optional(Texts)
      }),
      [Schema.Record(Schema.String, Schema.Unknown)]
    ),
    spec: Schema.optional(
      Schema.Struct({
        holderIdentity: text,
        leaseDurationSeconds: whole,
        acquireTime: text,
        renewTime: text,
        leaseTransitions: whole,
        strategy: text,
        preferredHolder: text
      })
    )
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)

const decode = Schema.decodeEffect(Schema.fromJsonString(Answer))

const withoutNulls = (spec: Readonly<Record<string, string | number | null | undefined>>): LeaseSpec =>
  Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== null)) as LeaseSpec
