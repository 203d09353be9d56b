/** Flags for numbers in a range, and flags that are off by default. The command line has the same. */
export { number, type Range, toggle, whole } from "../src/cli/flags.ts"
