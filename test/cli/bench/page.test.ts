/** The page of a test: what is in it, and what it is in a browser. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { Browser, Page } from "playwright-core"
import * as Holds from "../../../src/cli/bench/contest/holds.ts"
import * as Witness from "../../../src/cli/bench/contest/witness.ts"
import * as histogram from "../../../src/cli/bench/harness/histogram.ts"
import * as Figures from "../../../src/cli/bench/load/figures.ts"
import * as data from "../../../src/cli/bench/page/data.ts"
import { html } from "../../../src/cli/bench/page/page.ts"
import { describeInBrowser } from "../../../tools/describeInBrowser.ts"

const nanos = (millis: number) => BigInt(Math.round(millis * 1e6))

/** A side with these holds: who held, from when, and for how long (milliseconds). */
const sideOf = (
  protocol: "kubelock" | "dex",
  holds: ReadonlyArray<readonly [who: number, from: number, length: number]>,
  { capacity = 2 ** 20, fibers = 2, threads = 2 } = {}
): data.Side => {
  const records = {
    witness: Witness.make(1),
    wait: histogram.make(),
    handoff: histogram.make(),
    holds: Holds.make(10, capacity)
  }
  Holds.begin(records.holds, 1000)
  const acquisitions = Array.from({ length: threads * fibers }, () => 0)
  for (const [who, from, length] of holds) {
    const entered = nanos(1000 + from)
    const left = nanos(1000 + from + length)
    const visit = Witness.enter(records.witness, 0, who, entered)
    histogram.record(records.wait, nanos(length * 3))
    if (visit.sinceLeft !== undefined) histogram.record(records.handoff, visit.sinceLeft)
    Witness.leave(records.witness, visit, left)
    Holds.record(records.holds, 0, who, entered, left)
    acquisitions[who - 1]!++
  }
  const plan = { kind: "lock", limit: null, writers: null, target: "embedded", ids: 1, holdMillis: 1 } as const
  const requests = { get: 4, put: 0, patch: 2 * holds.length, watch: 1, other: 0, conflicts: 1 }
  const totals = { acquisitions, requests, timeouts: 0, errors: 0 }
  return {
    figures: Figures.make({ ...plan, protocol, threads, fibers }, 10_000, totals, records),
    records,
    acquisitions
  }
}

/** Holds that follow each other, of contenders in turn. */
const inTurn = (count: number, length: number, pause: number, contenders = 4) =>
  Array.from({ length: count }, (_, index) => [1 + (index % contenders), index * (length + pause), length] as const)

describe("the data of the page", () => {
  it("are the turns of each thread, without pauses that are too short to see", () => {
    const side = sideOf("kubelock", [
      [1, 0, 10],
      [2, 10, 10],
      [3, 30, 5],
      [1, 40, 1]
    ])
    const { turns, ...rest } = data.timelineOf(side)
    assert.deepStrictEqual(rest, { merged: 0, isComplete: true })
    assert.deepStrictEqual(turns, [
      { thread: 0, from: 0, to: 20, holds: 2 },
      { thread: 1, from: 30, to: 35, holds: 1 },
      { thread: 0, from: 40, to: 41, holds: 1 }
    ])
  })

  it("leave out pauses until all turns fit on a page", () => {
    const many = sideOf("dex", inTurn(3 * data.mostTurns, 0.3, 0.05))
    const { merged, turns } = data.timelineOf(many)
    assert.strictEqual(merged, 1)
    assert.isAtMost(turns.length, data.mostTurns)
    assert.strictEqual(
      turns.reduce((sum, { holds }) => sum + holds, 0),
      3 * data.mostTurns
    )
  })

  it("say if there were more holds than fit, and count all of them", () => {
    const side = sideOf("kubelock", inTurn(50, 1, 1), { capacity: 20 })
    assert.isFalse(data.timelineOf(side).isComplete)
    const throughput = data.throughputOf(side, 4)
    assert.isAtMost(throughput.length, 4)
    const width = throughput[1]!.seconds - throughput[0]!.seconds
    assert.closeTo(
      throughput.reduce((sum, { perSecond }) => sum + perSecond * width, 0),
      50,
      0.001
    )
    assert.include(html({ title: "t", sides: [side] }), "there were more than fit")
  })

  it("are a throughput that does not jump between none and one if there were few acquisitions", () => {
    const throughput = data.throughputOf(sideOf("kubelock", inTurn(240, 1, 9)))
    assert.isAtMost(throughput.length, 24)
    for (const { perSecond } of throughput.slice(0, -1)) assert.closeTo(perSecond, 100, 10)
  })

  it("are distributions that add up, and keep each duration in its range", () => {
    const durations = histogram.make()
    const millis = [0.0005, 0.002, 0.37, 1, 1.01, 250, 60_000]
    for (const duration of millis) histogram.record(durations, nanos(duration))
    const distribution = data.distributionOf(durations)
    assert.closeTo(
      distribution.reduce((sum, { share }) => sum + share, 0),
      1,
      1e-9
    )
    for (const duration of millis) {
      const range = distribution.find(({ from, to }) => from <= duration && duration < to)
      assert.isDefined(range, String(duration))
      assert.isBelow(range!.to / range!.from, duration < 0.002 ? 130 : 1.13)
    }
  })

  it("are shares of contenders in order, and requests for each acquisition", () => {
    const side = sideOf("kubelock", inTurn(6, 1, 0))
    assert.deepStrictEqual(
      data.sharesOf(side).map(({ share }) => Math.round(share * 100)),
      [67, 67, 133, 133]
    )
    assert.deepStrictEqual(
      data.requestsOf(side).map(({ perAcquisition, verb }) => [verb, Math.round(perAcquisition * 100)]),
      [
        ["get", 67],
        ["patch", 200],
        ["watch", 17]
      ]
    )
  })
})

