/** `kubelock inspect` and `kubelock break`, as processes. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { parse } from "yaml"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import { Fault, type SeenRequest } from "../../src/testing/ApiServer.ts"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()
let holders: ReadonlyArray<Kubelock.Running>

const put = (name: string, annotations: Readonly<Record<string, string>>, namespace = "default") =>
  Effect.runPromise(kubelock.server.put(Resource.configMap, namespace, { metadata: { name, annotations } }))

const client = { holderIdentity: "controller_1", leaseDurationSeconds: 15, leaseTransitions: 2 }
const time = "2026-11-28T02:00:00.000000Z"

beforeAll(async () => {
  holders = await Promise.all([
    kubelock.holding("deploy"),
    kubelock.holding("crawler", "--limit=4", "--permits=3"),
    kubelock.holding("catalog", "--shared"),
    kubelock.holding("leader", "--lead"),
    kubelock.holding("on-a-lease", "--resource=leases.coordination.k8s.io"),
    kubelock.holding("elsewhere", "-n", "other")
  ])
  await put("dex", { "dexidp.com/resource-lock": "2099-01-01T00:00:00Z" })
  await put("expired", { "kubelock.dev/lock": "2020-01-01T00:00:00Z" })
  await put("malformed", { "kubelock.dev/lock": "soon" })
  await put("no-lock", { "example.com/lock": "x" })
  const spec = { ...client, acquireTime: time, renewTime: time }
  const inGo = { metadata: { name: "in-go" }, spec }
  await Effect.runPromise(kubelock.server.put(Resource.lease, "default", inGo))
  await Effect.runPromise(kubelock.server.put(Resource.lease, "kube-node-lease", { metadata: { name: "node" }, spec }))
})

afterAll(async () => {
  for (const holder of holders) holder.process.kill()
  await Promise.all(holders.map(({ ended }) => ended))
})

interface Item {
  readonly name: string
  readonly kind: string
  readonly state: string
  readonly holders: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly waiters: ReadonlyArray<string>
}

const inspected = async (...args: ReadonlyArray<string>): Promise<ReadonlyArray<Item>> => {
  const { code, stderr, stdout } = await kubelock.run(["inspect", "-o", "json", ...args])
  assert.deepStrictEqual([code, stderr], [0, ""])
  return (JSON.parse(stdout) as { readonly items: ReadonlyArray<Item> }).items
}

const farAhead = "2099-01-01T00:00:00Z"

const owner = "owner/aaaaaaaaaaaa.1"

/** The Lease of a session: when it was renewed, and as which incarnation. */
const putSession = (number: number, renewTime: string, incarnation = owner, namespace = "default") => {
  const spec = { holderIdentity: incarnation, leaseDurationSeconds: 10, leaseTransitions: 0, renewTime }
  const metadata = { name: `kubelock-session-${number}`, labels: { "app.kubernetes.io/managed-by": "kubelock" } }
  return Effect.runPromise(kubelock.server.put(Resource.lease, namespace, { metadata, spec }))
}

/** A lock under a session, and the session. The lock is that of the incarnation `owner`. */
const putUnderSession = async (
  name: string,
  number: number,
  renewTime: string,
  incarnation?: string,
  namespace = "default"
) => {
  const { metadata } = await putSession(number, renewTime, incarnation, namespace)
  const reference = `${namespace}/${metadata.name} ${metadata.uid} ${owner}`
  const annotations = {
    "kubelock.dev/lock": farAhead,
    "kubelock.dev/lock-holder": `owner/bbbbbbbbbbbb.1 ${reference}@${farAhead}`
  }
  await put(name, annotations, namespace)
}

const removeSession = (number: number, namespace = "default") =>
  Effect.runPromise(kubelock.server.remove(Resource.lease, namespace, `kubelock-session-${number}`))

/** Does something while requests are forbidden. */
const without = <A>(when: (request: SeenRequest) => boolean, use: () => Promise<A>): Promise<A> =>
  Effect.runPromise(
    Effect.scoped(Effect.andThen(kubelock.server.inject(Fault.Forbid({}), { when }), Effect.promise(use)))
  )

