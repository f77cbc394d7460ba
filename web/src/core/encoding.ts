/**
 * Reader and Writer for exact bytes: big-endian, every length bounded, nothing left over.
 *
 * Source: spec/conventions.md, "Encoding".
 */

import { Malformed, Misuse, UnsupportedVersion } from "./errors"
import type { Bytes } from "./types"

/** Join byte strings. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

/** Write bytes as lowercase hex. */
export function toHex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("")
}

/** Read lowercase or uppercase hex (Misuse if it is none). */
export function fromHex(text: string): Bytes {
  if (!/^([0-9a-fA-F]{2})*$/.test(text)) throw new Misuse("not hexadecimal")
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16))
}

/** Encode text as UTF-8. */
export function utf8(text: string): Bytes {
  return new TextEncoder().encode(text)
}

/** Write bytes as base64 with padding (RFC 4648 section 4). */
export function encodeBase64(data: Uint8Array): string {
  return btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""))
}

/** Write bytes as base64url without padding (RFC 4648 section 5). */
export function encodeBase64url(data: Uint8Array): string {
  return encodeBase64(data).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
}

/** Read base64url in its one way (Malformed: another character, padding, a length or a last character nothing has). */
export function decodeBase64url(text: string): Bytes {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) throw new Malformed("not base64url without padding")
  const data = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0))
  if (encodeBase64url(data) !== text) throw new Malformed("not canonical base64url")
  return data
}

/** Tell whether two byte strings are the same; for public values (secrets: `equal` of primitives). */
export function sameBytes(first: Uint8Array, second: Uint8Array): boolean {
  return first.length === second.length && first.every((byte, at) => byte === second[at])
}

/** Takes fields off the front of `data`; every method throws Malformed when bytes are missing. */
export class Reader {
  readonly #data: Bytes
  #at = 0

  constructor(data: Bytes) {
    this.#data = data
  }

  /** Take exactly `sizeBytes`, as a copy. */
  take(sizeBytes: number): Bytes {
    const end = this.#at + sizeBytes
    if (end > this.#data.length) throw new Malformed(`${end - this.#data.length} bytes missing`)
    const field = this.#data.slice(this.#at, end)
    this.#at = end
    return field
  }

  /** Take a big-endian unsigned integer of 1 to 6 bytes. */
  unsigned(sizeBytes: number): number {
    return this.take(sizeBytes).reduce((value, byte) => value * 256 + byte, 0)
  }

  u8(): number {
    return this.unsigned(1)
  }

  u16(): number {
    return this.unsigned(2)
  }

  u32(): number {
    return this.unsigned(4)
  }

  /** Take eight bytes; a value of 2^53 or more is valid, so it is no number. */
  u64(): bigint {
    return this.take(8).reduce((value, byte) => value * 256n + BigInt(byte), 0n)
  }

  /** Take a length of `lengthBytes`, check it against its bounds, then take that many bytes. */
  sized(lengthBytes: number, maximum: number, minimum = 0): Bytes {
    const size = this.unsigned(lengthBytes)
    if (size < minimum || size > maximum) throw new Malformed(`length ${size} is outside ${minimum} to ${maximum}`)
    return this.take(size)
  }

  /** Take a number of items within its bounds. */
  count(lengthBytes: number, maximum: number, minimum = 0): number {
    const number = this.unsigned(lengthBytes)
    if (number < minimum || number > maximum) throw new Malformed(`count ${number} is outside ${minimum} to ${maximum}`)
    return number
  }

  /**
   * Take the first two bytes of every object.
   *
   * @throws UnsupportedVersion: another version. Malformed: another type, or fewer than two bytes.
   */
  header(version: number, kind: number): void {
    const foundVersion = this.u8()
    const foundKind = this.u8()
    if (foundVersion !== version) throw new UnsupportedVersion(`version ${foundVersion}, expected ${version}`)
    if (foundKind !== kind) throw new Malformed(`type ${foundKind}, expected ${kind}`)
  }

  /** Take one byte of flags, refusing any bit not in `known`. */
  flags(known: number): number {
    const flags = this.u8()
    if ((flags & ~known) !== 0) throw new Malformed(`unknown flag in ${flags}`)
    return flags
  }

  /** Return how many bytes were taken. */
  position(): number {
    return this.#at
  }

  /** Take everything that is left. */
  rest(): Bytes {
    return this.take(this.#data.length - this.#at)
  }

  /** Refuse trailing bytes: one value, one encoding. */
  finish(): void {
    if (this.#at !== this.#data.length) throw new Malformed(`${this.#data.length - this.#at} trailing bytes`)
  }
}

/** Builds what Reader reads; throws Misuse when a value does not fit its field. */
export class Writer {
  readonly #parts: Uint8Array[] = []

  /** Append bytes whose size the specification fixes. */
  fixed(field: Uint8Array, sizeBytes: number): this {
    if (field.length !== sizeBytes) throw new Misuse(`field of ${field.length} bytes, expected ${sizeBytes}`)
    return this.raw(field)
  }

  /** Append a big-endian unsigned integer. */
  unsigned(value: number | bigint, sizeBytes: number): this {
    if (typeof value === "number" && !Number.isSafeInteger(value)) throw new Misuse("value is no exact integer")
    const field = new Uint8Array(sizeBytes)
    let left = BigInt(value)
    for (let at = sizeBytes - 1; at >= 0; at--) {
      field[at] = Number(left & 0xffn)
      left >>= 8n
    }
    if (left !== 0n) throw new Misuse(`value does not fit ${sizeBytes} bytes`)
    return this.raw(field)
  }

  u8(value: number): this {
    return this.unsigned(value, 1)
  }

  u16(value: number): this {
    return this.unsigned(value, 2)
  }

  u32(value: number): this {
    return this.unsigned(value, 4)
  }

  u64(value: number | bigint): this {
    return this.unsigned(value, 8)
  }

  /** Append a length of `lengthBytes` and the bytes. */
  sized(field: Uint8Array, lengthBytes: number, maximum: number, minimum = 0): this {
    if (field.length < minimum || field.length > maximum) {
      throw new Misuse(`field of ${field.length} bytes is outside ${minimum} to ${maximum}`)
    }
    return this.unsigned(field.length, lengthBytes).raw(field)
  }

  /** Append bytes that delimit themselves or end the object. */
  raw(field: Uint8Array): this {
    this.#parts.push(field)
    return this
  }

  /** Return all that was written. */
  done(): Bytes {
    return concat(...this.#parts)
  }
}
