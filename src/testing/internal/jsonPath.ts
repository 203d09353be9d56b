/** The JSONPath of columns, as far as it names one field. */

/** The value at a path such as `.spec.size` or `.status.conditions[0].type`. */
export const follow = (object: unknown, path: string): unknown =>
  parts(path).reduce<unknown>(
    (value, part) => (value === null || value === undefined ? undefined : (value as Record<string, unknown>)[part]),
    object
  )

const parts = (path: string) => path.match(/[^.[\]'"\\]+/g) ?? []

/** Whether a path of a column is one that `follow` understands. */
export const isSimplePath = (path: string): boolean => /^(?:\.[A-Za-z_][A-Za-z0-9_-]*|\[\d+\]|\['[^']*'\])+$/.test(path)
