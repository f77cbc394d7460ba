/** Writes service_worker.js into the build: src/service_worker.ts with the list of all other files and their hashes. */

import { createHash } from "node:crypto"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, relative, resolve, sep } from "node:path"
import { transformWithOxc, type Plugin } from "vite"

const SOURCE = "src/service_worker.ts"
const OUTPUT = "service_worker.js"

/** Run after everything else was written, the files of public/ included. */
export function serviceWorkerBuild(): Plugin {
  let root = ""
  let folder = ""
  return {
    name: "halonyx-service-worker",
    apply: "build",
    configResolved(config) {
      root = config.root
      folder = resolve(config.root, config.build.outDir)
    },
    async closeBundle() {
      const files = filesOf(folder)
      const build = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 16)
      const { code } = await transformWithOxc(readFileSync(join(root, SOURCE), "utf8"), SOURCE, { target: "es2023" })
      const constants = `const BUILD = ${JSON.stringify(build)}\nconst FILES = ${JSON.stringify(files)}\n`
      writeFileSync(join(folder, OUTPUT), constants + code.replace(/^export \{\s*\};?$/m, ""))
    },
  }
}

function filesOf(folder: string): { path: string; sha256: string }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((path) => path !== OUTPUT && !path.endsWith(".map"))
    .sort()
    .map((path) => ({ path, sha256: sha256(join(folder, path)) }))
}

function sha256(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex")
}
