/**
 * Offering files: the line in the conversation first, then the ciphertext, then the message.
 *
 * The files themselves are only in the memory of the tab in which they were chosen; if it ends before they are encrypted,
 * they have to be chosen again.
 *
 * Source: spec/files.md, "Transfers".
 */

import { ciphertextSize } from "../core/chunked"
import { toHex } from "../core/encoding"
import { HalonyxError, Misuse, StaleDirectory } from "../core/errors"
import { MAX_THUMBNAIL_SIZE } from "../core/file_offer"
import { randomBytes } from "../core/primitives"
import { KEY_SIZE, MESSAGE_ID_SIZE } from "../core/types"
import type { Bytes, FileKey, Millis } from "../core/types"
import { loadAccount, nowMs } from "./account"
import type { Entry, OfferedFile } from "./api"
import { contactOf } from "./contacts"
import type { Folders } from "./folders"
import { addMessage } from "./history"
import { tryLock, withLock } from "./locks"
import { manifestOf, prepare } from "./preparing"
import * as table from "./schema"
import type { Store } from "./store"
import { change, changeOne, failPreparing, sendOffer } from "./transfer_states"
import type { Live, StoredTransfer } from "./transfer_row"

const EMPTY: Bytes = new Uint8Array()
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/

/** The offers that this tab makes. */
export class Offering {
  readonly #store: Store
  readonly #folders: Folders
  readonly #note: (id: string, live: Partial<Live>) => void
  readonly #ended: () => Promise<void>
  readonly #working = new Map<string, AbortController>()
  readonly #stopped = new AbortController()

  /**
   * @param note Called with how far an offer is.
   * @param ended Called when one is made, or is not going to be.
   */
  constructor(
    store: Store,
    folders: Folders,
    note: (id: string, live: Partial<Live>) => void,
    ended: () => Promise<void>,
  ) {
    this.#store = store
    this.#folders = folders
    this.#note = note
    this.#ended = ended
  }

  /**
   * Give up what a tab was preparing that is gone.
   *
   * One that is going, as when its page is loaded again, may hold its lock a moment longer: that is waited for.
   */
  async clear(): Promise<void> {
    for (const { id } of await this.#store.all(table.transfers, "stage", "preparing")) {
      const isGone = await tryLock(this.#store.name, lockOf(id), async (isFree) => {
        if (isFree) await this.#giveUp(id)
        return isFree
      })
      if (isGone) continue
      withLock(this.#store.name, lockOf(id), this.#stopped.signal, () => this.#giveUp(id))
        .then(() => this.#ended())
        .catch((error: unknown) => { if (!this.#stopped.signal.aborted) console.error(error) })
    }
  }

  async #giveUp(id: string): Promise<void> {
    await changeOne(this.#store, id, async (tx, row) => {
      if (row.stage === "preparing") await failPreparing(tx, row, "interrupted")
    })
  }

  stop(): void {
    this.#stopped.abort()
    for (const working of this.#working.values()) working.abort()
  }

  /** Stop preparing one. */
  abort(id: string): void {
    this.#working.get(id)?.abort()
  }

  /**
   * Offer files: the line stands in the conversation when this resolves; the rest goes on.
   *
   * @param folder Its name; null for one file.
   * @throws Malformed, Misuse: files, a name or a thumbnail that may not be sent, or a contact who may not be written to.
   * StaleDirectory: sending to them is stopped. HalonyxError `disk-full`.
   */
  async offer(
    contactId: number,
    files: readonly OfferedFile[],
    folder: string | null,
    thumbnail: Bytes | null,
    wantsDrop: boolean,
  ): Promise<Entry> {
    const row = await this.#rowOf(contactId, files, folder, thumbnail, wantsDrop)
    await this.#folders.checkRoom(row.ciphertextSize)
    const entry = await this.#store.transaction(async (tx) => {
      const contact = await contactOf(tx, contactId, "accepted")
      if (contact.frozen !== null) throw new StaleDirectory("a relay served a record that does not fit: nothing is sent")
      tx.put(table.transfers, row)
      return addMessage(tx, {
        contact: contact.id,
        isOutgoing: 1,
        messageId: row.id,
        device: 0,
        counter: 0,
        text: "",
        isOffer: true,
        sent: row.made,
        received: row.made,
        state: "waiting",
      })
    })
    void tryLock(this.#store.name, lockOf(row.id), () => this.#prepare(row, files)).catch(console.error)
    return entry
  }

  async #rowOf(
    contact: number,
    files: readonly OfferedFile[],
    folder: string | null,
    thumbnail: Bytes | null,
    wantsDrop: boolean,
  ): Promise<StoredTransfer> {
    const [first] = files
    if (first === undefined || (folder === null && files.length > 1)) throw new Misuse("one file, or a folder of files")
    if (thumbnail !== null && thumbnail.length > MAX_THUMBNAIL_SIZE) throw new Misuse("a thumbnail that is too large")
    const manifest = manifestOf(files)
    const { origin } = await loadAccount(this.#store)
    return {
      id: toHex(randomBytes(MESSAGE_ID_SIZE)),
      contact,
      isOutgoing: 1,
      stage: "preparing",
      reason: null,
      name: folder ?? first.path,
      mediaType: folder === null ? mediaTypeOf(first.file) : "",
      isFolder: folder !== null,
      count: files.length,
      size: manifest.contentSize,
      thumbnail,
      key: randomBytes(KEY_SIZE) as FileKey,
      ciphertextSize: ciphertextSize(manifest.paddedSize),
      hash: EMPTY,
      infoHash: EMPTY,
      info: null,
      origin,
      done: 0,
      uploaded: 0,
      wantsDrop,
      inDrop: false,
      isDirectAsked: false,
      made: nowMs(),
      told: 0 as Millis,
    }
  }

  async #prepare({ id, key }: StoredTransfer, files: readonly OfferedFile[]): Promise<void> {
    const working = new AbortController()
    this.#working.set(id, working)
    const tell = (done: number): void => {
      this.#note(id, { done })
    }
    try {
      const prepared = await prepare(this.#folders, id, key, files, tell, working.signal)
      await changeOne(this.#store, id, async (tx, row) => {
        if (row.stage !== "preparing") return
        const ready: StoredTransfer = { ...row, ...prepared, stage: "offered" }
        await change(tx, row, ready)
        await sendOffer(tx, ready)
      })
    } catch (error) {
      if (working.signal.aborted) return // by whoever ended it
      const found = codeOf(error)
      const code = found === "disk-full" ? "no-room" : found // here, not theirs; and nothing is left to try again
      await changeOne(this.#store, id, async (tx, row) => {
        if (row.stage === "preparing") await failPreparing(tx, row, code)
      })
    } finally {
      this.#working.delete(id)
      await this.#ended()
    }
  }
}

/** Return the code of an error; a fault of ours goes to the console. */
export function codeOf(error: unknown): string {
  if (error instanceof HalonyxError) return error.code
  console.error(error)
  return "internal"
}

function lockOf(id: string): string {
  return `preparing-${id}`
}

function mediaTypeOf(file: File): string {
  const [type = ""] = file.type.toLowerCase().split(";")
  return MEDIA_TYPE.test(type) ? type : ""
}
