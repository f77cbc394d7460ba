/**
 * The torrent of a ciphertext: the same name, pieces of one size and nothing else, so that it says nothing but a length.
 *
 * Source: spec/files.md, "Torrent"; BEP 3, "bencoding", "info dictionary".
 */

import { concat, utf8 } from "../core/encoding"
import type { Bytes } from "../core/types"

export const PIECE_SIZE = 1_048_576
export const TORRENT_NAME = "halonyx"

/**
 * Return the info dictionary of a ciphertext; hashes are the SHA-1 of its pieces, in order.
 *
 * It is not private in the sense of BEP 27: libtorrent neither gives nor takes the metadata of such torrents.
 */
export function infoDictionary(sizeBytes: number, hashes: readonly Bytes[]): Bytes {
  const pieces = concat(...hashes)
  const head = `d6:lengthi${sizeBytes}e4:name${TORRENT_NAME.length}:${TORRENT_NAME}12:piece lengthi${PIECE_SIZE}e`
  return concat(utf8(`${head}6:pieces${pieces.length}:`), pieces, utf8("e"))
}

/** Return the info-hash, 20 bytes. */
export async function infoHashOf(info: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-1", info))
}

/** Return a torrent file, which names no tracker. */
export function torrentFile(info: Bytes): Bytes {
  return concat(utf8("d4:info"), info, utf8("e"))
}
