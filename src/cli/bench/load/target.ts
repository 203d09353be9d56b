/** Where a test runs: an API server, a resource on it, and a namespace. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type KubeConfigError, KubernetesClient } from "../../../KubernetesClient.ts"
import type * as LockError from "../../../LockError.ts"
import * as Resource from "../../../Resource.ts"
import * as Api from "../harness/api.ts"
import * as Connection from "../harness/connection.ts"
import * as Objects from "../harness/objects.ts"

/** What to open. Without a `name` it has that of the server, and without a `namespace` that of the kubeconfig. */
export interface Options<E> {
  readonly connection: Connection.Connection
  readonly name?: string | undefined
  readonly namespace: Option.Option<string>
  readonly resource: (api: Api.Api) => Effect.Effect<Resource.Resource, E>
}

/** The target, and how workers reach it. `objects` makes so many objects to lock, until the scope closes. */
export interface Target extends Objects.Place {
  readonly name: string
  readonly connection: Connection.Connection
  readonly objects: (count: number) => Effect.Effect<ReadonlyArray<string>, LockError.StoreError, Scope.Scope>
}

/** A target whose objects are there already, or are made otherwise. */
export const connect = Effect.fnUntraced(function* <E>({
  connection,
  name,
  namespace: wanted,
  resource: find
}: Options<E>): Effect.fn.Return<Omit<Target, "objects">, E | KubeConfigError | LockError.InvalidName, Scope.Scope> {
  const context = yield* Layer.build(Connection.layer(connection))
  const client = yield* Effect.provideContext(KubernetesClient, context)
  const api = yield* Effect.provideContext(Api.make, context)
  const namespace = yield* Effect.fromResult(Resource.checkName(Option.getOrElse(wanted, () => client.namespace)))
  return { api, resource: yield* find(api), namespace, name: name ?? client.server, connection }
})

/** Opens the target, which is closed with the scope, and checks that it can be used. */
export const open = Effect.fnUntraced(function* <E>(
  options: Options<E>
): Effect.fn.Return<Target, E | KubeConfigError | LockError.InvalidName | LockError.StoreError, Scope.Scope> {
  const target = yield* connect(options)
  yield* Objects.preflight(target)
  return { ...target, objects: (count) => Objects.make(target, count) }
})
