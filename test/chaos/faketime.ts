/**
 * A wall clock of its own for a process, by libfaketime (Debian: `apt-get install faketime`) where that is installed.
 *
 * The clock's offset stands in a file, which the process reads again every second: so it can be stepped while it runs.
 * Its monotonic clock stays as it is, as on a machine whose wall clock is set.
 */
import * as Fs from "node:fs"

/** The library, where it is installed. */
export const library: string | undefined = Fs.globSync("/usr/lib/{*/,}faketime/libfaketime.so.1")[0]

/** Sets the offset, in seconds. */
export const set = (file: string, offset: number): void =>
  Fs.writeFileSync(file, `${offset < 0 ? "" : "+"}${offset}s\n`)

/** The environment of a process whose clock follows the file, as arguments of `env`. */
export const environment = (library: string, file: string): ReadonlyArray<string> => [
  `LD_PRELOAD=${library}`,
  `FAKETIME_TIMESTAMP_FILE=${file}`,
  "FAKETIME_CACHE_DURATION=1",
  "FAKETIME_DONT_FAKE_MONOTONIC=1"
]
