/** What a program does with `@kubernetes/client-node`, and what it must see on any server. */
import {
  ApiException,
  CoordinationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  KubernetesObjectApi,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  V1MicroTime,
  Watch
} from "@kubernetes/client-node"
import { EventEmitter } from "node:events"

const namespace = "clients"

/** Uses the typed APIs, a Watch and an informer, and returns what each of them showed. The namespace is made anew. */
export const exercise = async (kubeConfig: string): Promise<Readonly<Record<string, unknown>>> => {
  const config = new KubeConfig()
  config.loadFromString(kubeConfig)
  const core = config.makeApiClient(CoreV1Api)
  await core.createNamespace({ body: { metadata: { name: namespace } } })
  return {
    configMaps: await configMaps(core),
    secrets: await secrets(core),
    leases: await leases(config.makeApiClient(CoordinationV1Api)),
    watch: await watched(config, core),
    informer: await informed(config, core),
    custom: await custom(config.makeApiClient(CustomObjectsApi)),
    objects: await objects(KubernetesObjectApi.makeApiClient(config))
  }
}

/** Waits until something holds, which it looks at whenever something was seen. */
const when = (events: EventEmitter, holds: () => boolean) =>
  new Promise<void>((resolve) => {
    const check = () => {
      if (holds()) resolve()
    }
    events.on("seen", check)
    check()
  })

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => "no failure",
    (error) => (error instanceof ApiException ? error.code : String(error))
  )

const configMaps = async (core: CoreV1Api) => {
  const made = await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "a" }, data: { x: "1" } } })
  const again = await failure(core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "a" } } }))
  const replaced = await core.replaceNamespacedConfigMap({ namespace, name: "a", body: { ...made, data: { x: "2" } } })
  const stale = await failure(core.replaceNamespacedConfigMap({ namespace, name: "a", body: made }))
  const patched = await core.patchNamespacedConfigMap(
    { namespace, name: "a", body: { data: { y: "3" } } },
    setHeaderOptions("Content-Type", PatchStrategy.StrategicMergePatch)
  )
  const listed = await core.listNamespacedConfigMap({ namespace, fieldSelector: "metadata.name=a", limit: 1 })
  const dry = await core.deleteNamespacedConfigMap({ namespace, name: "a", body: { dryRun: ["All"] } })
  const read = await core.readNamespacedConfigMap({ namespace, name: "a" })
  const gone = await core.deleteNamespacedConfigMap({ namespace, name: "a" })
  const missing = await failure(core.readNamespacedConfigMap({ namespace, name: "a" }))
  const bad = await failure(
    core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "b" }, data: { "a b": "1" } } })
  )
  return {
    made: made.kind,
    age: made.metadata?.creationTimestamp instanceof Date,
    again,
    replaced: replaced.data,
    stale,
    patched: patched.data,
    listed: listed.items.map(({ data }) => data),
    dry: dry.status,
    read: read.data,
    gone: gone.status,
    missing,
    bad
  }
}

const secrets = async (core: CoreV1Api) => {
  const body = { metadata: { name: "s" }, stringData: { password: "hunter2" } }
  const { data, stringData, type } = await core.createNamespacedSecret({ namespace, body })
  const other = await failure(
    core.patchNamespacedSecret(
      { namespace, name: "s", body: { type: "x.io/y" } },
      setHeaderOptions("Content-Type", PatchStrategy.MergePatch)
    )
  )
  await core.deleteCollectionNamespacedSecret({ namespace, fieldSelector: "type=Opaque" })
  const left = await core.listNamespacedSecret({ namespace, fieldSelector: "type=Opaque" })
  return { data, stringData, type, other, left: left.items.length }
}

const leases = async (api: CoordinationV1Api) => {
  const renewTime = new V1MicroTime("2026-01-01T00:00:00.123456Z")
  const body = { metadata: { name: "l" }, spec: { holderIdentity: "me", leaseDurationSeconds: 15, renewTime } }
  const { spec } = await api.createNamespacedLease({ namespace, body })
  const zero = await failure(
    api.patchNamespacedLease(
      { namespace, name: "l", body: { spec: { leaseDurationSeconds: 0 } } },
      setHeaderOptions("Content-Type", PatchStrategy.MergePatch)
    )
  )
  const { message, status } = await api.deleteNamespacedLease({ namespace, name: "l" })
  return { holder: spec?.holderIdentity, renewed: String(spec?.renewTime), zero, message, status }
}

