/** How the kinds of contenders elsewhere take a lock. */
import { codeOf, type Elsewhere } from "../contest/kind.ts"
import * as etcdctl from "./etcdctl.ts"
import * as etcdMutex from "./etcdMutex.ts"
import type { Opened } from "./packages.ts"
import * as redisPackages from "./redisPackages.ts"

/** The package of a kind on Redis: `undefined` if it is on etcd. */
export const packageOf = (kind: Elsewhere): redisPackages.LockPackage | undefined =>
  redisPackages.locks.find(({ name }) => name === codeOf(kind))

/** Opens the lock for a round of so many seconds. `address` is the URL of an etcd, or the port of a Redis. */
export const open = async (kind: Elsewhere, address: string, seconds: number): Promise<Opened> => {
  const found = packageOf(kind)
  if (found !== undefined) return found.open(Number(address), seconds)
  return kind === "etcdctl" ? etcdctl.open(address) : etcdMutex.open(address)
}
