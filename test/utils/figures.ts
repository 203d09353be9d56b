/** What a run of the load test may have measured, for tests that judge or show it. */
import type { Figures } from "../../src/cli/bench/load/figures.ts"

/** The figures of the run. */
export const figures: Figures = {
  kind: "lock",
  limit: null,
  writers: null,
  protocol: "kubelock",
  target: "embedded",
  threads: 4,
  fibers: 8,
  ids: 1,
  holdMillis: 0,
  durationMillis: 10_000,
  acquisitions: 12_345,
  mostInside: 1,
  violations: 0,
  timeouts: 0,
  errors: 0,
  throughputPerSecond: 1234.5,
  waitMillis: { p50: 2.34567, p95: 50, p99: 1234, max: 2000 },
  handoffMillis: { p50: 0.5, p95: 1, p99: 2, max: 3 },
  requests: { get: 1, put: 0, patch: 24_690, watch: 2, other: 0 },
  requestsPerAcquisition: 2.0003,
  conflicts: 7,
  fairness: { jain: 0.98765, min: 0.5, max: 1.5 }
}
