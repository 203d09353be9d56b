/** What a precondition on annotations means, for stores that check it themselves. Pure. */

/** Whether each annotation named has just that value; with `true` any value, with `false` none. */
export const isMet = (
  wanted: Readonly<Record<string, string | boolean>>,
  annotations: Readonly<Record<string, string>>
): boolean =>
  Object.entries(wanted).every(([name, value]) =>
    typeof value === "string" ? annotations[name] === value : name in annotations === value
  )
