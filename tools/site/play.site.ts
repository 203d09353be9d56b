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

  it("diagrams are drawn", async () => {
    await page.goto(url("/concepts.html"))
    await page.locator(".diagram svg").first().waitFor()
  })

  it("nothing went wrong in the browser", () => assert.deepStrictEqual(problems, []))
})
