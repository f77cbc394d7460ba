/**
 * Carrying ciphertext to and from the drop, one task a transfer, in the tab that runs the torrents.
 *
 * Source: spec/file-relay.md, "Drop".
 */

import { HalonyxError, TransportError } from "../core/errors"
import { State } from "../core/file_offer"
import { SECOND } from "../core/types"
import type { Bytes, Millis } from "../core/types"
import { loadAccount, nowMs } from "./account"
import { Alarm } from "./alarm"
import { deleteDrop, download, upload } from "./drop"
import { writeAll, type Folders } from "./folders"
import { checkMeetingPlace } from "./jobs"
import { contactById } from "./people"
import * as table from "./schema"
import type { Store } from "./store"
import { change, changeOne, tell } from "./transfer_states"
import type { Live, StoredTransfer } from "./transfer_row"

const FIRST_PAUSE = SECOND
const LONGEST_PAUSE = 60 * SECOND
// What a drop does not take or has not; everything else comes and goes.
const NOT_TAKEN: ReadonlySet<string> = new Set(["no-drop", "drop-full", "too-large"])
const NOT_THERE: ReadonlySet<string> = new Set(["no-drop", "drop-unknown"])
const NOTED = 4 * 1_048_576 // bytes that a tab which ends may have to fetch again

/** What is told of the tasks. */
export interface Told {
  readonly note: (id: string, live: Partial<Live>) => void
  readonly arrived: (id: string) => Promise<void>
  readonly failed: (id: string, code: string) => Promise<void>
}

/** What carries one transfer. */
interface Task {
  /** When the person wanted it whom this began for. */
  readonly wanted: Millis | undefined
  readonly ending: AbortController
}

export class Fetching {
  readonly #store: Store
  readonly #folders: Folders
  readonly #told: Told
  readonly #tasks = new Map<string, Task>()
  #hasEnded = false

  constructor(store: Store, folders: Folders, told: Told) {
    this.#store = store
    this.#folders = folders
    this.#told = told
  }

