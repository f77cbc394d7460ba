/**
 * Ciphertext on the person's disk: a folder for each transfer in the browser's private file system.
 *
 * Nothing else lies there, but what is being saved: that is plaintext, in a folder of its own that is emptied at start.
 *
 * Source: spec/files.md, "At rest".
 */

import { HalonyxError } from "../core/errors"
import type { Bytes } from "../core/types"

const CIPHERTEXT = "ciphertext"
const OPEN_TRIES = 50 // of a file that another tab is about to let go of
const OPEN_PAUSE_MS = 100

/** A folder of the browser's; a part of FileSystemDirectoryHandle. */
export interface Directory {
  getDirectoryHandle(name: string, options?: { create?: boolean }): Promise<Directory>
  getFileHandle(name: string, options?: { create?: boolean }): Promise<Stored>
  removeEntry(name: string, options?: { recursive?: boolean }): Promise<void>
  keys(): AsyncIterable<string>
}

/** A file in it; a part of FileSystemFileHandle. */
export interface Stored {
  getFile(): Promise<File>
  createSyncAccessHandle(): Promise<Access>
}

/** A file that is open; only Workers have it, so the compiler's library of a page has not. */
export interface Access {
  read(buffer: Uint8Array, options: { at: number }): number
  write(data: Uint8Array, options: { at: number }): number
  truncate(size: number): void
  getSize(): number
  flush(): void
  close(): void
}

/** Two folders of one database: what travels, and what is being saved. */
export class Folders {
  readonly #root: () => Promise<Directory>
  readonly #names: readonly [transfers: string, saving: string]
  readonly #open = new Map<string, Promise<Access>>()

  /**
   * @param database Its name, which the names of the folders begin with.
   * @param root Where they are.
   */
  constructor(database: string, root: () => Promise<Directory> = privateRoot) {
    this.#root = root
    this.#names = [`${database}-transfers`, `${database}-saving`]
  }

  /**
   * Tell whether there is room.
   *
   * @throws HalonyxError `disk-full`.
   */
  async checkRoom(sizeBytes: number): Promise<void> {
    const { quota, usage } = await (globalThis.navigator as Partial<Navigator>).storage?.estimate() ?? {}
    if (quota !== undefined && quota - (usage ?? 0) < sizeBytes) throw diskFull()
  }

  /** Return the ids of the transfers that have a folder. */
  async ids(): Promise<readonly string[]> {
    const found: string[] = []
    const folder = await this.#transfers(false)
    try {
      if (folder !== null) for await (const name of folder.keys()) found.push(name)
    } catch (error) {
      if (!isNamed(error, "NotFoundError")) throw error // one was deleted meanwhile: whoever deletes it looks again
    }
    return found
  }

