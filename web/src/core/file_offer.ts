/**
 * What two people say about a file inside the encryption: the offer, and what became of it.
 *
 * Source: spec/files.md, "Offer" and "State".
 */

import { plaintextSize } from "./chunked"
import { ENTRY_SIZE, HEAD_SIZE, MAX_FILES, paddedSize } from "./container"
import type { Manifest } from "./container"
import { Reader, Writer, utf8 } from "./encoding"
import { Malformed, Misuse, UnsupportedVersion } from "./errors"
import { MAX_COMPONENT_SIZE, MAX_PATH_SIZE, checkComponent, sizeOf } from "./file_names"
import { MAX_ORIGIN_SIZE, checkOrigin } from "./origin"
import { HASH_SIZE, KEY_SIZE, MESSAGE_ID_SIZE } from "./types"
import type { Bytes, FileKey, MessageId } from "./types"

export const VERSION = 1
export const INFO_HASH_SIZE = 20 // SHA-1, by BEP 3
export const MAX_MEDIA_TYPE_SIZE = 255
export const MAX_THUMBNAIL_SIZE = 16_384 // so that the envelope stays within 32 KiB
const IS_FOLDER = 0x01
const IN_DROP = 0x02
// RFC 6838 section 4.2, in lower case and without parameters.
const MEDIA_TYPE = /^(?:[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126})?$/
const JPEG = [0xff, 0xd8, 0xff]
const RIFF = [...utf8("RIFF")]
const WEBP = [...utf8("WEBP")]

/** What became of an offer. */
export const State = {
  ACCEPTED: 1,
  REFUSED: 2,
  /** By who offered it. */
  CANCELLED: 3,
  /** Verified and saved. */
  DONE: 4,
  /** "I have no relayed way: allow a direct connection, or use the drop." */
  NEEDS_DIRECT: 5,
  /** From who offered it: the drop holds the ciphertext now. */
  IN_DROP: 6,
  FAILED: 7,
  /** From who offered it, while nothing comes of it: "say again what became of it". */
  STILL_OFFERED: 8,
} as const
export type State = (typeof State)[keyof typeof State]

/** Why a transfer failed at whoever receives it; NONE unless the state is FAILED. */
export const Reason = { NONE: 0, WRONG_HASH: 1, DISK_FULL: 2, DAMAGED: 3 } as const
export type Reason = (typeof Reason)[keyof typeof Reason]

/** Body of a FILE message; layout: spec/files.md, table 2. */
export interface FileOffer {
  /** The files belong into a folder of this name; otherwise there is one file, of this name. */
  readonly isFolder: boolean
  /** The ciphertext lies in the drop of the relay at `origin`. */
  readonly inDrop: boolean
  /** Opens the ciphertext; never used for another. */
  readonly key: FileKey
  /** Bytes of all files together. */
  readonly size: number
  /** Number of files, 1 to 10,000. */
  readonly count: number
  /** What a container of these files encrypts to. */
  readonly ciphertextSize: number
  /** SHA-256; nothing of the file is released before it is verified. */
  readonly ciphertextHash: Bytes
  /** SHA-1 of the torrent's info dictionary. */
  readonly infoHash: Bytes
  /** The relay whose tracker and drop are used, as a record writes origins. */
  readonly origin: string
  /** One component, 1 to 255 bytes; shown and saved as `safeName` has it. */
  readonly name: string
  /** `type/subtype` in lower case, or empty; said by the sender and true of nothing. */
  readonly mediaType: string
  /** JPEG or WebP, at most 16,384 bytes, or empty. */
  readonly thumbnail: Bytes
}