describe.concurrent("kubelock inspect", () => {
  it("shows the locks of a namespace, whatever their kind, and nothing else", async () => {
    const items = await inspected()
    assert.includeDeepMembers(
      items.map(({ kind, name, state }) => [name, kind, state]),
      [
        ["catalog", "shared lock", "Held"],
        ["crawler", "semaphore", "Held"],
        ["deploy", "lock", "Held"],
        ["dex", "lock", "Held"],
        ["expired", "lock", "Expired"],
        ["in-go", "election", "Expired"],
        ["leader", "election", "Held"],
        ["malformed", "lock", "Malformed"],
        ["on-a-lease", "lock", "Held"]
      ]
    )
    assert.notIncludeMembers(
      items.map(({ name }) => name),
      ["no-lock", "elsewhere", "node"]
    )
  })

  it("shows who holds it, how, since when and until when, as far as the object tells", async () => {
    const items = new Map((await inspected()).map((item) => [item.name, item.holders[0]]))
    assert.match(String(items.get("deploy")!["holder"]), /^[\w.-]+\/[a-z0-9]{12}\.1$/)
    assert.match(String(items.get("deploy")!["expires"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    assert.strictEqual(items.get("crawler")!["permits"], 3)
    assert.strictEqual(items.get("catalog")!["mode"], "shared")
    assert.notProperty(items.get("dex"), "holder")
    assert.property(items.get("on-a-lease"), "since")
    assert.deepStrictEqual(items.get("in-go"), {
      holder: "controller_1",
      since: "2026-11-28T02:00:00Z",
      expires: "2026-11-28T02:00:15Z",
      isExpired: true
    })
  })

  it("shows a table with one row for each lock, and a queue that is wide", async () => {
    const waiter = kubelock.start(["run", "deploy", "--", "true"])
    const queued = async (): Promise<string> => {
      const { stdout } = await kubelock.run(["inspect", "deploy", "-o", "wide"])
      return / 1 +configmaps\/deploy/.test(stdout) ? stdout : queued()
    }
    const [heading, row] = (await queued()).split("\n")
    assert.match(heading!, /^NAME +KIND +STATE +HOLDER +SINCE +EXPIRES +WAITING +KEPT ON +QUEUE$/)
    assert.match(row!, /^deploy +lock +Held +\S+ +- +in \d+s +1 +configmaps\/deploy +\S+\/\w{12}\.1$/)
    waiter.process.kill()
    await waiter.ended
  })

  it("has the formats of kubectl", async () => {
    assert.strictEqual((await kubelock.run(["inspect", "dex", "-o", "name"])).stdout, "configmaps/dex\n")
    const yaml = parse((await kubelock.run(["inspect", "dex", "-o", "yaml"])).stdout) as Item
    const json = JSON.parse((await kubelock.run(["inspect", "dex", "-o", "json"])).stdout) as Item
    assert.deepStrictEqual(yaml, json)
    assert.strictEqual(json.holders[0]!["expires"], "2099-01-01T00:00:00Z")
  })

  it("looks in all namespaces with -A, and on one resource", async () => {
    const { stdout } = await kubelock.run(["inspect", "-A"])
    assert.match(stdout, /^NAMESPACE .*\n(.*\n)*other +elsewhere +lock +Held /)
    const leases = await inspected("--resource", "leases.coordination.k8s.io")
    assert.includeMembers(
      leases.map(({ name }) => name),
      ["leader", "on-a-lease", "in-go"]
    )
    assert.notInclude(
      leases.map(({ name }) => name),
      "deploy"
    )
  })

  it("says that there is nothing", async () => {
    assert.deepStrictEqual(await kubelock.run(["inspect", "-n", "kube-public"]), {
      code: 0,
      stdout: "",
      stderr: "kubelock: There are no locks in namespace kube-public.\n"
    })
  })

  it.each(["table", "json", "yaml", "name"])("ends with 1 if what was named is not there (-o %s)", async (format) => {
    assert.deepStrictEqual(await kubelock.run(["inspect", "unknown", "-o", format]), {
      code: 1,
      stdout: "",
      stderr: "kubelock: There is nothing of a lock unknown in namespace default: nobody holds it.\n"
    })
    // There is an object, so the lock is free.
    assert.strictEqual((await kubelock.run(["inspect", "no-lock", "-o", format])).code, 0)
  })

  it("prints what changes, line by line in a pipe", async () => {
    const watching = kubelock.start(["inspect", "seen", "-w", "-o", "json"])
    const holder = await kubelock.holding("seen")
    await watching.says('"state":"Held"')
    holder.process.kill()
    await watching.says('"state":"Free"')
    await Effect.runPromise(kubelock.server.remove(Resource.configMap, "default", "seen"))
    await watching.says('"state":"Deleted"')
    watching.process.kill()
    const { code, stdout } = await watching.ended
    assert.strictEqual(code, 143)
    for (const line of stdout.trim().split("\n")) assert.strictEqual((JSON.parse(line) as Item).name, "seen")
  })
})

describe("kubelock inspect of locks under sessions", () => {
  beforeAll(async () => {
    await putUnderSession("session-lives", 1, "2098-12-31T23:59:50.000000Z")
    await putUnderSession("session-expired", 2, time)
    await putUnderSession("session-ended", 3, "2098-12-31T23:59:50.000000Z", "other/cccccccccccc.1")
  })

  const holder = "owner/bbbbbbbbbbbb.1"

  it("tells when the session expires, not the record, and calls expired what can be had", async () => {
    const items = new Map((await inspected()).map((item) => [item.name, item]))
    const saidOf = (name: string) => [items.get(name)!.state, items.get(name)!.holders[0]]
    assert.deepStrictEqual(saidOf("session-lives"), [
      "Held",
      { holder, session: "kubelock-session-1", expires: farAhead, isExpired: false }
    ])
    const expires = "2026-11-28T02:00:10Z"
    assert.deepStrictEqual(saidOf("session-expired"), [
      "Expired",
      { holder, session: "kubelock-session-2", expires, isExpired: true }
    ])
    assert.deepStrictEqual(saidOf("session-ended"), [
      "Expired",
      { holder, session: "kubelock-session-3", isExpired: true }
    ])
    assert.strictEqual(items.get("kubelock-session-1")!.kind, "session")
  })

  it("reads the Lease of the session of the one lock that was named, and names the session if it may not", async () => {
    const one = ["inspect", "session-expired", "--resource", "configmaps"]
    assert.match((await kubelock.run(one)).stdout, / Expired .* ago +0\n$/)
    const { stderr, stdout } = await without(
      ({ path }) => path.includes("/leases"),
      () => kubelock.run(one)
    )
    assert.strictEqual(stderr, "")
    assert.match(stdout, / Held .* with kubelock-session-2 +0\n$/)
  })

  it("calls expired what is under a session without a Lease, which takes one list more", async () => {
    const all = ["inspect", "-n", "gone"]
    const asked = async () => {
      await Effect.runPromise(kubelock.server.clearRequests)
      const { stdout } = await kubelock.run(all)
      const requests = await Effect.runPromise(kubelock.server.requests)
      const verbs = requests.filter(({ path }) => path.includes("/namespaces/gone/")).map(({ verb }) => verb)
      return { stdout, verbs }
    }
    await putUnderSession("under-one", 1, "2098-12-31T23:59:50.000000Z", owner, "gone")
    await putUnderSession("under-two", 2, "2098-12-31T23:59:50.000000Z", owner, "gone")
    const before = await asked()
    assert.deepStrictEqual(before.verbs, ["list", "list"])
    assert.match(before.stdout, /^under-one .* Held .* in \d+y/m)
    await removeSession(1, "gone")
    await removeSession(2, "gone")
    const after = await asked()
    assert.deepStrictEqual(after.verbs, ["list", "list", "list"])
    for (const name of ["under-one", "under-two"]) {
      assert.match(after.stdout, new RegExp(`^${name} .* Expired .* session ended +0$`, "m"))
    }
    const onConfigMaps = [...all, "--resource", "configmaps"]
    assert.match((await kubelock.run(onConfigMaps)).stdout, /^under-one .* Expired .* session ended/m)
    const unread = await without(
      ({ path }) => path.includes("/leases"),
      () => kubelock.run(onConfigMaps)
    )
    assert.strictEqual(unread.stderr, "")
    assert.match(unread.stdout, /^under-one .* Held .* with kubelock-session-1/m)
  })
})

describe("an API server that is busy", () => {
  it.each(["inspect", "break"])("is asked again by kubelock %s when it says so", async (verb) => {
    await put("busy", { "kubelock.dev/lock": farAhead })
    const tooMany = Fault.Answer({ at: "Request", status: 429, headers: { "retry-after": "0" }, body: "busy" })
    const when = ({ path }: SeenRequest) => path.endsWith("/busy")
    const { code, stderr } = await Effect.runPromise(
      Effect.scoped(
        Effect.andThen(
          kubelock.server.inject(tooMany, { when, times: 1 }),
          Effect.promise(() => kubelock.run([verb, "busy", ...(verb === "break" ? ["--yes"] : [])]))
        )
      )
    )
    assert.strictEqual(code, 0, stderr)
  })
})

describe("kubelock inspect -w in a pipe", () => {
  it("tells that a lock has expired, which no event does", async () => {
    await put("runs-out", { "kubelock.dev/lock": farAhead })
    const watching = kubelock.start(["inspect", "runs-out", "-w", "-o", "json"])
    await watching.says('"state":"Held"')
    const soon = new Date(Date.now() + 5000).toISOString().replace(/\.\d+/, "")
    await put("runs-out", { "kubelock.dev/lock": soon })
    await watching.says('"state":"Expired"')
    watching.process.kill()
    await watching.ended
  })

  it("goes by the Lease of the session that holds a lock", async () => {
    await putUnderSession("watched", 4, time)
    const watching = kubelock.start(["inspect", "-w", "-o", "json"])
    const place = '"name":"watched","namespace":"default","resource":"configmaps"'
    await watching.says(`${place},"kind":"lock","state":"Expired"`)
    watching.process.kill()
    await watching.ended
  })

  it("learns that the Lease of a session was deleted, before or meanwhile", async () => {
    await putUnderSession("deleted-before", 11, "2098-12-31T23:59:50.000000Z", owner, "left")
    await putUnderSession("deleted-meanwhile", 12, "2098-12-31T23:59:50.000000Z", owner, "left")
    await removeSession(11, "left")
    const watching = kubelock.start(["inspect", "-w", "-o", "json", "-n", "left"])
    const place = '"namespace":"left","resource":"configmaps","kind":"lock"'
    await watching.says(`"name":"deleted-before",${place},"state":"Expired"`)
    await watching.says(`"name":"deleted-meanwhile",${place},"state":"Held"`)
    await removeSession(12, "left")
    await watching.says(`"name":"deleted-meanwhile",${place},"state":"Expired"`)
    watching.process.kill()
    assert.strictEqual((await watching.ended).stderr, "")
  })

  it("says in one line that nothing may be looked at, and ends", async () => {
    const { code, stderr, stdout } = await without(
      () => true,
      () => kubelock.run(["inspect", "-w"])
    )
    assert.deepStrictEqual([code, stdout], [69, ""])
    assert.match(stderr, /^kubelock: Not allowed to list configmaps in namespace default: [^\n]*\n$/)
  })

  it("tells that an object was deleted while the watch was broken", async () => {
    await put("unseen", { "kubelock.dev/lock": farAhead })
    const watching = kubelock.start(["inspect", "unseen", "-w", "-o", "json"])
    await watching.says('"state":"Held"')
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          yield* kubelock.server.freezeWatches
          yield* kubelock.server.remove(Resource.configMap, "default", "unseen")
          yield* kubelock.server.endWatches("Abruptly")
          yield* Effect.promise(() => watching.says('"state":"Deleted"'))
        })
      )
    )
    watching.process.kill()
    await watching.ended
  })
})

