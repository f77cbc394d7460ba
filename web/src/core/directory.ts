/**
 * Sealing what the relay keeps for contacts to fetch, so that the relay stores noise.
 *
 * The seal only hides: every contact knows the key. Authenticity rests on the signatures inside.
 *
 * Source: spec/identity.md, "Directory objects".
 */

import { Writer, concat } from "./encoding"
import { Malformed } from "./errors"
import { directoryKey } from "./kdf"
import { NONCE_SIZE, TAG_SIZE, aeadOpen, aeadSeal } from "./primitives"
import type { Address, Bytes, Usid } from "./types"

export const RECORD_USE = 0

/** Where the relay keeps an object: what it sees in clear, and what the seal binds. */
export class Slot {
  readonly address: Address
  /** 0 for the record, else a prekey's use, 1 to 5. */
  readonly use: number
  /** 0 for the record. */
  readonly device: number
  /** 0 for the record. */
  readonly id: number

  constructor(address: Address, use: number, device: number, id: number) {
    this.address = address
    this.use = use
    this.device = device
    this.id = id
  }

  /** Return address ‖ use u8 ‖ device u8 ‖ id u32 (Misuse: a number that does not fit). */
  associatedData(): Bytes {
    return new Writer().fixed(this.address, 32).u8(this.use).u8(this.device).u32(this.id).done()
  }
}

/** Return the slot of an account's record. */
export function recordSlot(address: Address): Slot {
  return new Slot(address, RECORD_USE, 0, 0)
}

/**
 * Seal a record or prekey; 28 bytes longer than its content.
 *
 * @param nonce 12 fresh random bytes (at most 2^32 objects an account; Misuse if another size).
 */
export async function sealObject(usid: Usid, slot: Slot, content: Bytes, nonce: Bytes): Promise<Bytes> {
  return concat(nonce, await aeadSeal(directoryKey(usid), nonce, content, slot.associatedData()))
}

/**
 * Open what the relay served for `slot`.
 *
 * @throws Malformed: shorter than nonce and tag. AuthenticationFailed: another account's, another slot's, or altered.
 */
export async function openObject(usid: Usid, slot: Slot, sealed: Bytes): Promise<Bytes> {
  if (sealed.length < NONCE_SIZE + TAG_SIZE) throw new Malformed(`sealed object of ${sealed.length} bytes`)
  const [nonce, ciphertext] = [sealed.slice(0, NONCE_SIZE), sealed.slice(NONCE_SIZE)]
  return aeadOpen(directoryKey(usid), nonce, ciphertext, slot.associatedData())
}
