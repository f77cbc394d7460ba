/**
 * The container: what is encrypted when files are sent. A manifest, the files one after another, zeros.
 *
 * Source: spec/files.md, "Container".
 */

import { MAX_PLAINTEXT_SIZE } from "./chunked"
import { Reader, Writer, concat, utf8 } from "./encoding"
import { Malformed, Misuse, UnsupportedVersion } from "./errors"
import { MAX_PATH_SIZE, checkDistinct, checkFolders, checkPath, sizeOf } from "./file_names"
import { checkPadding } from "./padding"
import type { Bytes } from "./types"

export const VERSION = 1
export const MAX_FILES = 10_000
export const MIN_PADDED_SIZE = 256 * 1024
export const HEAD_SIZE = 5 // version and count
export const ENTRY_SIZE = 10 // of a manifest's entry, its path aside
const PADDING_BLOCK_SIZE = 1024 * 1024

/**
 * Return the size to which a container is padded: at least 256 KiB, then Padmé, at most 3.2 % more.
 *
 * @throws Misuse: more than can be encrypted.
 *
 * Source: Nikitin et al., Reducing Metadata Leakage from Encrypted Files and Communication with PURBs, section 4.
 */
export function paddedSize(sizeBytes: number): number {
  const least = Math.max(sizeBytes, MIN_PADDED_SIZE)
  if (!(least <= MAX_PLAINTEXT_SIZE)) throw new Misuse("more bytes than can be encrypted")
  const exponent = least.toString(2).length - 1
  const step = 2 ** (exponent - exponent.toString(2).length)
  const padded = Math.ceil(least / step) * step
  if (padded > MAX_PLAINTEXT_SIZE) throw new Misuse("more bytes than can be encrypted")
  return padded
}

/** Yield the zeros behind the last file, in blocks of at most 1 MiB. */
export function* padding(manifest: Manifest): Generator<Bytes> {
  for (let left = manifest.paddedSize - manifest.unpaddedSize; left > 0; left -= PADDING_BLOCK_SIZE) {
    yield new Uint8Array(Math.min(left, PADDING_BLOCK_SIZE))
  }
}

/** One file: where it belongs below the folder, components apart by `/`, and how many bytes it has. */
export interface FileEntry {
  readonly path: string
  readonly size: number
}

/** What the container holds; layout: spec/files.md, table 1. */
export class Manifest {
  /** 1 to 10,000 files, in the order of their contents. */
  readonly entries: readonly FileEntry[]
  /** Bytes of all files together. */
  readonly contentSize: number
  /** Bytes of the manifest and of all files. */
  readonly unpaddedSize: number
  /** Bytes of the whole container. */
  readonly paddedSize: number

  /**
   * @throws Malformed: no entry or too many, a path that `checkPath` refuses, two paths that a file system could take
   * for one, a file where another path needs a folder, over 10,000 folders, or more bytes than can be encrypted.
   */
  constructor(entries: readonly FileEntry[]) {
    if (entries.length < 1 || entries.length > MAX_FILES) throw new Malformed(`a manifest lists 1 to ${MAX_FILES} files`)
    const paths = entries.map(({ path }) => checkPath(path))
    checkFolders(paths)
    checkDistinct(paths)
    if (!entries.every(({ size }) => Number.isSafeInteger(size) && size >= 0 && size <= MAX_PLAINTEXT_SIZE)) {
      throw new Malformed("a file of a size that can't be encrypted")
    }
    this.entries = entries
    this.contentSize = sum(entries.map(({ size }) => size))
    this.unpaddedSize = HEAD_SIZE + sum(entries.map(({ path }) => ENTRY_SIZE + sizeOf(path))) + this.contentSize
    this.paddedSize = checkedPaddedSize(this.unpaddedSize)
  }

  /** Return the first bytes of the container. */
  encode(): Bytes {
    const writer = new Writer().u8(VERSION).u32(this.entries.length)
    for (const { path, size } of this.entries) writer.sized(utf8(path), 2, MAX_PATH_SIZE).u64(size)
    return writer.done()
  }

  /**
   * Read a manifest that stands alone.
   *
   * @throws Malformed: not the one encoding of a manifest. UnsupportedVersion: another version.
   */
  static parse(data: Bytes): Manifest {
    const reader = new Reader(data)
    const steps = manifestSteps()
    let step = steps.next()
    while (step.done !== true) step = steps.next(reader.take(step.value))
    reader.finish()
    return step.value
  }
}

