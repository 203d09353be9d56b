/** Fresh projects with kubelock: with its package as users get it, or with its sources. No registry is contacted. */
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { root } from "./publicModules.ts"

/**
 * A project that has kubelock and its dependencies.
 *
 * - `folder`: its folder.
 * - `write`: writes a file of the project.
 * - `remove`: removes the project.
 */
export interface LinkedProject {
  readonly folder: string
  readonly write: (name: string, text: string) => void
  readonly remove: () => void
}

/** A project in which the package is unpacked: into the folder `installed`, from the file `tarball`. */
export interface Project extends LinkedProject {
  readonly installed: string
  readonly tarball: string
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

/** Makes a project with the package of a commit or, without one, of the sources as they are. */
export const install = async (commit?: string): Promise<Project> => {
  if (commit === undefined) return installFrom(root)
  const sources = await checkOut(commit)
  try {
    return await installFrom(sources)
  } finally {
    remove(sources)
  }
}

/**
 * Makes a project with the sources of a commit or, without one, as they are. Nothing is built: its programs take
 * `--conditions=kubelock-source`.
 */
export const link = async (commit?: string): Promise<LinkedProject> => {
  const sources = commit === undefined ? root : await checkOut(commit)
  const project = projectOf(sources)
  symlinkSync(sources, project.at("kubelock"))
  const removed = commit === undefined ? [project.folder] : [project.folder, sources]
  return { ...project, remove: () => removed.forEach(remove) }
}

const installFrom = async (sources: string): Promise<Project> => {
  const project = projectOf(sources)
  const { folder } = project
  await run(sources, {}, "npm", "pack", "--silent", "--pack-destination", folder)
  const tarball = join(
    folder,
    readdirSync(folder).find((name) => name.endsWith(".tgz"))!
  )
  const installed = project.at("kubelock")
  mkdirSync(installed)
  await run(folder, {}, "tar", "-xzf", tarball, "--strip-components=1", "-C", installed)
  return { ...project, installed, tarball, remove: () => remove(folder) }
}

/** A folder with the dependencies that npm would fetch. They are installed here already. `at` is where it has a package. */
const projectOf = (sources: string) => {
  const folder = mkdtempSync(join(tmpdir(), "kubelock-package-"))
  const at = (name: string) => join(folder, "node_modules", name)
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(sources, "package.json"), "utf8")) as {
    readonly dependencies: Record<string, string>
    readonly peerDependencies: Record<string, string>
  }
  for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
    mkdirSync(dirname(at(name)), { recursive: true })
    symlinkSync(join(root, "node_modules", name), at(name))
  }
  write("package.json", JSON.stringify({ type: "module" }))
  return { folder, at, write }
}

const remove = (folder: string) => rmSync(folder, { recursive: true, force: true })
