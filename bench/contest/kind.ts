/** The kinds of contenders: kubelock and each of its peers. */
import * as Resource from "../../src/Resource.ts"
import type { Envtest } from "../../src/testing/index.ts"

/** The kinds of contenders whose lock is not on Kubernetes: on the etcd of the API server, or on a Redis. */
export const elsewhere = [
  "etcd-mutex",
  "etcdctl",
  "redis-semaphore",
  "redlock",
  "effect-distributed-lock",
  "redis-semaphore-everysec",
  "redlock-everysec",
  "effect-distributed-lock-everysec"
] as const

/** A kind of contender whose lock is not on Kubernetes. */
export type Elsewhere = (typeof elsewhere)[number]

/** The kinds of contenders for an exclusive lock. The last two take no lock: they are the limits of all others. */
export const kinds = [
  "kubelock",
  "kubelock-before",
  "kubelock-lease",
  "kubelock-configmap",
  "dex",
  "lease-fast",
  "lease-default",
  "k8s-lease-lock",
  ...elsewhere,
  "relay",
  "raw"
] as const

/** The kinds of contenders for an exclusive lock. */
export type Kind = (typeof kinds)[number]

/** Any kind of contender: also kubelock's for permits of a semaphore, and for a shared lock. */
export type AnyKind = Kind | "semaphore" | "shared"

/** An API server that can be measured on. */
export type Server = Envtest.Server

/** The name of each kind, and what a reader must know about it. */
export const about: Readonly<Record<Kind, { readonly name: string; readonly text: string }>> = {
  kubelock: {
    name: "kubelock",
    text: "this library with its default policy, on a RefreshToken. It leaves gaps for Dex only if Dex contends, too (`sharedWithDex`)"
  },
  "kubelock-before": {
    name: "kubelock before",
    text: "an earlier build of this library (`--against`) with the same dependencies, on a RefreshToken"
  },
  "kubelock-lease": {
    name: "kubelock on a Lease",
    text: "this library on a Lease, like client-go"
  },
  "kubelock-configmap": {
    name: "kubelock on a ConfigMap",
    text: "this library on a ConfigMap that it makes for the lock"
  },
  dex: {
    name: "Dex",
    text: "the lock of Dex's refresh tokens (`src/testing/dex`): a poll every 100 ms, whole objects, on a RefreshToken"
  },
  "lease-fast": {
    name: "client-go, fastest",
    text: "a Lease as client-go's leader election takes it, written from its documented algorithm, released at the end of each leadership (`ReleaseOnCancel`); lease 1 s (a Lease counts whole seconds), renew deadline 0.5 s, retry period 10 ms"
  },
  "lease-default": {
    name: "client-go, default",
    text: "the same with the timings of Kubernetes' own components: lease 15 s, renew deadline 10 s, retry period 2 s"
  },
  "k8s-lease-lock": {
    name: "k8s-lease-lock",
    text: "npm's `@nullplatform/k8s-lease-lock`, lease 1 s (its shortest), polled every 100 ms. It has no release: a lock ends when its lease does, so it can do one lease a second"
  },
  "etcd-mutex": {
    name: "etcd's mutex",
    text: "the mutex of etcd's Go client (`concurrency.Mutex`), written from its source for Node.js, on the etcd of the API server; a session of 10 s. Applications cannot reach that etcd in most clusters"
  },
  etcdctl: {
    name: "etcdctl lock",
    text: "the command line of etcd, which holds the lock while it runs a command; a process for each acquisition"
  },
  "redis-semaphore": {
    name: "redis-semaphore",
    text: "npm's `redis-semaphore` (`Mutex`) on a Redis that syncs every write to disk, as etcd does (`appendfsync always`); lease 10 s, polled every 10 ms"
  },
  redlock: {
    name: "redlock",
    text: "npm's `redlock` on the same Redis; lease 10 s, which it does not renew, polled every 200 to 400 ms"
  },
  "effect-distributed-lock": {
    name: "effect-distributed-lock",
    text: "npm's `effect-distributed-lock`, a semaphore for Effect 3, with one permit on the same Redis; lease 30 s, waiters are told of a release and also poll every 100 ms"
  },
  "redis-semaphore-everysec": {
    name: "redis-semaphore, everysec",
    text: "the same on a Redis as it comes, which syncs once a second: a crash of the machine forgets the locks of that second"
  },
  "redlock-everysec": { name: "redlock, everysec", text: "the same on that Redis" },
  "effect-distributed-lock-everysec": { name: "effect-distributed-lock, everysec", text: "the same on that Redis" },
  relay: {
    name: "relay",
    text: "processes in a ring. Each waits until a label names it, by a watch filtered by its own name, and then names the next one with a raw write. A hand-over between processes needs at least this; no lock"
  },
  raw: {
    name: "raw writes",
    text: "one plain undici client: compare-and-swap writes to one annotation, one after the other; no lock"
  }
}

/** Whether the lock is a Lease rather than a RefreshToken. */
const usesLease = (kind: Kind): boolean => /^lease-|-lease/.test(kind)

/** The resource that a kind locks by default. */
export const resourceOf = (kind: Kind): Resource.Resource => {
  if (kind === "kubelock-configmap") return Resource.configMap
  return usesLease(kind) ? Resource.lease : Resource.refreshToken
}

/** Whether the lock is not on Kubernetes. */
export const isElsewhere = (kind: AnyKind): kind is Elsewhere => elsewhere.some((one) => one === kind)

/** Whether its Redis syncs once a second rather than before each answer. */
export const syncsEverySecond = (kind: AnyKind): boolean => kind.endsWith("-everysec")

/** The kind whose code it runs: the settings of a Redis and the resource of kubelock's lock change none. */
export const codeOf = (kind: AnyKind): string => kind.replace(/-everysec|(?<=^kubelock)-(lease|configmap)/, "")

/** Why a kind cannot be measured on a server: `undefined` if it can. */
export const unable = (kind: Kind, server: Server): string | undefined => {
  if (server === "kube-apiserver") return undefined
  if (isElsewhere(kind)) return "it is measured beside kube-apiserver"
  const resource = resourceOf(kind)
  return resource === Resource.refreshToken ? undefined : `this server has no ${resource.kind}s`
}

/** Whether it is a limit rather than a lock. */
export const isLimit = (kind: Kind): boolean => kind === "relay" || kind === "raw"

/** Whether it is always one process, whatever the number of contenders. */
export const isAlone = (kind: AnyKind): boolean => kind === "raw"

/** Whether each acquisition is a program of its own: its requests and its CPU are not counted. */
export const isProgram = (kind: AnyKind): boolean => kind === "etcdctl"

/** Whether one round is enough because its own timings, or the start of a program, determine the figures. */
export const isSlow = (kind: AnyKind): boolean =>
  kind === "lease-default" || kind === "k8s-lease-lock" || isProgram(kind)
