/** The completions of `kubelock`, in the shells that they are for, as somebody types on a terminal. */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { inPath } from "../../tools/inPath.ts"
import * as notRun from "../../tools/notRun.ts"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()

beforeAll(() => {
  writeFileSync(join(kubelock.folder, "deploy.sh"), "", { mode: 0o755 })
  writeFileSync(join(kubelock.folder, "shipping"), "", { mode: 0o755 })
  for (const folder of ["data/bash-completion/completions", "zsh", "fish"]) {
    mkdirSync(join(kubelock.folder, folder), { recursive: true })
  }
  symlinkSync(join(kubelock.folder, "dist/cli/kubelock.js"), join(kubelock.folder, "kubectl-kubelock"))
})

/** How a shell is started, gets the completions, and a program that tells with what it is called. */
interface Case {
  readonly shell: "bash" | "zsh" | "fish"
  readonly how: string
  readonly needs?: string
  readonly start: string
  readonly load: string
  readonly program: string
}

const bashCompletion = "/usr/share/bash-completion/bash_completion"

const bash = { shell: "bash", start: "bash --norc --noprofile -i", program: 'kubelock() { echo "<$*>"; }' } as const
const zsh = { shell: "zsh", start: "zsh -f -i", program: 'kubelock() { echo "<$*>"; }' } as const
const fish = {
  shell: "fish",
  start: "fish --no-config -i",
  program: 'function kubelock; echo "<$argv>"; end'
} as const

const cases: ReadonlyArray<Case> = [
  { ...bash, how: "sourced", load: "source <(kubelock --completions bash)" },
  { ...bash, how: "without compopt", load: "compopt() { return 127; }; source <(kubelock --completions bash)" },
  {
    ...bash,
    how: "beside bash-completion",
    needs: bashCompletion,
    load: `source ${bashCompletion}; source <(kubelock --completions bash)`
  },
  {
    ...bash,
    how: "loaded by bash-completion",
    needs: bashCompletion,
    load: `export XDG_DATA_HOME=$PWD/data; kubelock --completions bash > data/bash-completion/completions/kubelock; source ${bashCompletion}`
  },
  {
    ...zsh,
    how: "sourced",
    load: "autoload -Uz compinit; compinit -u -D; source <(kubelock --completions zsh)"
  },
  {
    ...zsh,
    how: "in the path of functions",
    load: "kubelock --completions zsh > zsh/_kubelock; fpath=($PWD/zsh $fpath); autoload -Uz compinit; compinit -u -D"
  },
  { ...fish, how: "sourced", load: "kubelock --completions fish | source" },
  {
    ...fish,
    how: "in the path of completions",
    load: "kubelock --completions fish > fish/kubelock.fish; set -p fish_complete_path $PWD/fish"
  }
]

const typed: ReadonlyArray<readonly [line: string, completed: string]> = [
  ["ins", "inspect"],
  ["inspect -o wi", "inspect -o wide"],
  ["run x --nonb", "run x --nonblock"],
  ["run x --kubeconfig kubeco", "run x --kubeconfig kubeconfig"],
  ["run x -- ./depl", "run x -- ./deploy.sh"],
  ["run x -- dirna", "run x -- dirname"],
  ["run x --nonblock -- shipping ./depl", "run x --nonblock -- shipping ./deploy.sh"],
  ["run x -- kubelock renew y -- shipp", "run x -- kubelock renew y -- shipping"],
  ["run x -- shipping --nonb", "run x -- shipping --nonb"]
]

const typedWithOwn: typeof typed = [...typed, ["run x -- kubelock ins", "run x -- kubelock inspect"]]

describe.each(cases)("completions for $shell, $how", ({ how, load, needs, program, shell: name, start }) => {
  const isThere = inPath(name) !== undefined && (needs === undefined || existsSync(needs))
  if (!isThere) {
    const wanted = needs === undefined ? name : "bash-completion"
    notRun.say(`completions for ${name}, ${how}`, `NOT RUN, no ${wanted}: Debian's package ${wanted} has one`)
  }

  it.skipIf(!isThere)("know verbs, flags, their values, files, and commands after --", async () => {
    const shell = kubelock.onTerminal(start)
    const type = (text: string) => shell.process.stdin.write(text)
    type(`${load}\n${program}\necho re""ady\n`)
    await shell.says("ready")
    // Bash alone knows nothing of the completions of others.
    const hasOwn = name !== "bash" || needs !== undefined
    for (const [line, completed] of hasOwn ? typedWithOwn : typed) {
      type(`kubelock ${line}\t\n`)
      // oxlint-disable-next-line no-await-in-loop
      await shell.says(`<${completed}>`)
    }
    type("exit\n")
    const { stdout } = await shell.ended
    assert.notMatch(stdout, /not found|no such|unknown|error|invalid/i)
  })
})

describe("completions of the plugin", () => {
  it.each(["bash", "zsh", "fish"])("leave those of kubectl alone (%s)", async (name) => {
    const { stdout } = await kubelock.shell(`kubectl-kubelock --completions ${name}`)
    assert.include(stdout, "kubectl-kubelock")
    assert.notMatch(stdout, /(complete -F \S+|compdef( \S+)?|complete -c) kubectl( |$)/m)
  })
})
