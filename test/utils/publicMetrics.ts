import * as Metric from "effect/Metric"
import type * as kubelock from "../../src/index.ts"

/** Every metric that a public module exports. */
export const publicMetrics = (modules: typeof kubelock): ReadonlyArray<Metric.Metric<never, unknown>> =>
  Object.entries(modules)
    .filter(([name]) => name.endsWith("Metrics"))
    .flatMap(([, module]) => Object.values(module))
    .filter((value): value is Metric.Metric<never, unknown> => Metric.isMetric(value))