const watched = async (config: KubeConfig, core: CoreV1Api) => {
  const seen: Array<readonly [string, unknown]> = []
  const events = new EventEmitter()
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  const { metadata } = await core.listNamespacedConfigMap({ namespace })
  const resourceVersion = metadata?.resourceVersion
  const watch = await new Watch(config).watch(
    path,
    { resourceVersion, labelSelector: "watched" },
    (type, object: { readonly data?: unknown }) => {
      seen.push([type, object.data])
      events.emit("seen")
    },
    () => events.emit("done")
  )
  const until = (count: number) => when(events, () => seen.length >= count)
  const labels = { watched: "1" }
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "w", labels }, data: { x: "1" } } })
  await until(1)
  await core.patchNamespacedConfigMap(
    { namespace, name: "w", body: [{ op: "replace", path: "/data/x", value: "2" }] },
    setHeaderOptions("Content-Type", PatchStrategy.JsonPatch)
  )
  await core.deleteNamespacedConfigMap({ namespace, name: "w" })
  await until(3)
  watch.abort()
  return seen
}

const informed = async (config: KubeConfig, core: CoreV1Api) => {
  const seen: Array<string> = []
  const events = new EventEmitter()
  const until = (what: string) => when(events, () => seen.includes(what))
  const informer = makeInformer(
    config,
    `/api/v1/namespaces/${namespace}/configmaps`,
    () => core.listNamespacedConfigMap({ namespace, labelSelector: "informed" }),
    "informed"
  )
  for (const what of ["add", "update", "delete"] as const) {
    informer.on(what, ({ data, metadata }) => {
      seen.push(`${what} ${metadata?.name} ${data?.["x"]}`)
      events.emit("seen")
    })
  }
  const body = { metadata: { name: "i", labels: { informed: "1" } }, data: { x: "1" } }
  await core.createNamespacedConfigMap({ namespace, body })
  await informer.start()
  await until("add i 1")
  await core.replaceNamespacedConfigMap({ namespace, name: "i", body: { ...body, data: { x: "2" } } })
  await until("update i 2")
  await core.deleteNamespacedConfigMap({ namespace, name: "i" })
  await until("delete i 2")
  await informer.stop()
  return seen
}

const tokens = { group: "dex.coreos.com", version: "v1", namespace, plural: "refreshtokens" }

const custom = async (api: CustomObjectsApi) => {
  const body = { apiVersion: "dex.coreos.com/v1", kind: "RefreshToken", metadata: { name: "t" }, token: "1" }
  const made = (await api.createNamespacedCustomObject({ ...tokens, body })) as { readonly token: string }
  const listed = (await api.listNamespacedCustomObject(tokens)) as { readonly items: ReadonlyArray<unknown> }
  const missing = await failure(api.getNamespacedCustomObject({ ...tokens, name: "none" }))
  await api.deleteNamespacedCustomObject({ ...tokens, name: "t" })
  return { token: made.token, listed: listed.items.length, missing }
}

const objects = async (api: KubernetesObjectApi) => {
  const metadata = { name: "o", namespace }
  const made = await api.create({ apiVersion: "v1", kind: "ConfigMap", metadata })
  const patched = await api.patch(
    { apiVersion: "v1", kind: "ConfigMap", metadata: { ...metadata, labels: { l: "1" } } },
    undefined,
    undefined,
    undefined,
    undefined,
    PatchStrategy.MergePatch
  )
  const read = await api.read({ apiVersion: "v1", kind: "ConfigMap", metadata })
  await api.delete({ apiVersion: "v1", kind: "ConfigMap", metadata })
  return { made: made.kind, patched: patched.metadata?.labels, read: read.metadata?.labels }
}

/** What every server shows. */
export const expected: Readonly<Record<string, unknown>> = {
  configMaps: {
    made: "ConfigMap",
    age: true,
    again: 409,
    replaced: { x: "2" },
    stale: 409,
    patched: { x: "2", y: "3" },
    listed: [{ x: "2", y: "3" }],
    dry: "Success",
    read: { x: "2", y: "3" },
    gone: "Success",
    missing: 404,
    bad: 422
  },
  secrets: { data: { password: "aHVudGVyMg==" }, stringData: undefined, type: "Opaque", other: 422, left: 0 },
  leases: { holder: "me", renewed: "2026-01-01T00:00:00.123000Z", zero: 422, message: undefined, status: "Success" },
  watch: [
    ["ADDED", { x: "1" }],
    ["MODIFIED", { x: "2" }],
    ["DELETED", { x: "2" }]
  ],
  informer: ["add i 1", "update i 2", "delete i 2"],
  custom: { token: "1", listed: 1, missing: 404 },
  objects: { made: "ConfigMap", patched: { l: "1" }, read: { l: "1" } }
}
