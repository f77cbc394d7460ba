/**
 * Files from person to person: offered, accepted, fetched, verified, saved. What a person does, and what the torrents say.
 *
 * Source: spec/files.md, "Transfers".
 */

import { State } from "../core/file_offer"
import { HalonyxError, Misuse, StoreError } from "../core/errors"
import type { Bytes, Millis } from "../core/types"
import { nowMs } from "./account"
import type { Change, Contact, Entry, FileApi, OfferedFile, Transfer } from "./api"
import { Contacts, contactOf } from "./contacts"
import { deleteDrop } from "./drop"
import type { Engine, Failure, Job, Progress } from "./engine"
import { Fetching } from "./fetching"
import { writeAll, type Folders } from "./folders"
import { jobsOf } from "./jobs"
import { Offering, codeOf } from "./offering"
import { MAX_PIXELS, hasAtMost } from "./picture_size"
import { Saving, isDamaged, isWhole, openInMemory } from "./saving"
import * as table from "./schema"
import { prefix, type Store } from "./store"
import { PIECE_SIZE } from "./torrent_info"
import { change, changeOne, failPreparing, noteReached, tell, type Work } from "./transfer_states"
import { ENDED, dressed, isKept, transferOf, type Live, type Stage, type StoredTransfer } from "./transfer_row"
import { Turn } from "./turn"

const TELL_MS = 250
const MAX_IMAGE = 16 * 1_048_576
const IMAGES: ReadonlySet<string> = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"])
const QUIET: Live = { done: 0, down: 0, up: 0, uploaded: 0, peers: 0, path: null, reason: null }

/** The files of one account, in one tab. */
export class Transfers implements FileApi, Engine {
  readonly turn: Turn
  readonly #store: Store
  readonly #folders: Folders
  readonly #onChange: (change: Change) => void
  readonly #prepare: () => Promise<void>
  readonly #live = new Map<string, Live>()
  readonly #told = new Map<string, number>()
  readonly #working = new Map<string, AbortController>()
  readonly #offering: Offering
  readonly #fetching: Fetching
  readonly #saving: Saving

