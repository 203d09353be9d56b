/**
 * etcd's own mutex, as `client/v3/concurrency` of its Go client has it: a key for each contender, under a lease that its process
 * keeps alive. The oldest key holds the lock.
 *
 * - A contender makes its key and reads the oldest one in a transaction. If that is its own, it has the lock.
 * - Otherwise it waits until the key before its own is deleted, looks whether another one is left before it, and then reads its own
 *   key: it is gone if the lease has expired.
 * - A release deletes the key.
 */
import * as requests from "../../src/cli/bench/harness/requests.ts"
import { load, type Opened } from "./packages.ts"

/** The lease of a session in seconds: the default of `etcdctl lock`. Go programs have 60 by default. */
const ttlSeconds = 10

interface KeyValue {
  readonly key: Buffer
  readonly create_revision: string
}

interface RangeAnswer {
  readonly header: { readonly revision: string }
  readonly kvs: ReadonlyArray<KeyValue>
}

interface TransactionAnswer {
  readonly header: { readonly revision: string }
  readonly succeeded: boolean
  readonly responses: ReadonlyArray<{ readonly response_range: RangeAnswer }>
}

interface Watcher {
  readonly on: (event: "delete" | "error", heard: (error: unknown) => void) => Watcher
  readonly cancel: () => Promise<void>
}

/** Opens a session on an etcd. */
export const open = async (url: string): Promise<Opened> => {
  const { Etcd3 } = await load("etcd3")
  const client = new Etcd3({ hosts: url })
  const session = client.lease(ttlSeconds)
  const lease: string = await session.grant()
  const holders = new Set<() => void>()
  session.on("lost", () => {
    for (const lost of holders) lost()
  })

  const call = <A>(answer: Promise<A>): Promise<A> => {
    requests.toOtherServer()
    return answer
  }

  const isDeleted = async (key: Buffer, revision: string): Promise<void> => {
    const watcher: Watcher = await call(client.watch().key(key).startRevision(revision).create())
    await new Promise<void>((resolve, reject) => {
      watcher.on("delete", () => resolve()).on("error", reject)
    })
    await call(watcher.cancel())
  }

  const allBeforeAreDeleted = async (prefix: object, revision: string): Promise<void> => {
    const last: RangeAnswer = await call(
      client.kv.range({
        ...prefix,
        max_create_revision: String(BigInt(revision) - 1n),
        sort_target: "Create",
        sort_order: "Descend",
        limit: 1
      })
    )
    const [before] = last.kvs
    if (before === undefined) return
    await isDeleted(before.key, last.header.revision)
    await allBeforeAreDeleted(prefix, revision)
  }

  return {
    take: async (id, lost = () => {}) => {
      const key = Buffer.from(`${id}/${BigInt(lease).toString(16)}`)
      // All keys that begin with `id/`.
      const prefix = { key: Buffer.from(`${id}/`), range_end: Buffer.from(`${id}0`) }
      const oldest = { request_range: { ...prefix, sort_target: "Create", sort_order: "Ascend", limit: 1 } }
      const { header, responses, succeeded }: TransactionAnswer = await call(
        client.kv.txn({
          compare: [{ key, target: "Create", result: "Equal", create_revision: 0 }],
          success: [{ request_put: { key, value: Buffer.from(""), lease } }, oldest],
          failure: [{ request_range: { key } }, oldest]
        })
      )
      const revision = succeeded ? header.revision : responses[0]!.response_range.kvs[0]!.create_revision
      const [owner] = responses[1]!.response_range.kvs
      if (owner !== undefined && owner.create_revision !== revision) {
        await allBeforeAreDeleted(prefix, revision)
        const own: RangeAnswer = await call(client.kv.range({ key }))
        if (own.kvs.length === 0) throw new Error("the session has expired")
      }
      holders.add(lost)
      return async () => {
        holders.delete(lost)
        await call(client.kv.deleteRange({ key }))
      }
    },
    close: async () => {
      await session.revoke()
      client.close()
    }
  }
}
