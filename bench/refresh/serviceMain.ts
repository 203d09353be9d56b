/** A worker that runs a service to its end. */
import * as Workers from "../../src/cli/bench/harness/workers.ts"
import * as Service from "./service.ts"

Workers.main(Workers.serve(Service.run))