/** Content of one file: its index in the manifest, and bytes, which are a view of what came in. */
export type Piece = readonly [index: number, content: Bytes]

/** Takes a container as it is decrypted, in constant memory but for the manifest (at most 10 MiB). */
export class Unpacker {
  readonly #size: number
  readonly #check: (manifest: Manifest) => void
  readonly #steps = manifestSteps()
  #step: IteratorResult<number, Manifest> = this.#steps.next()
  #manifest: Manifest | null = null
  #held: Bytes = new Uint8Array()
  #at = 0
  #entry = 0
  #left = 0
  #isOver = false

  /**
   * @param size Bytes of the container, from the size of its ciphertext.
   * @param check Called once with the manifest; throws what it does not like, before any content is given out.
   */
  constructor(size: number, check: (manifest: Manifest) => void) {
    this.#size = size
    this.#check = check
  }

  /** Null until all of the manifest came. */
  get manifest(): Manifest | null {
    return this.#manifest
  }

  /**
   * Return what `plaintext` holds of files, in order; empty files have none.
   *
   * @throws Malformed: no manifest, one that does not fit the size, padding that is not zero, or too many bytes.
   * UnsupportedVersion: another version. Misuse: after a refusal.
   */
  update(plaintext: Bytes): readonly Piece[] {
    if (this.#isOver) throw new Misuse("this container was refused")
    this.#isOver = true // and stays so if anything is thrown below
    this.#at += plaintext.length
    if (this.#at > this.#size) throw new Malformed("a container longer than its size")
    const data = this.#manifest === null ? this.#readManifest(plaintext) : plaintext
    const pieces = this.#manifest === null ? [] : this.#cut(this.#manifest.entries, data)
    this.#isOver = false
    return pieces
  }

  /**
   * Return the manifest once the whole container came.
   *
   * @throws Malformed: bytes are missing. Misuse: after a refusal.
   */
  finish(): Manifest {
    if (this.#isOver) throw new Misuse("this container was refused")
    if (this.#manifest === null || this.#at !== this.#size) {
      throw new Malformed(`${this.#size - this.#at} bytes of the container are missing`)
    }
    return this.#manifest
  }

  /** Read as far as the bytes go; return what lies behind the manifest. */
  #readManifest(plaintext: Bytes): Bytes {
    const data = concat(this.#held, plaintext)
    let at = 0
    while (this.#step.done !== true && at + this.#step.value <= data.length) {
      const end = at + this.#step.value
      this.#step = this.#steps.next(data.slice(at, end))
      at = end
    }
    if (this.#step.done !== true) {
      this.#held = data.slice(at)
      return new Uint8Array()
    }
    const manifest = this.#step.value
    if (manifest.paddedSize !== this.#size) throw new Malformed("a container of another size than its files need")
    this.#check(manifest)
    this.#left = manifest.entries[0]?.size ?? 0
    this.#manifest = manifest
    return data.subarray(at)
  }

  #cut(entries: readonly FileEntry[], data: Bytes): readonly Piece[] {
    const pieces: Piece[] = []
    let at = 0
    while (this.#entry < entries.length) {
      const piece = data.subarray(at, at + this.#left)
      if (piece.length > 0) pieces.push([this.#entry, piece])
      at += piece.length
      this.#left -= piece.length
      if (this.#left > 0) return pieces
      this.#left = entries[++this.#entry]?.size ?? 0
    }
    checkPadding(data.subarray(at))
    return pieces
  }
}

/** Read a manifest field by field: yield how many bytes come next, be sent them, return the manifest. */
function* manifestSteps(): Generator<number, Manifest, Bytes> {
  const version = new Reader(yield 1).u8()
  if (version !== VERSION) throw new UnsupportedVersion(`container version ${version}`)
  const entries: FileEntry[] = []
  for (let left = new Reader(yield 4).count(4, MAX_FILES, 1); left > 0; left--) {
    const length = new Reader(yield 2).count(2, MAX_PATH_SIZE, 1)
    const path = readUtf8(yield length)
    entries.push({ path, size: Number(new Reader(yield 8).u64()) })
  }
  return new Manifest(entries)
}

function readUtf8(field: Bytes): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(field)
  } catch {
    throw new Malformed("a path that is not UTF-8")
  }
}

function checkedPaddedSize(sizeBytes: number): number {
  try {
    return paddedSize(sizeBytes)
  } catch {
    throw new Malformed("more bytes than can be encrypted")
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