  /**
   * @param onChange Called with what only this tab knows, for every tab.
   * @param prepare Called before relays are used (raises TransportError).
   */
  constructor(store: Store, folders: Folders, onChange: (change: Change) => void, prepare: () => Promise<void>) {
    this.#store = store
    this.#folders = folders
    this.#onChange = onChange
    this.#prepare = prepare
    this.turn = new Turn(store)
    this.#saving = new Saving(store.name, folders)
    const note = (id: string, live: Partial<Live>): void => { this.#note(id, { ...QUIET, ...live }) }
    this.#offering = new Offering(store, folders, note, () => this.sweep())
    this.#fetching = new Fetching(store, folders, {
      note,
      arrived: (id) => this.fileArrived(id),
      failed: (id, code) => this.#fail(id, code),
    })
  }

  /** Clear up after a tab that ended in the middle of something; returns whether our relay's services are other now. */
  async start(): Promise<boolean> {
    try {
      await this.#offering.clear()
      await this.#saving.clear()
      await this.sweep()
      return await this.turn.learn()
    } catch (error) {
      if (!(error instanceof HalonyxError)) console.error(error)
      return false // it is asked again when it is needed
    }
  }

  /** Stop what this tab is doing, and let go of every file. */
  async stop(): Promise<void> {
    this.#saving.stop()
    this.#offering.stop()
    this.#fetching.stop()
    for (const working of this.#working.values()) working.abort()
    await this.#folders.closeAll()
  }

  /** Add what is known of a transfer only while it runs. */
  dress(transfer: Transfer): Transfer {
    return dressed(transfer, this.#live.get(transfer.id) ?? null, this.turn.services)
  }

  /** As `dress`, for a line of a conversation. */
  dressEntry(entry: Entry): Entry {
    return entry.file === null ? entry : { ...entry, file: this.dress(entry.file) }
  }

  /** Clear up after what has ended. */
  heed(changes: readonly Change[]): void {
    const hasEnded = changes.some((change) => change.kind === "transfer" && ENDED.has(change.transfer.state as Stage))
    if (hasEnded) void this.sweep().catch(console.error)
  }

  /** Remember what another tab, which runs the torrents, tells. */
  hear(transfer: Transfer): void {
    const { id, done, down, up, peers, path, reason, ratio, total } = transfer
    this.#live.set(id, { done, down, up, peers, path, reason, uploaded: ratio * total })
  }

  /** Offer files (throws as `Offering.offer`). */
  async offerFiles(
    contact: number,
    files: readonly OfferedFile[],
    folder: string | null,
    thumbnail: Bytes | null,
    { drop }: { readonly drop: boolean },
  ): Promise<Entry> {
    return this.dressEntry(await this.#offering.offer(contact, files, folder, thumbnail, drop))
  }

  async filesOf(contact: number): Promise<readonly Transfer[]> {
    const whose = await contactOf(this.#store, contact, "accepted", "blocked") // nothing of a stranger is shown
    const rows = await this.#store.all(table.transfers, "contact", prefix(contact))
    return [...rows]
      .sort((first, second) => second.made - first.made)
      .map((row) => this.dress(transferOf(row, whose)))
  }

  /**
   * Accept an offer of theirs.
   *
   * @throws HalonyxError `disk-full`: there is no room for it. Misuse: it is no offer that waits.
   */
  async acceptFile(id: string): Promise<void> {
    const row = await this.#row(id)
    if (row.isOutgoing === 1 || row.stage !== "offered") throw new Misuse("no offer that waits")
    await this.#folders.checkRoom(2 * row.ciphertextSize) // it has to be decrypted, too
    await this.#run(id, ["offered"])
  }

  async refuseFile(id: string): Promise<void> {
    await this.#end(id, ["offered"], "refused", State.REFUSED)
  }

  async pauseFile(id: string): Promise<void> {
    const { done, uploaded, path } = this.#live.get(id) ?? QUIET
    await this.#change(id, async (tx, row) => {
      if (row.stage !== "running") throw new Misuse("it is not running")
      const isWithThem = row.isOutgoing === 0 || path !== "drop" // what the drop has, they have not
      const reached = { done: Math.max(isWithThem ? done : 0, row.done), uploaded: Math.max(uploaded, row.uploaded) }
      await change(tx, row, { stage: "paused", ...reached })
    })
  }

  async resumeFile(id: string): Promise<void> {
    await this.#change(id, async (tx, row) => {
      if (row.stage !== "paused") throw new Misuse("it is not paused")
      // That we accepted, or still offer it and have it in the drop, is said again.
      const said = row.isOutgoing === 1 ? { asked: 0 as Millis, inDrop: false } : { told: 0 as Millis }
      await change(tx, row, { stage: "running", reason: null, wanted: nowMs(), ...said })
    })
  }

  /** End a transfer, ours or theirs, and delete what is here of it. */
  async cancelFile(id: string): Promise<void> {
    this.#working.get(id)?.abort()
    this.#offering.abort(id)
    const { isOutgoing } = await this.#row(id)
    const stages = ["preparing", "offered", "running", "paused", "verifying", "done", "failed"] as const
    await this.#end(id, stages, "cancelled", isOutgoing === 1 ? State.CANCELLED : State.REFUSED)
  }

  /**
   * Try again what failed or waits.
   *
   * @throws Misuse: the files are to be chosen again, or the contact is blocked.
   */
  async retryFile(id: string): Promise<void> {
    this.turn.forget()
    const row = await this.#row(id)
    await contactOf(this.#store, row.contact, "accepted")
    if (row.stage === "running") {
      await this.pauseFile(id)
      await this.resumeFile(id)
      return
    }
    if (row.stage !== "failed" || !isKept(row)) throw new Misuse("nothing that can be tried again: offer it anew")
    if (row.isOutgoing === 0) await this.#run(id, ["failed"])
    else await this.#change(id, (tx, found) => change(tx, found, { stage: "running", reason: null, asked: nowMs() }))
  }

  /**
   * Decrypt what was verified.
   *
   * @throws Misuse: it is not here. HalonyxError `disk-full`, `gone`. RemoteError: the sender's content is damaged.
   */
  async saveFile(id: string): Promise<readonly OfferedFile[]> {
    const row = await this.#readable(id)
    return this.#opening(row, () => this.#saving.save(row))
  }

  /** Let a contact see the address of this machine, or not. */
  allowDirect(contact: number, isAllowed: boolean): Promise<Contact> {
    return new Contacts(this.#store).allowDirect(contact, isAllowed)
  }

  /** Decrypt a picture in memory; null for anything else, for what a page has no room for, or if it is not here. */
  async openImage(id: string): Promise<File | null> {
    const row = await this.#store.get(table.transfers, id)
    if (row === undefined || row.isFolder || !IMAGES.has(row.mediaType) || row.size > MAX_IMAGE) return null
    if (row.stage === "preparing" || (row.isOutgoing === 0 && row.stage !== "done")) return null
    if (!(await this.#folders.has(id))) return null
    const picture = await this.#opening(row, () => openInMemory(this.#folders, row))
    return hasAtMost(MAX_PIXELS, new Uint8Array(await picture.arrayBuffer())) ? picture : null
  }

  /**
   * Return the torrents that should run now; called in the tab that runs them.
   *
   * @throws TransportError: it is not known yet how relays are reached from here.
   */
  async fileJobs(): Promise<readonly Job[]> {
    const wait = (id: string, reason: string): void => {
      this.#note(id, { ...(this.#live.get(id) ?? QUIET), peers: 0, down: 0, up: 0, reason })
    }
    for (const { id } of await this.#store.all(table.transfers, "stage", "verifying")) void this.#verify(id)
    try {
      await this.#prepare()
    } catch (error) {
      for (const { id } of await this.#store.all(table.transfers, "stage", "running")) wait(id, "relay-unreachable")
      throw error
    }
    await this.#fetching.update()
    if (await this.turn.learn().catch(() => false)) this.#onChange({ kind: "status" })
    const isMoving = (id: string): boolean => (this.#live.get(id)?.peers ?? 0) > 0
    return jobsOf(this.#store, this.turn, isMoving, wait)
  }

  async reportFiles(progress: readonly Progress[]): Promise<void> {
    for (const { id, isTrackerReached, ...live } of progress) {
      const { peers, done } = this.#live.get(id) ?? QUIET
      this.#note(id, { ...live, reason: isTrackerReached ? null : "relay-unreachable" })
      if ((peers === 0 && live.peers > 0) || done < live.done) await noteReached(this.#store, id, live)
    }
  }

  async readPiece(id: string, index: number): Promise<Bytes> {
    const { ciphertextSize: size } = await this.#row(id)
    const at = index * PIECE_SIZE
    return this.#folders.read(id, at, Math.min(PIECE_SIZE, size - at))
  }

  async writePiece(id: string, index: number, piece: Bytes): Promise<void> {
    const { ciphertextSize: size, stage } = await this.#row(id)
    if (stage !== "running") throw new HalonyxError("gone", "the transfer has ended")
    writeAll(await this.#folders.access(id, size), piece, index * PIECE_SIZE)
  }

  closePieces(id: string): Promise<void> {
    return this.#folders.close(id)
  }

  /** All of a ciphertext is here: verify it. */
  async fileArrived(id: string): Promise<void> {
    await this.#folders.close(id)
    await this.#change(id, async (tx, row) => {
      if (row.stage === "running") await change(tx, row, { stage: "verifying", reason: null, done: row.ciphertextSize })
    })
    await this.#verify(id)
  }

  async fileFailed(id: string, failure: Failure): Promise<void> {
    if ((await this.#row(id)).stage === "running") await this.#fail(id, failure) // else it was stopped meanwhile
  }

  /** Delete the folders of what has ended, or of no transfer; of ours what the drop has, or has begun to have. */
  async sweep(): Promise<void> {
    for (const id of await this.#folders.ids()) {
      const row = await this.#store.get(table.transfers, id)
      if (row !== undefined && isKept(row)) continue
      this.#live.delete(id)
      if (row !== undefined && row.isOutgoing === 1 && (row.inDrop || row.wantsDrop)) await this.#deleteDrop(row)
      await this.#folders.remove(id)
    }
  }

  async #deleteDrop(row: StoredTransfer): Promise<void> {
    await this.#prepare().catch(() => undefined) // before, no relay can be asked for anything
    await deleteDrop(row)
  }

  async #verify(id: string): Promise<void> {
    if (this.#working.has(id)) return
    const working = new AbortController()
    this.#working.set(id, working)
    try {
      const row = await this.#row(id)
      if (row.stage !== "verifying") return
      const isRight = await isWhole(await this.#folders.file(id), row, (done) => { this.#note(id, { ...QUIET, done }) })
      if (isRight) await this.#finish(id)
      else await this.#fail(id, "wrong-hash")
    } catch (error) {
      // Our own trouble (no room, a store that another tab holds) is no fault of what came: `fileJobs` tries it again.
      const isGone = codeOf(await this.#folders.reasonOf(id, error)) === "gone"
      if (isGone && (await this.#store.get(table.transfers, id))?.stage === "verifying") await this.#fail(id, "gone")
    } finally {
      this.#working.delete(id)
    }
  }

  async #finish(id: string): Promise<void> {
    const row = await this.#change(id, async (tx, found) => {
      if (found.stage !== "verifying") return
      await change(tx, found, { stage: "done", reason: null, hasArrived: true })
      await tell(tx, found, State.DONE)
    })
    if (row.inDrop) await this.#deleteDrop(row)
  }

  /** End a transfer in a failure, of which who offers it is told. */
  async #fail(id: string, code: string): Promise<void> {
    const { isOutgoing } = await this.#change(id, async (tx, row) => {
      if (ENDED.has(row.stage) && row.stage !== "done") return
      await change(tx, row, { stage: "failed", reason: code, done: 0, ...(code === "disk-full" ? {} : { fetched: 0 }) })
      if (row.isOutgoing === 0) await tell(tx, row, State.FAILED, code)
    })
    // What is wrong is fetched anew, if it is; what has no room goes on; what is ours can't be made a second time.
    if (code !== "disk-full" && isOutgoing === 0) await this.#folders.remove(id)
  }

  async #run(id: string, stages: readonly string[]): Promise<void> {
    await this.#change(id, async (tx, row) => {
      if (!stages.includes(row.stage)) throw new Misuse("it is not any more what it was")
      await change(tx, row, { stage: "running", reason: null, told: nowMs(), wanted: nowMs() })
      await tell(tx, row, State.ACCEPTED)
    })
  }

  async #end(id: string, stages: readonly string[], stage: "refused" | "cancelled", state: State): Promise<void> {
    await this.#change(id, async (tx, found) => {
      if (!stages.includes(found.stage)) throw new Misuse("it has ended already")
      if (found.stage === "preparing") await failPreparing(tx, found, "cancelled")
      else if (found.stage !== "done") await tell(tx, found, state)
      await change(tx, found, { stage, reason: null })
    })
    await this.sweep()
  }

  /** Do what opens a ciphertext; if its content is damaged, the transfer has failed after all. */
  async #opening<T>(row: StoredTransfer, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isDamaged(error)) throw await this.#folders.reasonOf(row.id, error)
      if (row.isOutgoing === 0) await this.#fail(row.id, "damaged")
      throw new HalonyxError("damaged", "what is inside is not what was offered")
    }
  }

  async #readable(id: string): Promise<StoredTransfer> {
    const row = await this.#row(id)
    if (row.isOutgoing === 1 || row.stage !== "done") throw new Misuse("it is not here, or not verified")
    return row
  }

  async #row(id: string): Promise<StoredTransfer> {
    const row = await this.#store.get(table.transfers, id)
    if (row === undefined) throw new Misuse("no such transfer")
    return row
  }

  #change(id: string, work: Work): Promise<StoredTransfer> {
    return changeOne(this.#store, id, work)
  }

  /** Take in how a transfer goes, and tell every tab, a few times a second. */
  #note(id: string, live: Live): void {
    const before = this.#live.get(id)
    this.#live.set(id, live)
    const isNews = before?.peers !== live.peers || before.reason !== live.reason || before.path !== live.path
    const told = this.#told.get(id) ?? -Infinity
    if (!isNews && told + TELL_MS > performance.now()) return
    this.#told.set(id, performance.now())
    void this.#tellOf(id).catch((error: unknown) => {
      if (!(error instanceof StoreError)) console.error(error) // this tab is closing
    })
  }

  async #tellOf(id: string): Promise<void> {
    const row = await this.#store.get(table.transfers, id)
    if (row === undefined) return
    const contact = await contactOf(this.#store, row.contact, "accepted", "blocked", "request", "removed")
    this.#onChange({ kind: "transfer", transfer: this.dress(transferOf(row, contact)) })
  }
}
