/**
 * The torrents of this browser: one tab runs those that the Worker wants, and tells it how they go.
 *
 * Each transfer has a WebTorrent client of its own: another peer id, other connections, so that nothing ties two
 * contacts together.
 *
 * Source: spec/files.md, "Torrent".
 */

import type { Transfer } from "../../client/api"
import type { Connected } from "../../client/connect"
import type { Engine, Progress } from "../../client/engine"
import { FILES_LOCK } from "../../client/engine"
import { lockName } from "../../client/locks"
import { RunningTorrent, report } from "./running_torrent"
import { loadWebTorrent } from "./web_torrent"

const TELL_MS = 500 // each time, every page is drawn anew
const AGAIN_MS = 5000
const LOOK_MS = 60_000 // credentials run out; what could not be asked may be by now

/**
 * Wait until no other tab runs torrents, then do, for as long as the page lives.
 *
 * @param database Its name, which the lock's begins with.
 */
export function startTorrents(client: Connected, database = "halonyx"): void {
  void navigator.locks.request(lockName(database, FILES_LOCK), () => new Torrents(client).run())
}

class Torrents {
  readonly #engine: Engine
  readonly #running = new Map<string, RunningTorrent>()
  readonly #told = new Map<string, string>()
  readonly #states = new Map<string, string>()
  #wake: () => void = () => undefined
  #again: ReturnType<typeof setTimeout> | undefined
  #isErased = false

  constructor(client: Connected) {
    this.#engine = client.engine
    client.onChange((change) => {
      if (change.kind === "erased") this.#end()
      else if (change.kind === "contacts" || (change.kind === "transfer" && this.#isNew(change.transfer))) this.#wake()
      if (change.kind === "transfer" && change.transfer.reason === "relay-unreachable") this.#wakeSoon()
    })
    addEventListener("online", () => { this.#restart() })
    const { connection } = navigator as { connection?: EventTarget }
    connection?.addEventListener("change", () => { this.#restart() })
    setInterval(() => void this.#tell(), TELL_MS)
  }

  /** Run what is wanted until this device is erased. */
  async run(): Promise<void> {
    while (!this.#isErased) {
      const news = this.#news()
      const isDone = await this.#reconcile().then(() => true, (error: unknown) => {
        report(error)
        return false
      })
      const later = new Promise((resolve) => setTimeout(resolve, isDone ? LOOK_MS : AGAIN_MS))
      await Promise.race([news, later])
    }
  }

  /** Resolves when something changes from now on. */
  #news(): Promise<void> {
    return new Promise((resolve) => { this.#wake = resolve })
  }

  /** Whoever could not be asked may answer by now. */
  #wakeSoon(): void {
    this.#again ??= setTimeout(() => {
      this.#again = undefined
      this.#wake()
    }, AGAIN_MS)
  }

  #end(): void {
    this.#isErased = true
    for (const torrent of this.#running.values()) void torrent.stop().catch(() => undefined)
    this.#running.clear()
    this.#wake()
  }

  /** Of another network, the old candidates are of no use. */
  #restart(): void {
    for (const torrent of this.#running.values()) torrent.mustRestart = true
    this.#wake()
  }

  /** Tell whether more changed than numbers. */
  #isNew({ id, state, inDrop, directAllowed }: Transfer): boolean {
    const told = `${state === "transferring" ? "waiting" : state} ${String(inDrop)} ${String(directAllowed)}`
    if (this.#states.get(id) === told) return false
    this.#states.set(id, told)
    return true
  }

  async #reconcile(): Promise<void> {
    const jobs = new Map((await this.#engine.fileJobs()).map((job) => [job.id, job]))
    for (const [id, torrent] of this.#running) {
      const job = jobs.get(id)
      if (job !== undefined && !torrent.mustRestart && torrent.takes(job)) continue
      this.#running.delete(id)
      this.#told.delete(id)
      await torrent.stop()
    }
    const missing = [...jobs.values()].filter(({ id }) => !this.#running.has(id))
    if (missing.length === 0) return
    const library = await loadWebTorrent()
    for (const job of missing) this.#running.set(job.id, new RunningTorrent(library, this.#engine, job))
  }

  /** Tell what changed since the last time. */
  async #tell(): Promise<void> {
    const changed: Progress[] = []
    for (const [id, torrent] of this.#running) {
      torrent.nurse()
      const progress = await torrent.progress()
      const told = JSON.stringify(progress)
      if (progress === null || this.#told.get(id) === told) continue
      this.#told.set(id, told)
      changed.push(progress)
    }
    if (changed.length > 0) await this.#engine.reportFiles(changed).catch(() => undefined) // the next ones are told
  }
}

