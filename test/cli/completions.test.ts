/** The completions of `kubelock`, in the shells that they are for, as somebody types on a terminal. */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { inPath } from "../../tools/inPath.ts"
import * as notRun from "../../tools/notRun.ts"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()

beforeAll(() => {
  writeFileSync(join(kubelock.folder, "deploy.sh"), "")
  symlinkSync(join(kubelock.folder, "dist/cli/kubelock.js"), join(kubelock.folder, "kubectl-kubelock"))
})

/** How each shell is started, loads the completions, and gets a program that tells with what it is called. */
const shells: ReadonlyArray<readonly [name: string, start: string, load: string, program: string]> = [
  ["bash", "bash --norc --noprofile -i", "source <(kubelock --completions bash)", 'kubelock() { echo "<$*>"; }'],
  [
    "zsh",
    "zsh -f -i",
    "autoload -Uz compinit; compinit -u -D; source <(kubelock --completions zsh)",
    'kubelock() { echo "<$*>"; }'
  ],
  ["fish", "fish --no-config -i", "kubelock --completions fish | source", 'function kubelock; echo "<$argv>"; end']
]

const typed: ReadonlyArray<readonly [line: string, completed: string]> = [
  ["ins", "inspect"],
  ["inspect -o wi", "inspect -o wide"],
  ["run x --nonb", "run x --nonblock"],
  ["run x --kubeconfig kubeco", "run x --kubeconfig kubeconfig"],
  ["run x -- ./depl", "run x -- ./deploy.sh"]
]

describe.each(shells)("completions for %s", (name, start, load, program) => {
  const hasShell = inPath(name) !== undefined
  if (!hasShell) notRun.say(`completions for ${name}`, `NOT RUN, no ${name}: Debian's package ${name} has one`)

  it.skipIf(!hasShell)("know verbs, flags, their values, and files", async () => {
    const shell = kubelock.onTerminal(start)
    const type = (text: string) => shell.process.stdin.write(text)
    type(`${load}\n${program}\necho re""ady\n`)
    await shell.says("ready")
    for (const [line, completed] of typed) {
      type(`kubelock ${line}\t\n`)
      // oxlint-disable-next-line no-await-in-loop
      await shell.says(`<${completed}>`)
    }
    type("exit\n")
    await shell.ended
  })
})

describe("completions of the plugin", () => {
  it.each(["bash", "zsh", "fish"])("leave those of kubectl alone (%s)", async (name) => {
    const { stdout } = await kubelock.shell(`kubectl-kubelock --completions ${name}`)
    assert.include(stdout, "kubectl-kubelock")
    assert.notMatch(stdout, /(complete -F \S+|compdef( \S+)?|complete -c) kubectl( |$)/m)
  })
})
