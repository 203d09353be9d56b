/** A reader plays, in the Chromium of the path. */
import { afterAll, assert, beforeAll, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { extname, join } from "node:path"
import type { Page } from "playwright-core"
import { describeInBrowser } from "../describeInBrowser.ts"
import { site } from "./pages.ts"

const types: Readonly<Record<string, string>> = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".svg": "image/svg+xml"
}

/** Serves the built site. */
const serve = (): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer((request, response) => {
      const path = new URL(request.url!, "http://site").pathname
      const file = join(site, "dist", path.endsWith("/") ? `${path}index.html` : path)
      if (!existsSync(file)) return void response.writeHead(404).end()
      response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" })
      response.end(readFileSync(file))
    })
    server.listen(0, "127.0.0.1", () => resolve(server))
  })

describeInBrowser("the page to play with", (browser) => {
  let server: Server
  let page: Page
  const problems: Array<string> = []
  const url = (path: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`

  beforeAll(async () => {
    server = await serve()
    page = await browser().newPage({ viewport: { width: 1280, height: 1000 } })
    page.setDefaultTimeout(300_000)
    page.on("pageerror", (error) => problems.push(error.message))
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()))
  })

  afterAll(() => void server?.close())

  const press = (name: string, button: string) =>
    page.locator(`[data-name=${name}]`).getByRole("button", { name: button }).click()
  const seen = (name: string, state: string) => page.locator(`[data-name=${name}] .state`, { hasText: state }).waitFor()

  it("a waiter takes over from a holder that crashed, and the object shows both", async () => {
    await page.goto(url("/play.html"))
    await press("pod-1", "Acquire")
    await seen("pod-1", "holding")
    await press("pod-2", "Acquire")
    await seen("pod-2", "waiting")
    await page.locator(".object", { hasText: "resource-lock-queue" }).waitFor()
    await press("pod-1", "Crash")
    await seen("pod-2", "holding")
    assert.include(await page.locator(".object").innerText(), "pod-2/")
  })

  it("a holder that is paused past its lease loses the lock, and a Dex waits", async () => {
    await page.getByRole("button", { name: "Add a Dex" }).click()
    await press("pod-3", "Acquire")
    await press("pod-2", "Pause")
    await seen("pod-3", "holding")
    await press("pod-2", "Go on")
    await seen("pod-2", "lost")
    await press("dex-1", "Acquire")
    await seen("dex-1", "waiting")
    await press("pod-3", "Release")
    await seen("dex-1", "holding")
    const shot = process.env["KUBELOCK_SCREENSHOT"]
    if (shot !== undefined) await page.screenshot({ path: shot })
  })

  it("the keyboard is enough: a button that was pressed keeps the focus", async () => {
    await page.goto(url("/play.html"))
    const focused = (button: string) =>
      page.locator("[data-name=pod-1] button:focus", { hasText: new RegExp(`^\\s*${button}\\s*$`) }).waitFor()
    await page.locator("[data-name=pod-1]").getByRole("button", { name: "Acquire" }).focus()
    await page.keyboard.press("Enter")
    await seen("pod-1", "holding")
    await focused("Release")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await seen("pod-1", "crashed")
    await focused("Crash")
    await page.keyboard.press("Tab")
    await focused("Pause")
  })

  for (const path of ["/concepts.html", "/protocol.html"])
    it(`the diagrams of ${path} can be read: nothing is small, and no label covers another one`, async () => {
      await page.goto(url(path))
      await page.locator(".diagram svg").first().waitFor()
      await page.waitForFunction("document.querySelectorAll('.diagram:not(:has(svg))').length === 0")
      const diagrams = await page.locator(".diagram").evaluateAll((elements) =>
        elements.map((diagram) =>
          [...diagram.querySelectorAll("foreignObject, text")]
            .filter(({ textContent }) => textContent.trim() !== "")
            .map((label) => {
              const { bottom, height, left, right, top } = label.getBoundingClientRect()
              return { text: label.textContent.trim(), bottom, height, left, right, top }
            })
        )
      )
      for (const labels of diagrams) {
        assert.isNotEmpty(labels)
        assert.deepStrictEqual(
          labels.filter(({ height }) => height < 12).map(({ text }) => text),
          []
        )
        const covered = labels.flatMap((a, index) =>
          labels
            .slice(index + 1)
            .filter(
              (b) =>
                Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
                Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2
            )
            .map((b) => `${a.text} / ${b.text}`)
        )
        assert.deepStrictEqual(covered, [])
      }
    })

  it("nothing went wrong in the browser", () => assert.deepStrictEqual(problems, []))
})
