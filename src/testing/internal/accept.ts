/** What form of an object the `Accept` header asks for. */

/** Whole objects, metadata of an object, metadata of a list; nothing where no form will do. */
export type Form = "Whole" | "Partial" | "PartialList" | undefined

/** The first form in the header that the server has. */
export const parse = (header: string | undefined): Form => {
  if (header === undefined || header === "") return "Whole"
  if (!known.has(header) && known.size < 100) known.set(header, negotiate(header))
  return known.has(header) ? known.get(header) : negotiate(header)
}

const known = new Map<string, Form>()

const negotiate = (header: string): Form => {
  for (const clause of header.split(",")) {
    const [type, ...parameters] = clause.split(";").map((part) => part.trim())
    if (type !== "application/json" && type !== "application/*" && type !== "*/*") continue
    const asked = new Map(parameters.map((parameter) => parameter.split("=", 2) as [string, string | undefined]))
    const as = asked.get("as")
    if (as === undefined) return "Whole"
    if (asked.get("g") !== "meta.k8s.io" || asked.get("v") !== "v1") continue
    if (as === "PartialObjectMetadata") return "Partial"
    if (as === "PartialObjectMetadataList") return "PartialList"
  }
  return undefined
}