  /**
   * Return the ciphertext as a file.
   *
   * @throws HalonyxError `gone`: there is none.
   */
  async file(id: string): Promise<File> {
    return (await this.#stored(id, false)).getFile().catch((error: unknown) => {
      throw isNamed(error, "NotFoundError") ? gone() : error
    })
  }

  /** Return why a file could not be read to its end: `gone` if it was deleted meanwhile, else the error. */
  async reasonOf(id: string, error: unknown): Promise<unknown> {
    const found = await this.#stored(id, false).catch((reason: unknown) => reason)
    return found instanceof HalonyxError ? found : error
  }

  /** Whether the ciphertext, or the beginning of it, is here. */
  async has(id: string): Promise<boolean> {
    return this.#stored(id, false).then(() => true, () => false)
  }

  /**
   * Open the ciphertext for writing, once for all calls, at its full size.
   *
   * @throws HalonyxError `disk-full`.
   */
  access(id: string, sizeBytes: number): Promise<Access> {
    const known = this.#open.get(id)
    if (known !== undefined) return known
    const opened = this.#opened(id, sizeBytes)
    this.#open.set(id, opened)
    opened.catch(() => this.#open.delete(id))
    return opened
  }

  /**
   * Read a part: of the open file, or of one that is complete.
   *
   * @throws HalonyxError `gone`: there is none, any more.
   */
  async read(id: string, at: number, sizeBytes: number): Promise<Bytes> {
    const open = await this.#open.get(id)
    if (open === undefined) {
      const part = (await this.file(id)).slice(at, at + sizeBytes)
      return new Uint8Array(await part.arrayBuffer().catch(async (error: unknown) => { throw await this.reasonOf(id, error) }))
    }
    const part = new Uint8Array(sizeBytes)
    return part.slice(0, open.read(part, { at }))
  }

  /** Write what is still in memory, of an open file. */
  async flush(id: string): Promise<void> {
    const access = await this.#open.get(id)
    access?.flush()
  }

  /** Write what is still in memory, and let other tabs open it. */
  async close(id: string): Promise<void> {
    const open = this.#open.get(id)
    this.#open.delete(id)
    const access = await open?.catch(() => undefined)
    access?.flush()
    access?.close()
  }

  /** Delete all of a transfer. */
  async remove(id: string): Promise<void> {
    await this.close(id)
    const folder = await this.#transfers(false)
    if (folder !== null) await removed(folder, id)
  }

  /** Begin to save a transfer: an empty folder for its plaintext, as the browser may still copy what was saved before. */
  async saving(): Promise<Directory> {
    const [, name] = this.#names
    const folder = await (await this.#root()).getDirectoryHandle(name, { create: true })
    return folder.getDirectoryHandle(crypto.randomUUID(), { create: true })
  }

  /** Delete all plaintext. */
  async clearSaving(): Promise<void> {
    const [, name] = this.#names
    await removed(await this.#root(), name)
  }

  /** Let other tabs, or whoever erases this device, have every file. */
  async closeAll(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((id) => this.close(id)))
  }

  /** Delete everything, as soon as every tab has let go of it; this device is erased. */
  async erase(): Promise<void> {
    await this.closeAll()
    const root = await this.#root()
    for (const name of this.#names) {
      for (let tries = 1; !(await removed(root, name)) && tries < OPEN_TRIES; tries++) {
        await new Promise((resolve) => setTimeout(resolve, OPEN_PAUSE_MS))
      }
    }
  }

  /** Return the folder of all transfers; null if there is none and none is wanted. */
  async #transfers(create: boolean): Promise<Directory | null> {
    const [name] = this.#names
    const root = await this.#root()
    return root.getDirectoryHandle(name, { create }).catch((error: unknown) => {
      if (isNamed(error, "NotFoundError")) return null
      throw asFull(error)
    })
  }

  async #stored(id: string, create: boolean): Promise<Stored> {
    try {
      const folder = await (await this.#transfers(create))?.getDirectoryHandle(id, { create })
      if (folder !== undefined) return await folder.getFileHandle(CIPHERTEXT, { create })
    } catch (error) {
      if (!isNamed(error, "NotFoundError")) throw asFull(error)
    }
    throw gone()
  }

  async #opened(id: string, sizeBytes: number): Promise<Access> {
    const access = await openFor(await this.#stored(id, true))
    try {
      if (access.getSize() !== sizeBytes) access.truncate(sizeBytes)
      return access
    } catch (error) {
      access.close()
      throw asFull(error)
    }
  }
}

/**
 * Write all of `data`.
 *
 * @throws HalonyxError `disk-full`; `gone`: it was closed meanwhile, as when its transfer is ended.
 */
export function writeAll(access: Access, data: Uint8Array, at: number): void {
  let written = 0
  try {
    written = access.write(data, { at })
  } catch (error) {
    throw isNamed(error, "InvalidStateError") ? gone() : asFull(error)
  }
  if (written !== data.length) throw diskFull() // a private window of Chromium counts wildly when it has no room
}

/** Open a file for writing; one that another tab holds may be free in a moment. */
export async function openFor(stored: Stored): Promise<Access> {
  for (let tries = 1; ; tries++) {
    try {
      return await stored.createSyncAccessHandle()
    } catch (error) {
      if (isNamed(error, "NotFoundError")) throw gone() // its transfer was ended meanwhile
      if (tries === OPEN_TRIES || !isNamed(error, "NoModificationAllowedError")) throw asFull(error)
    }
    await new Promise((resolve) => setTimeout(resolve, OPEN_PAUSE_MS))
  }
}

/** Say of a browser's error what it is for a person: no room, or what it was. */
export function asFull(error: unknown): unknown {
  return isNamed(error, "QuotaExceededError") ? diskFull() : error
}

function gone(): HalonyxError {
  return new HalonyxError("gone", "the ciphertext is not here any more")
}

function diskFull(): HalonyxError {
  return new HalonyxError("disk-full", "the browser has no room for this")
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name
}

/** Delete an entry; false if another tab holds it open, which deletes it itself when it lets go. */
async function removed(folder: Directory, name: string): Promise<boolean> {
  try {
    await folder.removeEntry(name, { recursive: true })
    return true
  } catch (error) {
    if (isNamed(error, "NoModificationAllowedError")) return false
    if (!isNamed(error, "NotFoundError")) throw error
    return true
  }
}

async function privateRoot(): Promise<Directory> {
  return (await navigator.storage.getDirectory()) as unknown as Directory
}
