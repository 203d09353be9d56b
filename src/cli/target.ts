/** Which cluster, which namespace and which objects a verb is about. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { basename } from "node:path"
import * as KubernetesClient from "../KubernetesClient.ts"
import type * as LockError from "../LockError.ts"
import type { ObjectStore } from "../ObjectStore.ts"
import * as ObjectStoreKubernetes from "../ObjectStoreKubernetes.ts"
import * as Resource from "../Resource.ts"
import { text } from "./flags.ts"

/** How the program is invoked: by its own name, or as a plugin of kubectl. */
export const program = basename(process.argv[1] ?? "") === "kubectl-kubelock" ? "kubectl kubelock" : "kubelock"

/** The program, with the flags that all its verbs share. They are kubectl's. */
export const root = Command.make(program).pipe(
  Command.withSharedFlags({
    namespace: Flag.String("namespace").pipe(
      Flag.withAlias("n"),
      Flag.withMetavar("NAME"),
      Flag.withDescription("The namespace (default: KUBELOCK_NAMESPACE, or else that of the kubeconfig's context)"),
      Flag.withFallbackConfig(Config.String("KUBELOCK_NAMESPACE")),
      Flag.optional
    ),
    context: Flag.String("context").pipe(
      Flag.withMetavar("NAME"),
      Flag.withDescription("The kubeconfig's context to use (default: its current one)"),
      Flag.optional
    ),
    kubeconfig: Flag.String("kubeconfig").pipe(
      Flag.withMetavar("FILE"),
      Flag.withDescription(
        "The kubeconfig (default: KUBECONFIG, ~/.kube/config, or the pod's own, as kubectl finds it)"
      ),
      Flag.optional
    )
  })
)

const kinds =
  "configmaps, secrets, leases.coordination.k8s.io, refreshtokens.dex.coreos.com, or any other as widgets.v1.example.com/Widget"

const resourceFlag = (help: string) =>
  text({
    name: "resource",
    metavar: "NAME",
    help: `${help}: ${kinds}`,
    variable: "KUBELOCK_RESOURCE",
    read: (name) => Result.fromOption(Resource.fromName(name), () => kinds)
  })

const lockResource = resourceFlag("What the lock is kept on (default: KUBELOCK_RESOURCE, or else configmaps)")

/** What a lock is kept on if nothing else is named. */
export const defaultResource = Resource.configMap

/** The flag that names the kind of object that a lock is kept on. */
export const resource = lockResource.pipe(Flag.withDefault(defaultResource))

/** The same flag, where it matters whether a kind was named. */
export const namedResource = lockResource.pipe(Flag.optional)

/** How that flag names a kind of object. */
export const nameOf = (resource: Resource.Resource): string => {
  const name = Resource.name(resource)
  if (Option.isSome(Resource.fromName(name))) return name
  const { group, kind, plural, version } = resource
  return `${plural}.${version}${group === "" ? "" : `.${group}`}/${kind}`
}

/** The flag that names the kind of object to look at. */
export const anyResource = resourceFlag(
  "Look only at locks that are kept on this (default: KUBELOCK_RESOURCE, or else configmaps and leases)"
).pipe(Flag.optional)

/** The client of the cluster that the flags name. */
export const client = Layer.unwrap(
  Effect.map(root, ({ context, kubeconfig }) =>
    KubernetesClient.layerKubeConfig({
      file: Option.getOrUndefined(kubeconfig),
      context: Option.getOrUndefined(context)
    })
  )
)

/** The namespace that the flags name, or else that of the kubeconfig. */
export const namespace = Effect.gen(function* () {
  const flags = yield* root
  const { namespace } = yield* KubernetesClient.KubernetesClient
  return Option.getOrElse(flags.namespace, () => namespace)
})

/** The store of a kind of object, in the namespace that the flags name. */
export const store = (
  resource: Resource.Resource
): Layer.Layer<ObjectStore, LockError.InvalidName, KubernetesClient.KubernetesClient | Effect.Services<typeof root>> =>
  Layer.unwrap(
    Effect.map(root, ({ namespace }) =>
      ObjectStoreKubernetes.layer({ resource, namespace: Option.getOrUndefined(namespace) })
    )
  )
