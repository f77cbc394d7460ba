/** The browser's private file system for tests in Node: folders and files in memory, with as much room as is wanted. */

import type { Access, Directory, Stored } from "../../src/client/folders"

/** A disk of its own. */
export class Disk implements Directory {
  /** Bytes that may lie on it. */
  static room = Infinity
  readonly entries = new Map<string, Disk | DiskFile>()

  getDirectoryHandle(name: string, options: { create?: boolean } = {}): Promise<Directory> {
    return this.#entry(name, options, Disk)
  }

  getFileHandle(name: string, options: { create?: boolean } = {}): Promise<Stored> {
    return this.#entry(name, options, DiskFile)
  }

  removeEntry(name: string): Promise<void> {
    const found = this.entries.get(name)
    if (found === undefined) return refused("NotFoundError")
    if (found.isOpen) return refused("NoModificationAllowedError")
    this.entries.delete(name)
    for (const file of found instanceof Disk ? found.files().values() : [found]) file.isDeleted = true
    return Promise.resolve()
  }

  async *keys(): AsyncGenerator<string> {
    for (const name of [...this.entries.keys()]) yield await Promise.resolve(name)
  }

  get isOpen(): boolean {
    return [...this.entries.values()].some((entry) => entry.isOpen)
  }

  /** Return every file by its path. */
  files(above = ""): Map<string, DiskFile> {
    const found = new Map<string, DiskFile>()
    for (const [name, entry] of this.entries) {
      if (entry instanceof DiskFile) found.set(above + name, entry)
      else for (const [path, file] of entry.files(`${above}${name}/`)) found.set(path, file)
    }
    return found
  }

  #entry<T extends Disk | DiskFile>(name: string, { create }: { create?: boolean }, kind: new () => T): Promise<T> {
    const found = this.entries.get(name) ?? (create === true ? new kind() : undefined)
    if (found === undefined) return refused("NotFoundError")
    if (!(found instanceof kind)) return refused("TypeMismatchError")
    this.entries.set(name, found)
    return Promise.resolve(found)
  }
}

/** One file; open once at most, as in a browser. */
export class DiskFile implements Stored {
  content = new Uint8Array()
  isOpen = false
  isDeleted = false

  getFile(): Promise<File> {
    return Promise.resolve(new Snapshot(this))
  }

  createSyncAccessHandle(): Promise<Access> {
    if (this.isOpen) return refused("NoModificationAllowedError")
    this.isOpen = true
    let isClosed = false
    return Promise.resolve({
      read: (buffer, { at }) => {
        const part = this.content.subarray(at, at + buffer.length)
        buffer.set(part)
        return part.length
      },
      write: (data, { at }) => {
        if (isClosed) throw new DOMException("the handle was closed", "InvalidStateError")
        this.#resize(Math.max(this.content.length, at + data.length))
        this.content.set(data, at)
        return data.length
      },
      truncate: (size) => {
        this.#resize(size)
      },
      getSize: () => this.content.length,
      flush: () => undefined,
      close: () => {
        isClosed = true
        this.isOpen = false
      },
    })
  }

  #resize(size: number): void {
    if (size === this.content.length) return
    if (size > Disk.room) throw new DOMException("no room", "QuotaExceededError")
    const before = this.content
    this.content = new Uint8Array(size)
    this.content.set(before.subarray(0, size))
  }
}

/** What was in a file; it can be read as long as that is there, and says in two ways that it is not. */
class Snapshot extends File {
  readonly #of: DiskFile

  constructor(of: DiskFile) {
    super([of.content], "stored")
    this.#of = of
  }

  override arrayBuffer(): Promise<ArrayBuffer> {
    return this.#of.isDeleted ? refused("NotReadableError") : super.arrayBuffer()
  }

  override slice(from?: number, to?: number): Blob {
    const part = super.slice(from, to)
    part.arrayBuffer = () => (this.#of.isDeleted ? refused("NotFoundError") : Blob.prototype.arrayBuffer.call(part))
    return part
  }
}

function refused(name: string): Promise<never> {
  return Promise.reject(new DOMException("as a browser says it", name))
}
