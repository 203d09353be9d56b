/** The error that ends a benchmark: one line for the person who started it, and exit code 1. */
import * as Schema from "effect/Schema"

/** The message says what is wrong and what to do. */
export class LoadError extends Schema.Error<LoadError>("kubelock/bench/LoadError")({
  _tag: Schema.tag("LoadError"),
  message: Schema.String
}) {}
