/**
 * A real relay as a process of its own, for tests that talk to it over the network.
 *
 * Limits are generous through settings, because all people of a test share one client address.
 */

import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, openSync, closeSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"

const PYTHON = fileURLToPath(new URL("../../.venv/bin/python", import.meta.url))
const STARTING_MILLIS = 30_000
const RATES = ["SIGN_UP", "SIGN_UP_TOTAL", "BUNDLE_DEVICE", "BUNDLE_REQUESTS", "BUNDLE_CLIENT"]
const RATES_A_MINUTE = ["CHALLENGE", "SIGNED", "LOOKUP", "BUNDLE", "PUBLIC", "SOCKETS", "TRACKER_SOCKETS", "TRACKER", "DROP"]
const GENEROUS: Readonly<Record<string, string>> = {
  HALONYX_LOG_LEVEL: "warning",
  HALONYX_CONNECTIONS_PER_CLIENT: "1000",
  HALONYX_HTTP_CONNECTIONS_PER_CLIENT: "1000",
  ...Object.fromEntries(RATES.map((rate) => [`HALONYX_RATE_${rate}`, "100000/hour"])),
  ...Object.fromEntries(RATES_A_MINUTE.map((rate) => [`HALONYX_RATE_${rate}`, "100000/minute"])),
}

/** One relay that can be stopped, killed and started again on the same port and files. */
export class RelayProcess {
  readonly port: number
  readonly #folder: string
  readonly #settings: Readonly<Record<string, string>>
  readonly #program: readonly string[]
  #process: ChildProcess | null = null

  private constructor(port: number, settings: Readonly<Record<string, string>>, program: readonly string[]) {
    this.port = port
    this.#folder = mkdtempSync(join(tmpdir(), "halonyx-relay-"))
    this.#settings = settings
    this.#program = program
  }

  /**
   * Start one on a free port with fresh files.
   *
   * @param settings HALONYX_… variables over the generous ones.
   * @param program Module that is run, and what its command line begins with.
   */
  static async start(
    settings: Readonly<Record<string, string>> = {},
    program: readonly string[] = ["halonyx.relay"],
  ): Promise<RelayProcess> {
    const relay = new RelayProcess(await freePort(), settings, program)
    await relay.start()
    return relay
  }

  /** How clients name it. */
  get origin(): string {
    return `http://localhost:${this.port}`
  }

  /** Start it again on the same port and files; returns once it answers. */
  async start(): Promise<void> {
    const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("HALONYX_"))
    const env = { ...Object.fromEntries(kept), ...GENEROUS, ...this.#settings }
    const log = openSync(join(this.#folder, "log"), "a")
    const options = ["-m", ...this.#program, "--port", String(this.port), "--data", join(this.#folder, "relay")]
    this.#process = spawn(PYTHON, options, { env, stdio: ["ignore", log, log] })
    closeSync(log)
    const deadline = performance.now() + STARTING_MILLIS
    while (!(await this.#isReady())) {
      if (this.#process.exitCode !== null || performance.now() > deadline) {
        throw new Error(`the relay does not answer:\n${this.log()}`)
      }
      await sleep(20)
    }
  }

  /** Return what it has written so far. */
  log(): string {
    return readFileSync(join(this.#folder, "log"), "utf8")
  }

  /** End it: by SIGTERM it stops in order, by SIGKILL where it stands. */
  async end(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const running = this.#process
    this.#process = null
    if (running === null || running.exitCode !== null) return
    const exited = once(running, "exit")
    running.kill(signal)
    await exited
  }

  /** End it and delete its files. */
  async remove(): Promise<void> {
    await this.end()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.origin}/readyz`)).ok
    } catch {
      return false
    }
  }
}

/** Return a loopback port that nothing listens on now, of those that the kernel gives to nobody who asks for any. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const probe = createServer().listen(port, "127.0.0.1")
    const isFree = await once(probe, "listening").then(() => true, () => false)
    if (!isFree) continue
    probe.close()
    await once(probe, "close")
    return port
  }
}