describe("kubelock inspect NAME -w of a lock under a session", () => {
  const alive = "2098-12-31T23:59:50.000000Z"

  it("tells when the session expires, and learns that it has expired, was renewed, or has ended", async () => {
    await putUnderSession("followed", 5, alive)
    const watching = kubelock.start(["inspect", "followed", "-w", "-o", "json"])
    const session = '"session":"kubelock-session-5"'
    await watching.says(`${session},"expires":"${farAhead}","isExpired":false`)
    await putSession(5, time)
    await watching.says(`${session},"expires":"2026-11-28T02:00:10Z","isExpired":true`)
    await putSession(5, alive)
    await watching.says('"isExpired":true}]}\n{"name":"followed"')
    await removeSession(5)
    await watching.says(`${session},"isExpired":true`)
    watching.process.kill()
    const { stderr, stdout } = await watching.ended
    assert.strictEqual(stderr, "")
    const states = stdout
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as Item).state)
    assert.deepStrictEqual(states, ["Held", "Expired", "Held", "Expired"])
  })

  it("says so in a table, also in place", async () => {
    await putUnderSession("tabled", 6, alive)
    for (const start of [
      () => kubelock.start(["inspect", "tabled", "-w"]),
      () => kubelock.onTerminal("stty cols 200; kubelock inspect tabled -w")
    ]) {
      /* oxlint-disable no-await-in-loop */
      await putSession(6, alive)
      const watching = start()
      await watching.says(" in ")
      await putSession(6, alive, "other/cccccccccccc.1")
      await watching.says("session ended")
      watching.process.kill()
      await watching.ended
      /* oxlint-enable no-await-in-loop */
    }
  })

  it("asks for the Lease once, and then watches it, however often the lock changes", async () => {
    await putUnderSession("changes", 7, alive)
    await Effect.runPromise(kubelock.server.clearRequests)
    const watching = kubelock.start(["inspect", "changes", "-w", "-o", "json"])
    await watching.says('"state":"Held"')
    const object = await Effect.runPromise(kubelock.server.get(Resource.configMap, "default", "changes"))
    const { annotations } = Option.getOrThrow(object).metadata
    for (const waiter of ["w/aaaaaaaaaaaa.1", "w/aaaaaaaaaaaa.2", "w/aaaaaaaaaaaa.3"]) {
      /* oxlint-disable no-await-in-loop */
      await put("changes", { ...annotations, "kubelock.dev/lock-queue": waiter })
      await watching.says(waiter)
      /* oxlint-enable no-await-in-loop */
    }
    await putSession(7, time)
    await watching.says('"state":"Expired"')
    watching.process.kill()
    await watching.ended
    const asked = (await Effect.runPromise(kubelock.server.requests)).filter(
      ({ path, query }) => path.endsWith("/kubelock-session-7") || String(query).includes("kubelock-session-7")
    )
    assert.deepStrictEqual(
      asked.map(({ verb }) => verb),
      ["get", "watch"]
    )
  })

  it("names the session if its Lease may not be read, and says so once", async () => {
    await putUnderSession("unread", 8, time)
    const { stderr, stdout } = await without(
      ({ path }) => path.includes("/leases/kubelock-session"),
      async () => {
        const watching = kubelock.start(["inspect", "unread", "-w", "-o", "json"])
        await watching.says('"session":"kubelock-session-8","isExpired":false')
        await watching.says("Not allowed")
        await putUnderSession("unread", 9, time)
        await watching.says('"session":"kubelock-session-9","isExpired":false')
        watching.process.kill()
        return watching.ended
      }
    )
    assert.notInclude(stdout, '"expires"')
    assert.match(stderr, /^kubelock: Not allowed to get leases[^\n]*kubelock-session-8[^\n]*\n$/)
  })

  it("reads the Lease again and again if it may not be watched", async () => {
    await putUnderSession("unwatched", 10, alive)
    const isWatch = ({ query, verb }: SeenRequest) => verb === "watch" && String(query).includes("kubelock-session-10")
    const { stderr } = await without(isWatch, async () => {
      const watching = kubelock.start(["inspect", "unwatched", "-w", "-o", "json"])
      await watching.says('"state":"Held"')
      await putSession(10, time)
      await watching.says('"state":"Expired"')
      watching.process.kill()
      return watching.ended
    })
    assert.strictEqual(stderr, "")
  })
})

