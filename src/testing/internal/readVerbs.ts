/** GET and LIST. */
import * as Result from "effect/Result"
import { answer, type Call, notAVersion, type Outcome, parseVersion } from "./call.ts"
import { listOf, pageOf } from "./pages.ts"
import * as Reply from "./reply.ts"
import type * as Selectors from "./selectors.ts"
import { tableOf } from "./tables.ts"

export const get = (call: Call): Outcome => {
  const name = call.target.name ?? ""
  const requested = call.query.get("resourceVersion")
  if (requested) {
    const version = parseVersion(requested)
    if (version === undefined) return Result.fail(Reply.internalError(`resourceVersion: ${notAVersion(requested)}`))
    if (version > call.table.version) return Result.fail(Reply.versionTooLarge(version, call.table.version))
  }
  const found = call.table.get(call.resource, call.target.namespace, name)
  return found === undefined ? Result.fail(Reply.notFound(call.target, name)) : answer(call, found)
}

export const list = (call: Call, selector: Selectors.Selector): Outcome => {
  const page = pageOf(call, selector.selectsAll ? undefined : ({ object }) => selector.matches(object))
  return Result.map(page, (page) =>
    Reply.json(200, call.form === "Table" ? tableOf(call, page.items, page.metadata) : listOf(call, page))
  )
}
