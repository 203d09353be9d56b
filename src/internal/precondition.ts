/** What a precondition means, where it is not the API server that checks it. Pure. */

type Wanted = Readonly<Record<string, string | boolean>>

/** Whether an object has the version wanted, or the annotations. */
export const holds = (
  wanted: { readonly resourceVersion: string } | { readonly annotations: Wanted },
  object: { readonly resourceVersion: string; readonly annotations: Readonly<Record<string, string>> }
): boolean =>
  "resourceVersion" in wanted
    ? wanted.resourceVersion === object.resourceVersion
    : isMet(wanted.annotations, object.annotations)

/** Whether each annotation named has just that value; with `true` any value, with `false` none. */
export const isMet = (wanted: Wanted, annotations: Readonly<Record<string, string>>): boolean =>
  Object.entries(wanted).every(([name, value]) =>
    typeof value === "string" ? annotations[name] === value : name in annotations === value
  )
