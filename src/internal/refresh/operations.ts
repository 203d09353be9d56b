/** The files that a shared value is made of. `RefreshOnce` loads this one with the first value. */
export * as knowledge from "./knowledge.ts"
export * as ValueLocation from "./location.ts"
export { replace } from "./replace.ts"
export * as rotation from "./rotation.ts"
export * as sightings from "./sightings.ts"
export * as SingleFlight from "./singleFlight.ts"
export * as unwritten from "./unwritten.ts"
export * as valueWatch from "./valueWatch.ts"
