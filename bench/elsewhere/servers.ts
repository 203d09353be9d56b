/** The servers of the locks that are not on Kubernetes: the etcd of the API server, and two Redis. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Elsewhere, elsewhere, syncsEverySecond } from "../contest/kind.ts"
import type { LoadError } from "../../src/cli/bench/harness/loadError.ts"
import * as etcdctl from "./etcdctl.ts"
import { packageOf } from "./open.ts"
import * as packages from "./packages.ts"
import * as RedisServer from "./redisServer.ts"

/** A kind that does not contend, and why. */
export interface LeftOut {
  readonly kind: Elsewhere
  readonly why: string
}

/** What cannot contend on this machine. */
export const leftOut = (): ReadonlyArray<LeftOut> => {
  const programs = {
    etcdctl: etcdctl.version() === undefined ? "there is no etcdctl on this machine" : undefined,
    redis: RedisServer.version() === undefined ? "there is no redis-server on this machine" : undefined,
    packages: packages.missing()
  }
  return elsewhere.flatMap((kind) => {
    const ofPackage = packageOf(kind) === undefined ? programs.packages : (programs.redis ?? programs.packages)
    const why = kind === "etcdctl" ? programs.etcdctl : ofPackage
    return why === undefined ? [] : [{ kind, why }]
  })
}

/** The versions of what is on this machine. */
export const versions = (): Readonly<Record<string, string>> => {
  const programs = { "redis-server": RedisServer.version(), etcdctl: etcdctl.version() }
  const found = Object.entries(programs).flatMap(([name, version]) => (version === undefined ? [] : [[name, version]]))
  return Object.fromEntries([...found, ...packages.versions()])
}

/** The servers. `pids` are those of a kind, `undefined` if it uses the etcd of the API server. */
export interface Servers {
  readonly addressOf: (kind: Elsewhere) => string
  readonly pidsOf: (kind: Elsewhere) => ReadonlyArray<number> | undefined
}

/** Starts what the kinds need. It ends with the scope. */
export const start = Effect.fnUntraced(function* (
  kinds: ReadonlyArray<Elsewhere>,
  etcdUrl: string
): Effect.fn.Return<Servers, LoadError, Scope.Scope> {
  const startFor = (sync: RedisServer.Sync) =>
    kinds.some((kind) => packageOf(kind) !== undefined && syncOf(kind) === sync)
      ? RedisServer.start(sync)
      : Effect.undefined
  const redis = { always: yield* startFor("always"), everysec: yield* startFor("everysec") }
  const redisOf = (kind: Elsewhere) => (packageOf(kind) === undefined ? undefined : redis[syncOf(kind)])
  return {
    addressOf: (kind) => redisOf(kind)?.port.toString() ?? etcdUrl,
    pidsOf: (kind) => {
      const found = redisOf(kind)
      return found === undefined ? undefined : [found.pid]
    }
  }
})

const syncOf = (kind: Elsewhere): RedisServer.Sync => (syncsEverySecond(kind) ? "everysec" : "always")