describe("kubelock inspect on a terminal", () => {
  it("draws in place until Ctrl-C", async () => {
    const watching = kubelock.onTerminal("stty cols 200; kubelock inspect -w")
    await watching.says("deploy")
    const holder = await kubelock.holding("drawn")
    await watching.says("drawn")
    watching.process.stdin.write("\u0003")
    const { code, stdout } = await watching.ended
    assert.strictEqual(code, 130)
    assert.include(stdout, "F\u001B[J")
    holder.process.kill()
    await holder.ended
  })
})

describe("kubelock inspect -w without a server", () => {
  beforeAll(() => {
    const nowhere = kubelock.server.kubeConfig.replace(/127\.0\.0\.1:\d+/, "127.0.0.1:9")
    writeFileSync(join(kubelock.folder, "nowhere"), nowhere)
  })

  it("says so in place, and not that there are no locks", async () => {
    const watching = kubelock.onTerminal("kubelock inspect -w --kubeconfig nowhere")
    await watching.says("F\u001B[J")
    watching.process.stdin.write("\u0003")
    const { code, stdout } = await watching.ended
    assert.strictEqual(code, 130)
    const frames = stdout.split("F\u001B[J").slice(1)
    for (const frame of frames) assert.match(frame, /^(Could not list [^\r\n]*\r\n){1,2}\S*$/)
    assert.notMatch(stdout, /There are no locks|and \d more|kubelock: /)
  })
})

