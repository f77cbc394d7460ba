/**
 * Prekeys: made and signed by a device, fetched by those who write to it.
 *
 * Source: spec/handshake.md, "Prekeys"; Signal, PQXDH r3, section 3.2.
 */

import { Reader, Writer } from "./encoding"
import { BadSignature, Malformed } from "./errors"
import type { OwnDevice } from "./identity"
import * as labels from "./labels"
import { KemPublicKey, MLKEM1024_PUBLIC_SIZE, MLKEM768_PUBLIC_SIZE, PublicKey } from "./primitives"
import type { VerifyKey } from "./primitives"
import { DAY, SIGNATURE_SIZE } from "./types"
import type { Bytes, Fingerprint, Millis, PrekeyId } from "./types"

export const VERSION = 1
export const TYPE = 0x02

/** What a prekey is for; also its number at the relay. */
export const PrekeyUse = { SIGNED: 1, ENVELOPE: 2, LAST_RESORT: 3, ONE_TIME: 4, ONE_TIME_KEM: 5 } as const
export type PrekeyUse = (typeof PrekeyUse)[keyof typeof PrekeyUse]

/** All uses, ascending. */
export const PREKEY_USES: readonly PrekeyUse[] = Object.values(PrekeyUse)

export const KEY_SIZES: Readonly<Record<PrekeyUse, number>> = {
  [PrekeyUse.SIGNED]: 32,
  [PrekeyUse.ENVELOPE]: 32 + MLKEM768_PUBLIC_SIZE,
  [PrekeyUse.LAST_RESORT]: MLKEM1024_PUBLIC_SIZE,
  [PrekeyUse.ONE_TIME]: 32,
  [PrekeyUse.ONE_TIME_KEM]: MLKEM1024_PUBLIC_SIZE,
}
const LABELS: Readonly<Record<PrekeyUse, Bytes>> = {
  [PrekeyUse.SIGNED]: labels.SIGNED_PREKEY,
  [PrekeyUse.ENVELOPE]: labels.ENVELOPE_PREKEY,
  [PrekeyUse.LAST_RESORT]: labels.LAST_RESORT_PREKEY,
  [PrekeyUse.ONE_TIME]: labels.ONE_TIME_PREKEY,
  [PrekeyUse.ONE_TIME_KEM]: labels.ONE_TIME_KEM_PREKEY,
}

export const RENEWED_AFTER = 7 * DAY
export const ROTATING_LIFETIME = 30 * DAY
export const ONE_TIME_LIFETIME = 90 * DAY
export const PRIVATE_KEPT_AFTER_EXPIRY = 45 * DAY // 14 days in an outbox and 30 in a mailbox
export const ONE_TIME_COUNT = 100
export const REFILL_BELOW = 20

/** Return how long a prekey of this use may be used after it was made, in milliseconds. */
export function lifetime(use: PrekeyUse): number {
  return use === PrekeyUse.ONE_TIME || use === PrekeyUse.ONE_TIME_KEM ? ONE_TIME_LIFETIME : ROTATING_LIFETIME
}

/** One public prekey with its device's signature. */
export class Prekey {
  readonly use: PrekeyUse
  /** 1 to 2^32-1. */
  readonly id: PrekeyId
  /** Milliseconds; senders refuse it from this time on; any u64, so it is no number. */
  readonly expiry: bigint
  /** 32, 1,216 or 1,568 bytes, by use (KEY_SIZES). */
  readonly key: Bytes
  readonly signature: Bytes

  constructor(use: PrekeyUse, id: PrekeyId, expiry: bigint, key: Bytes, signature: Bytes) {
    this.use = use
    this.id = id
    this.expiry = expiry
    this.key = key
    this.signature = signature
  }

  /** Return the bytes that are sealed and published (Misuse: a key or signature of another size). */
  encode(): Bytes {
    const writer = new Writer().u8(VERSION).u8(TYPE).u8(this.use).u32(this.id).u64(this.expiry)
    return writer.fixed(this.key, KEY_SIZES[this.use]).fixed(this.signature, SIGNATURE_SIZE).done()
  }

