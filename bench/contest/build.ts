/**
 * A build of kubelock whose locks contend: this one, or an earlier one.
 *
 * An earlier build is copied into this repository, so that it finds the same dependencies. All builds of a process share one copy of
 * each: only kubelock differs.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type * as Takes from "../../src/cli/bench/contest/takes.ts"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStore from "../../src/ObjectStore.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import { LoadError } from "../../src/cli/bench/harness/loadError.ts"

/** An earlier build: the URL of the folder with its modules. */
export interface Build {
  readonly modules: string
}

/** The modules of a build that a contender needs. */
export interface Modules extends Takes.Modules {
  readonly KubernetesClient: typeof KubernetesClient
}

/** The modules of this build. */
export const own: Modules = { KubernetesClient, Lock, LockPolicy, ObjectStore, ObjectStoreKubernetes }

/** Takes in an earlier build, from the folder of its package: where `npm pack` was unpacked. */
export const stage = (folder: string): Effect.Effect<Build, LoadError, Scope.Scope> =>
  Effect.suspend(() => {
    if (!existsSync(join(folder, "dist/Lock.js"))) {
      return new LoadError({ message: `${folder} is not a package of kubelock: it has no dist/Lock.js` })
    }
    const here = join(import.meta.dirname, "../../node_modules/.kubelock-before-")
    return Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(here)),
        (copy) => Effect.sync(() => rmSync(copy, { recursive: true }))
      ),
      (copy): Build => {
        for (const part of ["package.json", "dist"]) cpSync(join(folder, part), join(copy, part), { recursive: true })
        return { modules: `${pathToFileURL(join(copy, "dist"))}/` }
      }
    )
  })

/** Loads an earlier build. */
export const load = ({ modules }: Build): Effect.Effect<Modules> =>
  Effect.promise(async () => ({
    KubernetesClient: await import(`${modules}KubernetesClient.js`),
    Lock: await import(`${modules}Lock.js`),
    LockPolicy: await import(`${modules}LockPolicy.js`),
    ObjectStore: await import(`${modules}ObjectStore.js`),
    ObjectStoreKubernetes: await import(`${modules}ObjectStoreKubernetes.js`)
  }))
