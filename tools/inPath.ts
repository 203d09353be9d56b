/** Finds a program in the path. */
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"

/** The file of the first of these programs that is installed; `undefined` if none of them is. */
export const inPath = (...names: ReadonlyArray<string>): string | undefined =>
  names
    .flatMap((name) => (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, name)))
    .find((file) => existsSync(file))
