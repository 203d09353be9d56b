/** A worker that runs a service to its end. Its outcome says what went wrong, so it logs nothing. */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Workers from "../harness/workers.ts"
import * as Service from "./service.ts"

Workers.main(Workers.serve(Service.run).pipe(Effect.provide(Logger.layer([]))))
