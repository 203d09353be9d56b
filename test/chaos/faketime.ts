/**
 * Gives a process its own wall clock, with libfaketime (Debian: `apt-get install faketime`) if it is installed.
 *
 * The offset of the clock is in a file. The process reads the file every second, so a test can step the clock while the
 * process runs. The monotonic clock is not changed, as on a machine whose wall clock is set.
 */
import * as Fs from "node:fs"

/** The path of the library; `undefined` if it is not installed. */
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