const sides = [sideOf("kubelock", inTurn(4000, 1, 0.05)), sideOf("dex", inTurn(300, 5, 9))]

describe("the page", () => {
  it("is one file below 1 MB, also if it is as full as it gets", () => {
    const full = (["kubelock", "dex"] as const).map((protocol) =>
      sideOf(protocol, inTurn(data.mostTurns, 1.2345, 12.3456, 128), { threads: 64, fibers: 2 })
    )
    for (const side of full) assert.lengthOf(data.timelineOf(side).turns, data.mostTurns)
    assert.isBelow(Buffer.byteLength(html({ title: "t", sides: full })), 1_000_000)
  })

  it("has no hand-offs if there were none, as of a semaphore", () => {
    const side = sideOf("kubelock", inTurn(1, 1, 0))
    const page = html({ title: "t", sides: [{ ...side, figures: { ...side.figures, kind: "semaphore", limit: 2 } }] })
    assert.notInclude(page, 'id="handoff"')
    assert.include(page, "a time in which it held permits.")
  })

  it("has the license of the library in it, and nothing of its title as markup", () => {
    const page = html({ title: "<b>&", sides })
    assert.include(page, "University of Washington Interactive Data Lab")
    assert.include(page, "&lt;b&gt;&amp;")
  })
})

