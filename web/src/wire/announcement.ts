/**
 * What the operator of a relay tells everybody there: a signed text.
 *
 * Source: spec/delivery.md, "Announcements".
 */

import { Reader, Writer, utf8 } from "../core/encoding"
import { Malformed, Misuse } from "../core/errors"
import { ANNOUNCEMENT } from "../core/labels"
import type { SigningKey, VerifyKey } from "../core/primitives"
import { DAY, HOUR, SIGNATURE_SIZE } from "../core/types"
import type { Bytes, Millis } from "../core/types"

export const TYPE = 0x40
/** Bytes of UTF-8. */
export const MAX_TEXT = 2000
export const APART = HOUR
export const LIFETIME = 7 * DAY
/** How far a clock may be behind the operator's. */
export const AHEAD = DAY
const VERSION = 1
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

export interface Announcement {
  /** The operator's clock, milliseconds since 1970. */
  readonly time: bigint
  /** 1 to 2,000 bytes of UTF-8, without control characters. */
  readonly text: string
}

/**
 * Return an announcement with its signature, 77 to 2,076 bytes.
 *
 * @throws Misuse: the text is empty, too long, or has a control character in it.
 */
export async function signAnnouncement({ time, text }: Announcement, operator: SigningKey): Promise<Bytes> {
  const encoded = utf8(text)
  if (encoded.length < 1 || encoded.length > MAX_TEXT || CONTROL.test(text)) throw new Misuse("no text to announce")
  const body = new Writer().u8(VERSION).u8(TYPE).u64(time).sized(encoded, 2, MAX_TEXT, 1).done()
  return new Writer().raw(body).raw(await operator.sign(ANNOUNCEMENT, body)).done()
}

/**
 * Read an announcement.
 *
 * @param operator The key that must have signed it.
 * @throws Malformed: another form, or a text that nobody may announce. UnsupportedVersion: a newer form.
 * BadSignature: it is not the operator's.
 */
export async function parseAnnouncement(data: Bytes, operator: VerifyKey): Promise<Announcement> {
  const reader = new Reader(data)
  reader.header(VERSION, TYPE)
  const [time, text] = [reader.u64(), decoded(reader.sized(2, MAX_TEXT, 1))]
  const signature = reader.take(SIGNATURE_SIZE)
  reader.finish()
  await operator.verify(ANNOUNCEMENT, data.slice(0, data.length - SIGNATURE_SIZE), signature)
  return { time, text }
}

/** Tell whether an announcement may come after one of the time `former`: newer, and an hour apart. */
export function mayFollow({ time }: Announcement, former: bigint): boolean {
  return time >= former + BigInt(APART)
}

/** Tell whether an announcement is to be told at all: not over, and not of a day to come. */
export function isCurrent({ time }: Announcement, now: Millis): boolean {
  return BigInt(now) - BigInt(LIFETIME) < time && time <= BigInt(now) + BigInt(AHEAD)
}

function decoded(encoded: Bytes): string {
  let text: string
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(encoded)
  } catch {
    throw new Malformed("an announcement that is not UTF-8")
  }
  if (CONTROL.test(text)) throw new Malformed("an announcement is one line, without control characters")
  return text
}
