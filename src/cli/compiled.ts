/**
 * Compiled code for the file that has most of the program.
 *
 * The compile cache of Node.js keeps what V8 compiles when it loads a file. It compiles most functions when they first run, which is
 * after that, so each process would do so again.
 */
import { hash } from "node:crypto"
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import Module, { createRequire } from "node:module"
import { basename, dirname, join } from "node:path"
import { Script } from "node:vm"

/**
 * Loads a file, so that `require` finds it loaded. The first process that does so keeps in `folder` what V8 has compiled by its end, and
 * the next ones use that.
 */
export const load = ({ file, folder }: { readonly file: string; readonly folder: string }): void => {
  const bytes = readFileSync(file)
  // The program is written in ASCII (`tools/package.ts`): one byte a character takes the least time.
  const code = bytes.toString("latin1")
  // V8 looks only at the length of the code.
  const kept = join(folder, `${basename(file)}-${sumOf(bytes).toString("hex")}`)
  const cachedData = read(kept)
  const script = new Script(Module.wrap(code), { filename: file, cachedData })
  if (cachedData === undefined || script.cachedDataRejected === true) keepAtEnd(script, kept)
  const require = createRequire(file)
  const module = new Module(file)
  require.cache[file] = module
  script.runInThisContext().call(module.exports, module.exports, require, module, file, dirname(file))
  module.loaded = true
}

const keepAtEnd = (script: Script, file: string): void => {
  const { setFlagsFromString } = process.getBuiltinModule("node:v8")
  // V8 would forget what has not run for a while.
  setFlagsFromString("--no-flush-bytecode")
  process.once("exit", (code) => {
    if (inVain.has(code)) return
    // V8 refuses what was compiled under other flags.
    setFlagsFromString("--flush-bytecode")
    write(file, script.createCachedData())
  })
}

// The invocation made no sense, or the API server was not reached: most of the program did not run. (`exitCodes.ts` loads Effect.)
const inVain: ReadonlySet<number> = new Set([64, 69])

// V8 does not notice damaged code.
const read = (file: string): Buffer | undefined => {
  try {
    const bytes = readFileSync(file)
    const data = bytes.subarray(0, -sumLength)
    return sumOf(data).equals(bytes.subarray(data.length)) ? data : undefined
  } catch {
    return undefined
  }
}

// Without it the next process starts later, and that is all.
const write = (file: string, data: Buffer): void => {
  const unfinished = `${file}.${process.pid}`
  try {
    writeFileSync(unfinished, Buffer.concat([data, sumOf(data)]), { mode: 0o600 })
    renameSync(unfinished, file)
  } catch {
    rmSync(unfinished, { force: true })
  }
}

// TLS loads `node:crypto` in any case, and nothing else loads `node:zlib`, whose checksum is shorter.
const sumOf = (data: Buffer): Buffer => hash("sha256", data, "buffer")

const sumLength = 32
