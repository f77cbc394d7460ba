/**
 * What comes out of a ciphertext: checked as a whole before anything of it is decrypted for the person.
 *
 * Source: spec/files.md, "Receiving".
 */

import { sha256 } from "@noble/hashes/sha2.js"

import { Decryptor, HEADER_SIZE, plaintextSize } from "../core/chunked"
import { Unpacker, type Manifest } from "../core/container"
import { sameBytes } from "../core/encoding"
import { Malformed, RemoteError, StoreError } from "../core/errors"
import { safeName, safePaths } from "../core/file_names"
import { FileOffer } from "../core/file_offer"
import type { Bytes } from "../core/types"
import type { OfferedFile } from "./api"
import { ANOTHER_VERSION } from "./database"
import { openFor, writeAll, type Access, type Folders, type Stored } from "./folders"
import { shareLock, tryLock } from "./locks"
import type { StoredTransfer } from "./transfer_row"

const SAVING_LOCK = "saving"
const SAVED_KEPT_MS = 600_000 // the browser copies what was saved to where the person wants it
const PART_SIZE = 1_048_576
const AT_ONCE = 64 * 1_048_576 // bytes: the browser's own SHA-256 is several times as fast, and takes only a whole

/** Tell whether the whole ciphertext is the one that was offered. */
export async function isWhole(file: File, row: StoredTransfer, tell: (done: number) => void): Promise<boolean> {
  if (file.size !== row.ciphertextSize) return false
  if (file.size <= AT_ONCE) {
    const found = await crypto.subtle.digest("SHA-256", await file.arrayBuffer())
    tell(file.size)
    return sameBytes(new Uint8Array(found), row.hash)
  }
  const hash = sha256.create()
  let done = 0
  for await (const part of partsOf(file)) {
    hash.update(part)
    tell((done += part.length))
  }
  return sameBytes(hash.digest(), row.hash)
}

/** Plaintext on its way out of the browser: it lies here until no tab may still be copying it. */
export class Saving {
  readonly #database: string
  readonly #folders: Folders
  readonly #stopped = new AbortController()

  constructor(database: string, folders: Folders) {
    this.#database = database
    this.#folders = folders
  }

  /** Decrypt as `save` does; what comes out stays for SAVED_KEPT_MS, or until this tab ends. */
  save(row: StoredTransfer): Promise<readonly OfferedFile[]> {
    return new Promise((resolve, reject) => {
      const work = async (): Promise<void> => {
        const saved = save(this.#folders, row, this.#stopped.signal)
        resolve(saved)
        await saved.then(() => this.#copied(), () => undefined)
      }
      shareLock(this.#database, SAVING_LOCK, work).then(() => this.#clearUp(), reject)
    })
  }

  /** Delete all plaintext; while a tab may still be copying some, look again later. */
  async clear(): Promise<void> {
    const isCleared = await tryLock(this.#database, SAVING_LOCK, async (isFree) => {
      if (isFree) await this.#folders.clearSaving()
      return isFree
    })
    if (!isCleared) void this.#copied().then(() => this.#clearUp())
  }

  /** End what is being saved, and let go of what was: whoever starts next, or erases this device, deletes it. */
  stop(): void {
    this.#stopped.abort(new StoreError("this tab ends", ANOTHER_VERSION))
  }

  async #clearUp(): Promise<void> {
    if (!this.#stopped.signal.aborted) await this.clear().catch(console.error)
  }

  /** Wait as long as the browser may be copying. */
  #copied(): Promise<void> {
    const { signal } = this.#stopped
    return new Promise((resolve) => {
      if (signal.aborted) {
        resolve()
        return
      }
      const end = setTimeout(resolve, SAVED_KEPT_MS)
      signal.addEventListener("abort", () => {
        clearTimeout(end)
        resolve()
      })
    })
  }
}

/**
 * Decrypt a verified ciphertext into files of the browser's; all of it, or nothing is returned.
 *
 * @throws RemoteError: what is inside is not what was offered. HalonyxError `disk-full`. What `stopped` was aborted with.
 */
async function save(folders: Folders, row: StoredTransfer, stopped: AbortSignal): Promise<readonly OfferedFile[]> {
  await folders.checkRoom(row.size)
  const folder = await folders.saving()
  const outputs: { stored: Stored; path: string }[] = []
  let open: { index: number; access: Access; at: number } | null = null
  const closeLast = (): void => {
    open?.access.flush()
    open?.access.close()
    open = null
  }
  const goTo = async (index: number): Promise<{ index: number; access: Access; at: number }> => {
    if (open?.index === index) return open
    closeLast()
    const output = outputs[index]
    if (output === undefined) throw new Malformed("content of no file")
    return (open = { index, access: await openFor(output.stored), at: 0 })
  }
  try {
    await unpack(await folders.file(row.id), row, {
      begin: async (manifest) => {
        for (const [index, path] of safePaths(manifest.entries.map((entry) => entry.path)).entries()) {
          outputs.push({ stored: await folder.getFileHandle(String(index), { create: true }), path })
        }
      },
      take: async (index, content) => {
        stopped.throwIfAborted()
        const output = await goTo(index)
        writeAll(output.access, content, output.at)
        output.at += content.length
      },
    })
  } finally {
    closeLast()
  }
  return Promise.all(outputs.map(async ({ stored, path }) => ({ path, file: await stored.getFile() })))
}

/**
 * Decrypt the one file of a verified ciphertext in memory.
 *
 * @throws RemoteError: as `save`.
 */
export async function openInMemory(folders: Folders, row: StoredTransfer): Promise<File> {
  const parts: Bytes[] = []
  const take = (_: number, content: Bytes): Promise<void> => {
    parts.push(content)
    return Promise.resolve()
  }
  await unpack(await folders.file(row.id), row, { begin: () => Promise.resolve(), take })
  return new File(parts, safeName(row.name), { type: row.mediaType })
}

interface Taking {
  readonly begin: (manifest: Manifest) => Promise<void>
  readonly take: (index: number, content: Bytes) => Promise<void>
}

async function unpack(file: File, row: StoredTransfer, taking: Taking): Promise<void> {
  const header = new Uint8Array(await file.slice(0, HEADER_SIZE).arrayBuffer())
  const decryptor = await Decryptor.create(row.key, header)
  const unpacker = new Unpacker(plaintextSize(file.size), (manifest) => {
    FileOffer.checkManifest(row, manifest) // the person agreed to the offer
  })
  let hasBegun = false
  const give = async (plaintext: Bytes): Promise<void> => {
    const pieces = unpacker.update(plaintext)
    if (!hasBegun && unpacker.manifest !== null) {
      hasBegun = true
      await taking.begin(unpacker.manifest)
    }
    for (const [index, content] of pieces) await taking.take(index, content)
  }
  for await (const part of partsOf(file.slice(HEADER_SIZE))) await give(await decryptor.update(part))
  await give(await decryptor.finish())
  unpacker.finish()
}

async function* partsOf(blob: Blob): AsyncGenerator<Bytes> {
  for (let at = 0; at < blob.size; at += PART_SIZE) {
    yield new Uint8Array(await blob.slice(at, at + PART_SIZE).arrayBuffer())
  }
}

/** Tell whether an error means that the sender's content is damaged. */
export function isDamaged(error: unknown): boolean {
  return error instanceof RemoteError
}

