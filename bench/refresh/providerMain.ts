/** A worker that runs an OpenID provider. It reports its address. */
import * as Effect from "effect/Effect"
import * as Workers from "../../src/cli/bench/harness/workers.ts"
import * as Provider from "./provider.ts"

Workers.main(Effect.flatMap(Provider.start(), (url) => Workers.serve(() => Effect.succeed(url))).pipe(Effect.scoped))
