/**
 * Explores deeper than `npm test` does: `npm run explore -- --depth N [--world TITLE]`.
 *
 * Ends with 1 and the shortest history if something is violated, with 2 if the flags are wrong.
 */
import { parseArgs } from "node:util"
import { explore } from "./search.ts"
import { type ExploredWorld, worlds } from "./worlds.ts"

const usage = `usage: explore [--depth N] [--world TITLE]; worlds: ${worlds.map(({ title }) => `"${title}"`).join(", ")}`

const flags = () => {
  const { values } = parseArgs({ options: { depth: { type: "string" }, world: { type: "string" } } })
  if (values.depth !== undefined && !/^[1-9]\d?$/.test(values.depth)) {
    throw new Error(`--depth must be 1 to 99, got "${values.depth}"`)
  }
  const chosen = worlds.filter(({ title }) => values.world === undefined || title === values.world)
  if (chosen.length === 0) throw new Error(`no world "${values.world}"`)
  return { chosen, depth: values.depth === undefined ? undefined : Number(values.depth) }
}

const run = (world: ExploredWorld, depth: number): boolean => {
  console.log(`${world.title}, down to depth ${depth}`)
  const began = performance.now()
  const seconds = () => (performance.now() - began) / 1000
  const {
    depth: reached,
    shared,
    slowest,
    states,
    violation
  } = explore(world, depth, (progress) => {
    const rate = Math.round(progress.states / seconds())
    console.log(
      `  depth ${progress.depth}: ${progress.states} states, ${progress.fresh} new, ${seconds().toFixed(1)} s, ${rate} states/s`
    )
  })
  console.log(
    `  ${states} states visited, depth ${reached}; in ${shared} a contender still relied on a lock it was robbed of; everybody had the lock after ${slowest} s`
  )
  if (violation === undefined) return true
  console.log(`VIOLATION at depth ${reached}: ${violation.what}`)
  for (const line of violation.history) console.log(`  ${line}`)
  return false
}

try {
  const { chosen, depth } = flags()
  process.exitCode = chosen.every((world) => run(world, depth ?? world.depth)) ? 0 : 1
} catch (error) {
  console.error(`${error instanceof Error ? error.message.split(". ")[0] : String(error)}; ${usage}`)
  process.exitCode = 2
}
