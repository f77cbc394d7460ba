/** The Python client, by its command line. */

import { execFile } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const HALONYX = fileURLToPath(new URL("../../../.venv/bin/halonyx", import.meta.url))
const run = promisify(execFile)

/** One home folder. */
export class PythonClient {
  readonly #home = mkdtempSync(join(tmpdir(), "halonyx-home-"))

  /** Make an account at a relay. */
  static async signUp(origin: string): Promise<PythonClient> {
    const client = new PythonClient()
    await client.call("account", "create", "--relay", origin)
    return client
  }

  /** Run one command; returns the objects it printed. */
  async call(...words: readonly string[]): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("HALONYX_"))
    const env = { ...Object.fromEntries(kept), HALONYX_PASSPHRASE: "swordfish" }
    const { stdout } = await run(HALONYX, [...words, "--json", "--home", this.#home], { env })
    const lines = stdout.split("\n").filter((line) => line !== "")
    return lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
  }

  async card(): Promise<string> {
    const [shown] = await this.call("card")
    return String(shown?.["card"])
  }

  /** Receive until the mailbox is empty; returns the texts that were shown. */
  async receive(): Promise<readonly string[]> {
    const events = await this.call("receive", "--timeout", "1")
    return events.flatMap((event) => (typeof event["text"] === "string" ? [event["text"]] : []))
  }

  remove(): void {
    rmSync(this.#home, { recursive: true, force: true })
  }
}