describeInBrowser("the page in a browser", (browser) => {
  const folder = mkdtempSync(join(tmpdir(), "kubelock-page-"))

  beforeAll(() => writeFileSync(join(folder, "page.html"), html({ title: "a test", sides })))
  afterAll(() => rmSync(folder, { recursive: true }))

  /** Opens the page. It must neither complain nor load anything else. */
  const open = async (options: Parameters<Browser["newPage"]>[0]): Promise<Page> => {
    const page = await browser().newPage(options)
    const complaints: Array<string> = []
    page.on("console", (message) => complaints.push(message.text()))
    page.on("pageerror", (error) => complaints.push(error.message))
    page.on("request", (request) => {
      if (!request.url().endsWith("/page.html")) complaints.push(request.url())
    })
    await page.goto(pathToFileURL(join(folder, "page.html")).href)
    await page.waitForSelector("html[data-drawn] #shown:not(:empty)")
    assert.deepStrictEqual(complaints, [])
    return page
  }

  const shown = async (page: Page): Promise<readonly [from: number, to: number]> => {
    const [, from, to] = /^([\d.]+) s to ([\d.]+) s$/.exec((await page.textContent("#shown"))!)!
    return [Number(from), Number(to)]
  }

  it("draws every chart", async () => {
    const page = await open({ viewport: { width: 1000, height: 800 } })
    const charts = await page.locator(".chart :is(svg, canvas)").all()
    const boxes = await Promise.all(charts.map((chart) => chart.boundingBox()))
    assert.lengthOf(boxes, 6)
    for (const box of boxes) assert.isAbove(box!.height, 50)
    // Something is on the canvas of the timeline.
    const inked = await page.evaluate(`{
        const canvas = document.querySelector("#timeline canvas")
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
        data.filter((value, index) => index % 4 === 3 && value > 0).length / (canvas.width * canvas.height)
      }`)
    assert.isAbove(inked as number, 0.1)
  })

  it("moves the timeline by keys and by buttons, and says which part is shown", async () => {
    const page = await open({ viewport: { width: 1000, height: 800 } })
    /** Which part is shown after this has changed it. */
    const after = async (act: () => Promise<void>) => {
      const before = await page.textContent("#shown")
      await act()
      await page.waitForFunction(`document.querySelector("#shown").textContent !== ${JSON.stringify(before)}`)
      return shown(page)
    }
    const press = (key: string) => () => timeline.press(key)
    const click = (name: string) => () => page.getByRole("button", { name, exact: true }).click()
    const timeline = page.getByRole("group", { name: /Who held the lock when/ })
    const [begin, end] = await shown(page)
    assert.strictEqual(begin, 0)
    const [from, to] = await after(press("+"))
    assert.closeTo(from, end / 4, 0.01)
    assert.closeTo(to, (3 * end) / 4, 0.01)
    assert.closeTo((await after(press("ArrowRight")))[0], from + (to - from) / 4, 0.01)
    assert.closeTo((await after(click("Earlier")))[0], from, 0.01)
    assert.deepStrictEqual(await after(click("Show all")), [begin, end])
    // Tab goes through the buttons to the timeline.
    await page.getByRole("button", { name: "Zoom in" }).press("Tab")
    assert.strictEqual(await page.evaluate("document.activeElement.textContent"), "Zoom out")
    await page.getByRole("button", { name: "Show all" }).press("Tab")
    assert.strictEqual(await page.evaluate("document.activeElement.role"), "group")
  })

  it("is light and dark as the system is, and changes with it", async () => {
    const page = await open({ viewport: { width: 1000, height: 800 }, colorScheme: "dark" })
    const colours = () =>
      page.evaluate(`({
          back: getComputedStyle(document.body).backgroundColor,
          label: document.querySelector("#wait svg text").getAttribute("fill"),
          chart: document.querySelector("#wait svg rect")?.getAttribute("fill") ?? "none"
        })`) as Promise<{ readonly back: string; readonly label: string; readonly chart: string }>
    const dark = await colours()
    assert.deepStrictEqual([dark.back, dark.label], ["rgb(20, 23, 26)", "#e6e9ec"])
    assert.notInclude(["white", "#fff", "#ffffff"], dark.chart)
    await page.emulateMedia({ colorScheme: "light" })
    await page.waitForFunction(`document.querySelector("#wait svg text").getAttribute("fill") === "#1b1f24"`)
    assert.strictEqual((await colours()).back, "rgb(255, 255, 255)")
  })

  it("fits on a phone, with buttons that a finger hits", async () => {
    const page = await open({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true })
    assert.isAtMost((await page.evaluate("document.documentElement.scrollWidth")) as number, 360)
    const buttons = await page.getByRole("button").all()
    const boxes = await Promise.all(buttons.map((button) => button.boundingBox()))
    assert.lengthOf(boxes, 5)
    for (const box of boxes) assert.isAtLeast(box!.height, 40)
  })

  it("reads out its headings, its figures and the name of each chart, and no mark of a chart", async () => {
    const page = await open({ viewport: { width: 1000, height: 800 } })
    const read = await page.locator("body").ariaSnapshot()
    for (const expected of [
      'heading "Load test: kubelock and dex" [level=1]',
      'heading "Who held the lock when" [level=2]',
      'rowheader "throughput"',
      'columnheader "ratio"',
      'img "Waits"',
      'toolbar "Zoom of the timeline"'
    ]) {
      assert.include(read, expected)
    }
    assert.notInclude(read, "graphics-")
    // What a chart shows is a table as well.
    await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert.strictEqual(await page.getByRole("table").count(), 7)
  })
})