describe("kubelock inspect without rights", () => {
  const onLeases = ({ path }: SeenRequest) => path.includes("/leases")

  it("answers with a lock that it found, without a word about what it may not see", async () => {
    await put("seen-alone", { "kubelock.dev/lock": farAhead })
    const once = await without(onLeases, () => kubelock.run(["inspect", "seen-alone"]))
    assert.deepStrictEqual([once.code, once.stderr], [0, ""])
    assert.match(once.stdout, /^seen-alone +lock +Held /m)
    const { stderr } = await without(onLeases, async () => {
      const watching = kubelock.start(["inspect", "seen-alone", "-w", "-o", "json"])
      await watching.says('"state":"Held"')
      await put("seen-alone", { "kubelock.dev/lock": "2020-01-01T00:00:00Z" })
      await watching.says('"state":"Expired"')
      watching.process.kill()
      return watching.ended
    })
    assert.strictEqual(stderr, "")
  })

  it.each([
    ["unknown", 1, "kubelock: There is nothing of a lock unknown in namespace default that may be looked at.\n"],
    ["no-lock", 0, ""]
  ])("says what it may not see if it found no lock of that name (%s)", async (name, code, end) => {
    const ended = await without(onLeases, () => kubelock.run(["inspect", name]))
    assert.strictEqual(ended.code, code)
    assert.match(ended.stderr, new RegExp(`^kubelock: Not allowed to get leases[^\n]*/${name} [^\n]*\n${end}$`))
    const { stderr } = await without(onLeases, async () => {
      const watching = kubelock.start(["inspect", name, "-w"])
      await watching.says("Not allowed to get leases")
      watching.process.kill()
      return watching.ended
    })
    assert.match(stderr, /^kubelock: Not allowed [^\n]*\n$/)
  })

  it("shows what it may see, and says what it may not", async () => {
    const { code, stderr, stdout } = await without(onLeases, () => kubelock.run(["inspect"]))
    assert.strictEqual(code, 0)
    assert.include(stdout, "deploy")
    assert.match(stderr, /^kubelock: Not allowed to list leases.* Grant the verb in a Role\.\n$/)
  })
})

