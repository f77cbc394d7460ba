/**
 * Making the ciphertext of an offer: read the files once, encrypt, hash and store as it goes, in constant memory.
 *
 * Source: spec/files.md, "Container", "Encryption", "Torrent".
 */

import { sha256 } from "@noble/hashes/sha2.js"

import { Encryptor, SALT_SIZE, ciphertextSize } from "../core/chunked"
import { Manifest, padding } from "../core/container"
import { concat } from "../core/encoding"
import { HalonyxError } from "../core/errors"
import { randomBytes } from "../core/primitives"
import type { Bytes, FileKey } from "../core/types"
import type { OfferedFile } from "./api"
import { asFull, writeAll, type Access, type Folders } from "./folders"
import { PIECE_SIZE, infoDictionary, infoHashOf } from "./torrent_info"

/** What the offer says of the ciphertext. */
export interface Prepared {
  readonly hash: Bytes
  readonly info: Bytes
  readonly infoHash: Bytes
}

/**
 * Encrypt into the folder of a transfer.
 *
 * @param key Fresh for this offer: a second run for the same files needs another one.
 * @param tell Called with how many bytes of ciphertext there are.
 * @throws HalonyxError `disk-full`, `file-changed` (a file is not any more what was chosen); what `signal` was aborted with.
 */
export async function prepare(
  folders: Folders,
  id: string,
  key: FileKey,
  files: readonly OfferedFile[],
  tell: (done: number) => void,
  signal: AbortSignal,
): Promise<Prepared> {
  const manifest = manifestOf(files)
  const size = ciphertextSize(manifest.paddedSize)
  await folders.checkRoom(size)
  const access = await folders.access(id, size)
  try {
    const output = new Output(access)
    const encryptor = await Encryptor.create(key, randomBytes(SALT_SIZE))
    await output.write(encryptor.header)
    for await (const part of containerOf(manifest, files)) {
      signal.throwIfAborted()
      await output.write(await encryptor.update(part))
      tell(output.size)
    }
    await output.write(await encryptor.finish())
    return await output.finish()
  } catch (error) {
    throw asFull(error)
  } finally {
    await folders.close(id)
  }
}

/**
 * Return what is offered.
 *
 * @throws Malformed: paths that may not be sent.
 */
export function manifestOf(files: readonly OfferedFile[]): Manifest {
  return new Manifest(files.map(({ path, file }) => ({ path, size: file.size })))
}

async function* containerOf(manifest: Manifest, files: readonly OfferedFile[]): AsyncGenerator<Bytes> {
  yield manifest.encode()
  for (const { file } of files) yield* contentOf(file)
  yield* padding(manifest)
}

async function* contentOf(file: File): AsyncGenerator<Bytes> {
  let left = file.size
  const reader = file.stream().getReader()
  for (;;) {
    const { value } = await reader.read().catch(() => {
      throw changed()
    })
    if (value === undefined) break
    left -= value.length
    if (left < 0) break
    yield value
  }
  if (left !== 0) throw changed()
}

function changed(): HalonyxError {
  return new HalonyxError("file-changed", "a file was changed or deleted while it was read")
}

/** Takes the ciphertext: stores it and hashes it, whole and by pieces. */
class Output {
  size = 0
  readonly #access: Access
  readonly #whole = sha256.create()
  readonly #hashes: Bytes[] = []
  #piece: Bytes[] = []
  #pieceSize = 0

  constructor(access: Access) {
    this.#access = access
  }

  async write(data: Bytes): Promise<void> {
    writeAll(this.#access, data, this.size)
    this.#whole.update(data)
    this.size += data.length
    for (let at = 0; at < data.length; ) {
      const part = data.subarray(at, at + PIECE_SIZE - this.#pieceSize)
      this.#piece.push(part)
      this.#pieceSize += part.length
      at += part.length
      if (this.#pieceSize === PIECE_SIZE) await this.#endPiece()
    }
  }

  async finish(): Promise<Prepared> {
    if (this.#pieceSize > 0) await this.#endPiece()
    const info = infoDictionary(this.size, this.#hashes)
    return { hash: this.#whole.digest(), info, infoHash: await infoHashOf(info) }
  }

  async #endPiece(): Promise<void> {
    // SHA-1 is what BitTorrent has; whether the file is the right one, the SHA-256 of the whole tells.
    this.#hashes.push(new Uint8Array(await crypto.subtle.digest("SHA-1", concat(...this.#piece))))
    this.#piece = []
    this.#pieceSize = 0
  }
}