  /** Begin what should be carried now, and stop what should not. */
  async update(): Promise<void> {
    const rows = new Map((await this.#wanted()).map((row) => [row.id, row]))
    if (this.#hasEnded) return
    for (const [id, { wanted, ending }] of this.#tasks) {
      const row = rows.get(id)
      if (row === undefined || row.wanted !== wanted) ending.abort() // wanted anew: at once, not after a pause
    }
    for (const [id, row] of rows) if (!this.#tasks.has(id)) void this.#begin(row).catch(console.error)
  }

  stop(): void {
    this.#hasEnded = true
    for (const { ending } of this.#tasks.values()) ending.abort()
  }

  async #begin(row: StoredTransfer): Promise<void> {
    const ending = new AbortController()
    this.#tasks.set(row.id, { wanted: row.wanted, ending })
    await this.#carry(row, ending.signal).catch(console.error)
    this.#tasks.delete(row.id)
    if (ending.signal.aborted && !this.#hasEnded) await this.update() // it may be wanted again by now
  }

  async #wanted(): Promise<readonly StoredTransfer[]> {
    const stages = ["offered", "running"] as const
    const found = await Promise.all(stages.map((stage) => this.#store.all(table.transfers, "stage", stage)))
    const rows = found.flat()
    const areWanted = await Promise.all(rows.map((row) => this.#isToBeCarried(row)))
    return rows.filter((_, at) => areWanted[at])
  }

  async #isWanted(id: string): Promise<boolean> {
    const row = await this.#store.get(table.transfers, id)
    return row !== undefined && this.#isToBeCarried(row)
  }

  /** Nothing is carried for, or from, someone who was blocked or removed. */
  async #isToBeCarried({ contact, isOutgoing, stage, wantsDrop, inDrop }: StoredTransfer): Promise<boolean> {
    const isOpen = stage === "running" || (isOutgoing === 1 && stage === "offered")
    const hasToGo = isOutgoing === 1 ? wantsDrop && !inDrop : inDrop
    return isOpen && hasToGo && (await this.#store.get(table.contacts, contact))?.state === "accepted"
  }

  /** Try until it is done, refused, or not wanted any more. */
  async #carry(row: StoredTransfer, signal: AbortSignal): Promise<void> {
    let [at, pause] = [row.isOutgoing === 1 ? 0 : await this.#fetched(row), FIRST_PAUSE]
    const tell = (done: number): void => {
      if (done > at) pause = FIRST_PAUSE
      at = done
      this.#told.note(row.id, { done, peers: row.isOutgoing === 1 ? 0 : 1, path: "drop" })
    }
    const over = new Alarm()
    signal.addEventListener("abort", () => { over.set() })
    while (!hasStopped(signal)) {
      let reason = "relay-unreachable"
      try {
        if (row.isOutgoing === 1) await this.#put(row, tell, signal)
        else await this.#fetch(row, at, tell, signal)
        return
      } catch (error) {
        // What was ended or paused has no file any more, before it is stopped here.
        if (hasStopped(signal) || !(await this.#isWanted(row.id))) return
        if (!(error instanceof TransportError)) {
          reason = error instanceof HalonyxError ? error.code : "internal"
          if (reason === "internal") console.error(error)
          if (await this.#hasGivenUp(row, reason)) return
        }
      }
      this.#told.note(row.id, { done: at, reason })
      await over.wait(pause)
      pause = Math.min(2 * pause, LONGEST_PAUSE)
    }
  }

  async #put(row: StoredTransfer, tell_: (done: number) => void, signal: AbortSignal): Promise<void> {
    await upload(this.#folders, row, await loadAccount(this.#store), tell_, signal)
    await changeOne(this.#store, row.id, async (tx, found) => {
      if (found.stage !== "offered" && found.stage !== "running" && found.stage !== "paused") return
      await change(tx, found, { inDrop: true, reason: null, told: nowMs() })
      await tell(tx, found, State.IN_DROP)
    })
  }

  async #fetch(row: StoredTransfer, from: number, tell_: (done: number) => void, signal: AbortSignal): Promise<void> {
    await checkMeetingPlace(this.#store, row, await contactById(this.#store, row.contact))
    let noted = from
    const take = async (part: Bytes, at: number): Promise<void> => {
      if (!(await this.#isWanted(row.id))) throw new HalonyxError("gone", "the transfer has ended")
      // Opened each time: a torrent that had begun it closes the file when it ends.
      writeAll(await this.#folders.access(row.id, row.ciphertextSize), part, at)
      const done = at + part.length
      tell_(done)
      if (done < noted + NOTED) return
      noted = done
      await this.#note(row.id, done).catch(console.error) // only a reload would have gone on there
    }
    await download(row, from, take, signal)
    await this.#told.arrived(row.id)
  }

  /** Return how much of a file came before, in this tab or another. */
  async #fetched({ id, fetched = 0 }: StoredTransfer): Promise<number> {
    return (await this.#folders.has(id)) ? fetched : 0
  }

  /** Note how much is on the disk, so that the next tab goes on there. */
  async #note(id: string, fetched: number): Promise<void> {
    await this.#folders.flush(id)
    await this.#store.transaction(async (tx) => {
      const row = await tx.get(table.transfers, id)
      if (row?.stage === "running" || row?.stage === "paused") tx.put(table.transfers, { ...row, fetched })
    })
  }

  /** What the drop does not take or has not goes from person to person, if at all. */
  async #hasGivenUp(row: StoredTransfer, code: string): Promise<boolean> {
    const isOurs = row.isOutgoing === 1
    if (code === "disk-full") {
      await this.#told.failed(row.id, code)
      return true
    }
    if (!(isOurs ? NOT_TAKEN : NOT_THERE).has(code)) return false
    if (isOurs) await deleteDrop(row) // what was begun
    await changeOne(this.#store, row.id, (tx, found) =>
      change(tx, found, { wantsDrop: false, inDrop: false, reason: isOurs ? code : "drop-unknown" }),
    )
    return true
  }
}

function hasStopped(signal: AbortSignal): boolean {
  return signal.aborted
}
