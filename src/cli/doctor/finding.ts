/** What the doctor finds. */

/**
 * A finding.
 *
 * - `ok`: as it should be.
 * - `advice`: locks work, but something could be better. `remedy` says what to do.
 * - `failed`: locks do not work. `remedy` says what to do.
 * - `skipped`: it was not looked at. `detail` says why.
 */
export interface Finding {
  readonly check: string
  readonly status: "ok" | "advice" | "failed" | "skipped"
  readonly detail: string
  readonly remedy?: string
}

/** A finding that all is well. */
export const ok = (check: string, detail: string): Finding => ({ check, status: "ok", detail })

/** A finding that something could be better. */
export const advice = (check: string, detail: string, remedy: string): Finding => ({
  check,
  status: "advice",
  detail,
  remedy
})

/** A finding that locks do not work. */
export const failed = (check: string, detail: string, remedy: string): Finding => ({
  check,
  status: "failed",
  detail,
  remedy
})

/** Nothing was found, for lack of something. */
export const skipped = (check: string, detail: string): Finding => ({ check, status: "skipped", detail })
