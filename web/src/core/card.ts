/**
 * The contact card: what one person gives another, as a URI, a link or a QR code.
 *
 * Source: spec/identity.md, "Contact card".
 */

import { Reader, Writer, concat, decodeBase64url, encodeBase64url, sameBytes, utf8 } from "./encoding"
import { Malformed } from "./errors"
import { CARD_CHECKSUM, hashOf } from "./labels"
import { MAX_ORIGIN_SIZE, checkOrigin, readOrigin } from "./origin"
import type { Bytes, Usid } from "./types"

export const VERSION = 1
export const TYPE = 0x31
export const SCHEME = "halonyx:"
export const FRAGMENT = "/#add="
export const CHECKSUM_SIZE = 4
export const MAX_CARD_LENGTH = 800 // characters; the longest origin twice

/** Who to write to and where to find the record. */
export class Card {
  /** A hint; the record names where its owner receives. */
  readonly origin: string
  /** Opens what the relay keeps sealed and leaves first messages. */
  readonly usid: Usid
  /** A relay that serves less is lying. */
  readonly recordVersion: number

  constructor(origin: string, usid: Usid, recordVersion: number) {
    this.origin = origin
    this.usid = usid
    this.recordVersion = recordVersion
  }

  /** Return the card as `halonyx:…`. */
  uri(): string {
    return SCHEME + this.#text()
  }

  /** Return the card as a link to the relay's page; the part behind # never reaches the server. */
  link(): string {
    return this.origin + FRAGMENT + this.#text()
  }

  /**
   * Read a card in either form; white space around it is ignored.
   *
   * @throws Malformed: no card, or one with a typing error. UnsupportedVersion: a card of a newer program.
   */
  static parse(text: string): Card {
    const trimmed = text.trim()
    if (trimmed.length > MAX_CARD_LENGTH) throw new Malformed("too long for a contact card")
    if (trimmed.startsWith(SCHEME)) return parseBody(trimmed.slice(SCHEME.length))
    const at = trimmed.indexOf(FRAGMENT)
    if (at < 0) throw new Malformed("a contact card begins with halonyx: or is a link with #add=")
    const card = parseBody(trimmed.slice(at + FRAGMENT.length))
    if (card.origin !== trimmed.slice(0, at)) {
      throw new Malformed("the link and the card inside it name different relays")
    }
    return card
  }

  #text(): string {
    const body = new Writer().u8(VERSION).u8(TYPE).u32(this.recordVersion).fixed(this.usid, 32)
    const encoded = body.sized(utf8(checkOrigin(this.origin)), 1, MAX_ORIGIN_SIZE).done()
    return encodeBase64url(concat(encoded, checksumOf(encoded)))
  }
}

function parseBody(text: string): Card {
  const data = decodeBase64url(text)
  const encoded = data.slice(0, -CHECKSUM_SIZE)
  if (!sameBytes(data.slice(-CHECKSUM_SIZE), checksumOf(encoded))) {
    throw new Malformed("the contact card is incomplete or has a typing error")
  }
  const reader = new Reader(encoded)
  reader.header(VERSION, TYPE)
  const recordVersion = reader.u32()
  const usid = reader.take(32) as Usid
  const card = new Card(readOrigin(reader), usid, recordVersion)
  reader.finish()
  return card
}

function checksumOf(encoded: Bytes): Bytes {
  return hashOf(CARD_CHECKSUM, encoded).slice(0, CHECKSUM_SIZE)
}
