/** Runs a suite in a browser: the Chromium of the path. */
import { afterAll, beforeAll, describe } from "@effect/vitest"
import { type Browser, chromium } from "playwright-core"
import { inPath } from "./inPath.ts"
import { describeMissing } from "./notRun.ts"

const executablePath = inPath("chromium", "chromium-browser", "google-chrome")

/** `describe` with a browser, for tests and hooks to call for. Without Chromium the suite is skipped, and says so loudly. */
export const describeInBrowser = (name: string, suite: (browser: () => Browser) => void): void => {
  if (executablePath === undefined) {
    return describeMissing(name, "NOT RUN, no Chromium: Debian's package chromium has one")
  }
  describe(name, () => {
    let browser: Browser
    beforeAll(async () => {
      browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] })
    })
    afterAll(() => browser?.close())
    suite(() => browser)
  })
}
