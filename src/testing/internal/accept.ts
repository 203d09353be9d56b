/** Content negotiation: the form of an object that the `Accept` header requests. */

/**
 * Whole objects, the metadata of an object, the metadata of a list, or a table. `undefined` if the server has no
 * acceptable form.
 */
export type Form = "Whole" | "Partial" | "PartialList" | "Table" | undefined

/** The first form in the header that the server supports. */
export const parse = (header: string | undefined): Form => {
  if (header === undefined || header === "") return "Whole"
  if (!cached.has(header) && cached.size < 100) cached.set(header, negotiate(header))
  return cached.has(header) ? cached.get(header) : negotiate(header)
}

const cached = new Map<string, Form>()

const negotiate = (header: string): Form => {
  for (const clause of header.split(",")) {
    const [type, ...parameters] = clause.split(";").map((part) => part.trim())
    if (type !== "application/json" && type !== "application/*" && type !== "*/*") continue
    const values = new Map(parameters.map((parameter) => parameter.split("=", 2) as [string, string | undefined]))
    const as = values.get("as")
    if (as === undefined) return "Whole"
    if (values.get("g") !== "meta.k8s.io" || values.get("v") !== "v1") continue
    if (as === "Table") return "Table"
    if (as === "PartialObjectMetadata") return "Partial"
    if (as === "PartialObjectMetadataList") return "PartialList"
  }
  return undefined
}

/** The version of the aggregated discovery document that the header asks for first, if it does. */
export const aggregatedDiscovery = (header: string | undefined): "v2" | "v2beta1" | undefined => {
  for (const clause of (header ?? "").split(",")) {
    const parts = clause.split(";").map((part) => part.trim())
    if (parts[0] === "application/json" && parts.length === 1) return undefined
    if (!parts.includes("g=apidiscovery.k8s.io") || !parts.includes("as=APIGroupDiscoveryList")) continue
    if (parts[0] !== "application/json") continue
    if (parts.includes("v=v2")) return "v2"
    if (parts.includes("v=v2beta1")) return "v2beta1"
  }
  return undefined
}