export const FileOffer = {
  /**
   * Return the body.
   *
   * @throws Malformed: a field out of its range, or sizes that contradict each other. Misuse: a field that does not fit.
   */
  encode(offer: FileOffer): Bytes {
    check(offer)
    const flags = (offer.isFolder ? IS_FOLDER : 0) | (offer.inDrop ? IN_DROP : 0)
    const writer = new Writer().u8(VERSION).u8(flags).fixed(offer.key, KEY_SIZE).u64(offer.size).u32(offer.count)
    writer.u64(offer.ciphertextSize).fixed(offer.ciphertextHash, HASH_SIZE).fixed(offer.infoHash, INFO_HASH_SIZE)
    writer.sized(utf8(offer.origin), 2, MAX_ORIGIN_SIZE).sized(utf8(offer.name), 2, MAX_COMPONENT_SIZE)
    writer.sized(utf8(offer.mediaType), 1, MAX_MEDIA_TYPE_SIZE)
    return writer.sized(offer.thumbnail, 2, MAX_THUMBNAIL_SIZE).done()
  },

  /**
   * Read the body.
   *
   * @throws Malformed: not the one encoding of an offer. UnsupportedVersion: another version.
   */
  parse(body: Bytes): FileOffer {
    const reader = new Reader(body)
    const version = reader.u8()
    if (version !== VERSION) throw new UnsupportedVersion(`file offer version ${version}`)
    const flags = reader.flags(IS_FOLDER | IN_DROP)
    const offer: FileOffer = {
      isFolder: (flags & IS_FOLDER) !== 0,
      inDrop: (flags & IN_DROP) !== 0,
      key: reader.take(KEY_SIZE) as FileKey,
      size: Number(reader.u64()),
      count: reader.u32(),
      ciphertextSize: Number(reader.u64()),
      ciphertextHash: reader.take(HASH_SIZE),
      infoHash: reader.take(INFO_HASH_SIZE),
      origin: readText(reader.sized(2, MAX_ORIGIN_SIZE, 1)),
      name: readText(reader.sized(2, MAX_COMPONENT_SIZE, 1)),
      mediaType: readText(reader.sized(1, MAX_MEDIA_TYPE_SIZE)),
      thumbnail: reader.sized(2, MAX_THUMBNAIL_SIZE),
    }
    reader.finish()
    check(offer)
    return offer
  },

  /**
   * Refuse a container that holds something else than was offered.
   *
   * @throws Malformed: another number of files, another size, or a single file of another name.
   */
  checkManifest(offer: Pick<FileOffer, "isFolder" | "count" | "size" | "name">, manifest: Manifest): void {
    if (manifest.entries.length !== offer.count || manifest.contentSize !== offer.size) {
      throw new Malformed("not the files that were offered")
    }
    if (!offer.isFolder && manifest.entries[0]?.path !== offer.name) throw new Malformed("not the name that was offered")
  },
}

/** Body of a FILE_STATE message; layout: spec/files.md, table 3. */
export interface FileState {
  /** Message id of the FILE it is about. */
  readonly offer: MessageId
  readonly state: State
  /** NONE unless the state is FAILED. */
  readonly reason: Reason
}

export const FileState = {
  /**
   * Return message id 16 ‖ state u8 ‖ reason u8.
   *
   * @throws Malformed: a reason without a failure, or the other way round.
   */
  encode(said: FileState): Bytes {
    checkReason(said)
    return new Writer().fixed(said.offer, MESSAGE_ID_SIZE).u8(said.state).u8(said.reason).done()
  },

  /**
   * Read the body.
   *
   * @throws Malformed: not the one encoding of a state, or a state or reason that there is none of.
   */
  parse(body: Bytes): FileState {
    const reader = new Reader(body)
    const offer = reader.take(MESSAGE_ID_SIZE) as MessageId
    const [state, reason] = [reader.u8(), reader.u8()]
    reader.finish()
    if (!isState(state) || !isReason(reason)) throw new Malformed(`state ${state} with reason ${reason}`)
    checkReason({ offer, state, reason })
    return { offer, state, reason }
  },
}

function check(offer: FileOffer): void {
  checkComponent(offer.name)
  checkOrigin(offer.origin)
  if (!MEDIA_TYPE.test(offer.mediaType)) throw new Malformed("no media type")
  if (offer.thumbnail.length > 0 && !isImage(offer.thumbnail)) {
    throw new Malformed("a thumbnail that is neither JPEG nor WebP")
  }
  if (offer.count < 1 || offer.count > (offer.isFolder ? MAX_FILES : 1)) {
    throw new Malformed("a number of files that is none")
  }
  checkSize(offer)
}

/** Refuse a ciphertext that the files of this offer cannot become: padding would carry what nobody checks. */
function checkSize(offer: FileOffer): void {
  const paths = offer.isFolder ? [1, MAX_PATH_SIZE] : [sizeOf(offer.name)]
  const sizes = paths.map((path) => HEAD_SIZE + offer.count * (ENTRY_SIZE + path) + offer.size)
  const padded = plaintextSize(offer.ciphertextSize)
  let isPossible = false
  try {
    const [least = 0, most = least] = sizes.map(paddedSize)
    isPossible = least <= padded && padded <= most && paddedSize(padded) === padded
  } catch (error) {
    if (!(error instanceof Misuse)) throw error
  }
  if (!isPossible) throw new Malformed("a ciphertext of a size that these files do not become")
}

function isImage(data: Bytes): boolean {
  const has = (at: number, magic: readonly number[]): boolean => magic.every((byte, next) => data[at + next] === byte)
  return has(0, JPEG) || (has(0, RIFF) && has(8, WEBP))
}

function checkReason({ state, reason }: FileState): void {
  if ((state === State.FAILED) === (reason === Reason.NONE)) {
    throw new Malformed("a reason goes with a failure, and with nothing else")
  }
}

function isState(number: number): number is State {
  return number >= State.ACCEPTED && number <= State.STILL_OFFERED
}

function isReason(number: number): number is Reason {
  return number <= Reason.DAMAGED
}

function readText(field: Bytes): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(field)
  } catch {
    throw new Malformed("a text that is not UTF-8")
  }
}