describe("kubelock break", () => {
  const breaks = (...args: ReadonlyArray<string>) => kubelock.run(["break", ...args])

  it("shows what it would break, and breaks nothing without a yes", async () => {
    const holder = await kubelock.holding("kept")
    const dry = await breaks("kept", "--dry-run")
    assert.strictEqual(dry.code, 0)
    assert.match(dry.stdout, /^NAMESPACE .*\ndefault +kept +lock +Held /)
    assert.match(dry.stderr, /would lose kept\. Nothing was broken\.\n$/)
    const unasked = await breaks("kept")
    assert.deepStrictEqual(
      [unasked.code, unasked.stderr],
      [64, "kubelock: there is no terminal to ask at: give --yes\n"]
    )
    holder.process.kill()
    assert.strictEqual((await holder.ended).code, 0)
  })

  const kinds: ReadonlyArray<readonly [kind: string, ...args: ReadonlyArray<string>]> = [
    ["a lock"],
    ["a semaphore", "--limit=2"],
    ["a shared lock", "--shared"],
    ["a lock on a Lease", "--resource=leases.coordination.k8s.io"]
  ]
  it.each(kinds)("breaks %s, and its holder notices", async (kind, ...args) => {
    const name = kind.replaceAll(" ", "-").toLowerCase()
    const holder = await kubelock.holding(name, "--ttl=3s", ...args)
    const { code, stderr } = await breaks(name, "--yes")
    assert.strictEqual(code, 0)
    assert.match(stderr, new RegExp(`^kubelock: \\S+ has lost ${name}\\.\n$`))
    assert.strictEqual((await holder.ended).code, 76)
    assert.match((await breaks(name, "--yes")).stderr, /^kubelock: Nobody holds /)
  })

  it("breaks an election, that of client-go too, and what cannot be read", async () => {
    const broken = await Promise.all(["in-go", "malformed", "expired"].map((name) => breaks(name, "--yes")))
    for (const { code, stderr } of broken) assert.strictEqual(code, 0, stderr)
    const states = new Map((await inspected()).map(({ name, state }) => [name, state]))
    assert.deepStrictEqual([states.get("in-go"), states.get("malformed")], ["Free", undefined])
  })

  it("hands the lock to the next one that waits", async () => {
    const holder = await kubelock.holding("handed", "--ttl=3s")
    const waiter = kubelock.start(["run", "handed"])
    await Kubelock.until(() => kubelock.isAwaited("handed"))
    await breaks("handed", "--yes")
    await waiter.says("is held")
    assert.strictEqual((await holder.ended).code, 76)
    waiter.process.kill()
    await waiter.ended
  })

  it("takes a lock under a session once its holder knows", async () => {
    const locks = Lock.layer({ policy: LockPolicy.make({ ttl: "4 seconds", session: true }) }).pipe(
      Layer.provide(
        ObjectStoreKubernetes.layerKubeConfig({
          resource: Resource.configMap,
          kubeConfig: { file: join(kubelock.folder, "kubeconfig") }
        })
      )
    )
    const isUnderSession = Effect.map(kubelock.server.get(Resource.configMap, "default", "with-session"), (object) =>
      / kubelock-session-/.test(JSON.stringify(object).replaceAll("/", " "))
    )
    const error = await Effect.gen(function* () {
      const held = yield* Lock.scoped("with-session")
      yield* Effect.repeat(Effect.delay(isUnderSession, "50 millis"), { until: (isUnder) => isUnder })
      const { code, stderr } = yield* Effect.promise(() => breaks("with-session", "--yes"))
      assert.deepStrictEqual([code, yield* held.isValid], [0, false])
      assert.match(stderr, /^kubelock: \S+ has lost with-session\.\n$/)
      return yield* Effect.flip(held.lost)
    }).pipe(
      Effect.scoped,
      Effect.provide(locks),
      Effect.provideService(References.MinimumLogLevel, "None"),
      Effect.runPromise
    )
    assert.strictEqual(error.reason, "Removed")
    assert.match((await breaks("with-session", "--yes")).stderr, /^kubelock: Nobody holds /)
  })

  it("wants to know whose, if there are several", async () => {
    const [a, b] = [
      await kubelock.holding("both", "--shared", "--ttl=3s"),
      await kubelock.holding("both", "--shared", "--ttl=3s")
    ]
    const { code, stderr } = await breaks("both", "--yes")
    assert.strictEqual(code, 64)
    const [, first] = /with --holder\. (\S+) \(shared\),/.exec(stderr)!
    assert.strictEqual((await breaks("both", "--yes", "--holder", first!)).code, 0)
    assert.strictEqual((await Promise.race([a.ended, b.ended])).code, 76)
    for (const each of [a, b]) each.process.kill()
    await Promise.all([a.ended, b.ended])
  })

  it("asks on a terminal, and breaks nothing that has changed hands meanwhile", async () => {
    const first = await kubelock.holding("asked")
    const asking = kubelock.onTerminal("kubelock break asked")
    await asking.says("(y/N)")
    first.process.kill()
    await first.ended
    const second = await kubelock.holding("asked")
    asking.process.stdin.write("y")
    const { code, stdout } = await asking.ended
    assert.strictEqual(code, 75)
    assert.match(stdout, /does not hold asked any more\. Nothing was broken/)
    const refusing = kubelock.onTerminal("kubelock break asked")
    await refusing.says("(y/N)")
    refusing.process.stdin.write("n")
    assert.strictEqual((await refusing.ended).code, 1)
    const leaving = kubelock.onTerminal("kubelock break asked")
    await leaving.says("(y/N)")
    leaving.process.stdin.write("\u0003")
    const left = await leaving.ended
    assert.strictEqual(left.code, 130)
    assert.notInclude(left.stdout, "QuitError")
    second.process.kill()
    assert.strictEqual((await second.ended).code, 0)
  })
})
