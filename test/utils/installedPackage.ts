/** The package as users get it: packed, and unpacked into a fresh project. No registry is contacted. */
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { root } from "./publicModules.ts"

/**
 * A project that has kubelock and its dependencies installed.
 *
 * - `folder`: its folder. `installed`: that of kubelock in it.
 * - `tarball`: the file of the package.
 * - `write`: writes a file of the project.
 * - `remove`: removes the project.
 */
export interface Project {
  readonly folder: string
  readonly installed: string
  readonly tarball: string
  readonly write: (name: string, text: string) => void
  readonly remove: () => void
}

/** Runs a program, and succeeds with its standard output. */
export const run = async (
  cwd: string,
  env: Readonly<Record<string, string>>,
  file: string,
  ...args: ReadonlyArray<string>
): Promise<string> => {
  const { stdout } = await promisify(execFile)(file, args, {
    cwd,
    env: { ...process.env, NODE_ENV: "", ...env }
  }).catch((error: { readonly stdout: string; readonly stderr: string }) =>
    Promise.reject(new Error(`${file} ${args.join(" ")} failed\n${error.stdout}\n${error.stderr}`))
  )
  return stdout.trim()
}

/** Whether this repository has a commit: a shallow clone has few. */
export const hasCommit = (commit: string): Promise<boolean> =>
  run(root, {}, "git", "cat-file", "-e", `${commit}^{commit}`).then(
    () => true,
    () => false
  )

/** The sources of a commit in a folder of their own, with the packages that are installed here. */
const checkOut = async (commit: string): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), "kubelock-commit-"))
  const archive = join(folder, "archive.tar")
  await run(root, {}, "git", "archive", "--output", archive, commit)
  await run(folder, {}, "tar", "-xf", archive)
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
  return folder
}

/** Makes the project, with the package of a commit or, without one, of the sources as they are. */
export const install = async (commit?: string): Promise<Project> => {
  if (commit === undefined) return installFrom(root)
  const sources = await checkOut(commit)
  try {
    return await installFrom(sources)
  } finally {
    rmSync(sources, { recursive: true, force: true })
  }
}

const installFrom = async (sources: string): Promise<Project> => {
  const folder = mkdtempSync(join(tmpdir(), "kubelock-package-"))
  const installed = join(folder, "node_modules", "kubelock")
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
  await run(sources, {}, "npm", "pack", "--silent", "--pack-destination", folder)
  const tarball = join(
    folder,
    readdirSync(folder).find((name) => name.endsWith(".tgz"))!
  )
  mkdirSync(installed, { recursive: true })
  await run(folder, {}, "tar", "-xzf", tarball, "--strip-components=1", "-C", installed)
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
    readonly dependencies: Record<string, string>
    readonly peerDependencies: Record<string, string>
  }
  // The dependencies that npm would fetch are installed here already.
  for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
    const link = join(folder, "node_modules", name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(root, "node_modules", name), link)
  }
  write("package.json", JSON.stringify({ type: "module" }))
  return { folder, installed, tarball, write, remove: () => rmSync(folder, { recursive: true, force: true }) }
}