  /**
   * Read a prekey; its signature is checked by `verify`.
   *
   * @throws Malformed: not the one encoding of a prekey. UnsupportedVersion: another format version.
   */
  static parse(data: Bytes): Prekey {
    const reader = new Reader(data)
    reader.header(VERSION, TYPE)
    const number = reader.u8()
    const use = PREKEY_USES.find((known) => known === number)
    if (use === undefined) throw new Malformed(`prekey use ${number}`)
    const id = reader.u32() as PrekeyId
    if (id === 0) throw new Malformed("prekey id 0")
    const prekey = new Prekey(use, id, reader.u64(), reader.take(KEY_SIZES[use]), reader.take(SIGNATURE_SIZE))
    reader.finish()
    return prekey
  }

  /**
   * Check that the device of this fingerprint signed this prekey for this use.
   *
   * @throws BadSignature: another device, use, id, expiry or key was signed.
   */
  async verify(signingKey: VerifyKey, fingerprint: Fingerprint): Promise<void> {
    const body = signedBody(fingerprint, this.use, this.id, this.expiry, this.key)
    await signingKey.verify(LABELS[this.use], body, this.signature)
  }
}

/**
 * Sign a public key as this device's prekey.
 *
 * @param key For ENVELOPE the X25519 and the ML-KEM-768 key, one after the other (Misuse: another size).
 */
export async function signPrekey(
  device: OwnDevice,
  use: PrekeyUse,
  id: PrekeyId,
  expiry: bigint,
  key: Bytes,
): Promise<Prekey> {
  const body = signedBody(device.fingerprint, use, id, expiry, key)
  return new Prekey(use, id, expiry, key, await device.signing.sign(LABELS[use], body))
}

/** The two public keys an envelope is sealed to. */
export class EnvelopePrekey {
  readonly id: PrekeyId
  readonly x25519: PublicKey
  readonly mlkem768: KemPublicKey

  constructor(id: PrekeyId, x25519: PublicKey, mlkem768: KemPublicKey) {
    this.id = id
    this.x25519 = x25519
    this.mlkem768 = mlkem768
  }

  /**
   * Split a verified prekey of use ENVELOPE.
   *
   * @throws BadSignature: another use. BadKey: a key that is not canonical.
   */
  static of(prekey: Prekey): EnvelopePrekey {
    if (prekey.use !== PrekeyUse.ENVELOPE) {
      throw new BadSignature("a prekey of another use stands where the envelope prekey belongs")
    }
    const [x25519, mlkem768] = [prekey.key.slice(0, 32), prekey.key.slice(32)]
    return new EnvelopePrekey(prekey.id, new PublicKey(x25519), KemPublicKey.load(mlkem768))
  }
}

/** What one handshake uses: verified and unexpired. */
export class PrekeyBundle {
  readonly signed: Prekey
  readonly envelope: Prekey
  /** One-time KEM prekey, or the last-resort prekey when none is left. */
  readonly kem: Prekey
  /** Null when none is left. */
  readonly oneTime: Prekey | null

  constructor(signed: Prekey, envelope: Prekey, kem: Prekey, oneTime: Prekey | null) {
    this.signed = signed
    this.envelope = envelope
    this.kem = kem
    this.oneTime = oneTime
  }

  /**
   * Check every prekey of the bundle; one failure rejects all.
   *
   * @throws BadSignature: a signature fails, a use is in the wrong place, or a prekey has expired.
   */
  async verify(signingKey: VerifyKey, fingerprint: Fingerprint, now: Millis): Promise<void> {
    const places: readonly (readonly [Prekey | null, readonly PrekeyUse[]])[] = [
      [this.signed, [PrekeyUse.SIGNED]],
      [this.envelope, [PrekeyUse.ENVELOPE]],
      [this.kem, [PrekeyUse.ONE_TIME_KEM, PrekeyUse.LAST_RESORT]],
      [this.oneTime, [PrekeyUse.ONE_TIME]],
    ]
    for (const [prekey, uses] of places) {
      if (prekey === null) continue
      if (!uses.includes(prekey.use)) {
        throw new BadSignature("a prekey of another use stands in this place of the bundle")
      }
      if (prekey.expiry <= BigInt(now)) throw new BadSignature("a prekey of the bundle has expired")
      await prekey.verify(signingKey, fingerprint)
    }
  }
}

function signedBody(fingerprint: Fingerprint, use: PrekeyUse, id: PrekeyId, expiry: bigint, key: Bytes): Bytes {
  const writer = new Writer().fixed(fingerprint, 32).u8(use).u32(id).u64(expiry)
  return writer.fixed(key, KEY_SIZES[use]).done()
}
