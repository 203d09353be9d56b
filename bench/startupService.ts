/**
 * A service that takes a lock as soon as it can, says so in a line, and ends: `npm run bench:startup` bundles it. With a folder as its
 * argument it is in a pod whose service account is there; otherwise it uses the kubeconfig that kubectl would use.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Environment } from "../src/internal/kubernetes/environment.ts"
import * as KubernetesClient from "../src/KubernetesClient.ts"
import * as Lock from "../src/Lock.ts"
import * as ObjectStoreKubernetes from "../src/ObjectStoreKubernetes.ts"
import * as Resource from "../src/Resource.ts"

const [serviceAccount = ""] = process.argv.slice(2)

const lock = Lock.layer().pipe(
  Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex" })),
  Layer.provide(KubernetesClient.layerKubeConfig())
)

const program = Effect.scoped(
  Effect.andThen(
    Lock.scoped(`startup-${process.pid}`),
    Effect.sync(() => process.stdout.write("held\n"))
  )
)

Effect.provide(program, lock).pipe(
  Effect.provideService(Environment, { variables: process.env, home: process.env["HOME"] ?? "", serviceAccount }),
  Effect.runPromise
)
