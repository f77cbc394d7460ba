/**
 * The sealed envelope: what the relay sees, with nothing of the sender in it.
 *
 * Source: spec/envelope.md.
 */

import { Reader, Writer, concat } from "./encoding"
import { Malformed, UnsupportedVersion } from "./errors"
import { MAX_RECORD_SIZE } from "./identity"
import { kdfEnvelope } from "./kdf"
import { BUCKETS, bucketFor, checkPadding } from "./padding"
import { EnvelopePrekey } from "./prekeys"
import { MLKEM768_CIPHERTEXT_SIZE, PublicKey, TAG_SIZE, aeadOpen, aeadSeal } from "./primitives"
import type { KemKeyPair, KeyPair } from "./primitives"
import { KEY_SIZE } from "./types"
import type { Address, Bytes, DeviceId, Fingerprint, PrekeyId } from "./types"

export const VERSION = 1
export const CLASSICAL = 0x20
export const HYBRID = 0x21
export const PAYLOAD_TYPE = 0x22
export const MAX_MESSAGE = 64 * 1024
const HAS_RECORD = 0x01
const CLASSICAL_HEADER = 2 + 4 + KEY_SIZE
const EMPTY = new Uint8Array()

/** Address and device fingerprint: what an envelope is bound to. */
export type Recipient = readonly [Address, Fingerprint]

/** What an envelope holds. The sender is a hint until the ratchet or handshake tag verifies. */
export interface Payload {
  readonly sender: Address
  readonly device: DeviceId
  /** The sender's whole account record, only on first contact. */
  readonly record: Bytes | null
  /** A SessionMessage, encoded. */
  readonly message: Bytes
}

/** The private halves of one envelope prekey. */
export class EnvelopeKeys {
  readonly id: PrekeyId
  readonly x25519: KeyPair
  readonly mlkem768: KemKeyPair

  constructor(id: PrekeyId, x25519: KeyPair, mlkem768: KemKeyPair) {
    this.id = id
    this.x25519 = x25519
    this.mlkem768 = mlkem768
  }

  /** The two public keys. */
  get public(): EnvelopePrekey {
    return new EnvelopePrekey(this.id, this.x25519.public, this.mlkem768.public)
  }
}

/** A parsed but still sealed envelope; layout: spec/envelope.md, table 1. */
export interface Envelope {
  /** Id of the envelope prekey it is sealed to. */
  readonly prekey: PrekeyId
  readonly ephemeral: PublicKey
  /** 1,088 bytes if hybrid, else null. */
  readonly kemCiphertext: Bytes | null
  readonly header: Bytes
  readonly ciphertext: Bytes
}

export const Envelope = {
  /**
   * Read an envelope of exactly one bucket size.
   *
   * @throws Malformed: another size or an unknown form. UnsupportedVersion: another version.
   * BadKey: the ephemeral key is not canonical.
   */
  parse(data: Bytes): Envelope {
    if (!BUCKETS.includes(data.length)) throw new Malformed(`envelope of ${data.length} bytes is no bucket`)
    const reader = new Reader(data)
    const [version, form] = [reader.u8(), reader.u8()]
    if (version !== VERSION) throw new UnsupportedVersion(`envelope version ${version}`)
    if (form !== CLASSICAL && form !== HYBRID) throw new Malformed(`envelope form ${form}`)
    const headerSize = CLASSICAL_HEADER + (form === HYBRID ? MLKEM768_CIPHERTEXT_SIZE : 0)
    if (data.length < headerSize + TAG_SIZE) {
      throw new Malformed("a hybrid envelope does not fit the smallest bucket")
    }
    return {
      prekey: reader.u32() as PrekeyId,
      ephemeral: new PublicKey(reader.take(KEY_SIZE)),
      kemCiphertext: form === HYBRID ? reader.take(MLKEM768_CIPHERTEXT_SIZE) : null,
      header: data.slice(0, headerSize),
      ciphertext: reader.rest(),
    }
  },
}

/**
 * Seal a payload to a device; returns 1, 2, 4, 8, 16, 32 or 64 KiB.
 *
 * @param prekey Verified and unexpired.
 * @param recipient Address and device fingerprint.
 * @param payload With a record only if `kem` is given.
 * @param ephemeral Fresh; used once.
 * @param kem ML-KEM-768 ciphertext and secret for a hybrid envelope, null for a classical one.
 * @throws Misuse: the payload does not fit 64 KiB. BadKey: the prekey is of low order.
 *
 * Source: spec/envelope.md, "Sealing".
 */
export async function sealEnvelope(
  prekey: EnvelopePrekey,
  recipient: Recipient,
  payload: Payload,
  ephemeral: KeyPair,
  kem: readonly [Bytes, Bytes] | null,
): Promise<Bytes> {
  const [ciphertext, secret] = kem ?? [EMPTY, EMPTY]
  const form = kem === null ? CLASSICAL : HYBRID
  const header = new Writer().u8(VERSION).u8(form).u32(prekey.id).raw(ephemeral.public.raw).raw(ciphertext).done()
  const inside = encodePayload(payload)
  const padded = new Uint8Array(bucketFor(header.length + inside.length + TAG_SIZE) - header.length - TAG_SIZE)
  padded.set(inside)
  const ikm = concat(await ephemeral.exchange(prekey.x25519), secret)
  const [key, nonce] = kdfEnvelope(ikm, contextOf(header, prekey, recipient))
  return concat(header, await aeadSeal(key, nonce, padded, header))
}

/**
 * Open an envelope that names one of our envelope prekeys.
 *
 * @param envelope As parsed.
 * @param keys The private halves of `envelope.prekey`.
 * @param recipient Our address and device fingerprint.
 * @throws AuthenticationFailed: altered, or sealed to another device or key.
 * Malformed: the payload is no valid encoding, or a first contact came without ML-KEM.
 * UnsupportedVersion: a payload of another version.
 * BadKey: the ephemeral key is of low order.
 *
 * Source: spec/envelope.md, "Opening".
 */
export async function openEnvelope(envelope: Envelope, keys: EnvelopeKeys, recipient: Recipient): Promise<Payload> {
  const [exchanged, secret] = await Promise.all([
    keys.x25519.exchange(envelope.ephemeral),
    envelope.kemCiphertext === null ? EMPTY : keys.mlkem768.decapsulate(envelope.kemCiphertext),
  ])
  const [key, nonce] = kdfEnvelope(concat(exchanged, secret), contextOf(envelope.header, keys.public, recipient))
  const payload = parsePayload(await aeadOpen(key, nonce, envelope.ciphertext, envelope.header))
  if (payload.record !== null && envelope.kemCiphertext === null) {
    throw new Malformed("a first contact must come in a hybrid envelope")
  }
  return payload
}

/**
 * Return what is padded and encrypted; exported for its tests.
 *
 * @throws Misuse: a field out of its range.
 */
export function encodePayload(payload: Payload): Bytes {
  const writer = new Writer().u8(VERSION).u8(PAYLOAD_TYPE).u8(payload.record === null ? 0 : HAS_RECORD)
  writer.fixed(payload.sender, 32).u8(payload.device)
  if (payload.record !== null) writer.sized(payload.record, 2, MAX_RECORD_SIZE, 1)
  return writer.sized(payload.message, 4, MAX_MESSAGE, 1).done()
}

/**
 * Read a payload and the zeros behind it; exported for its tests.
 *
 * @throws Malformed, UnsupportedVersion: as `openEnvelope`.
 */
export function parsePayload(data: Bytes): Payload {
  const reader = new Reader(data)
  reader.header(VERSION, PAYLOAD_TYPE)
  const flags = reader.flags(HAS_RECORD)
  const [sender, device] = [reader.take(32) as Address, reader.u8() as DeviceId]
  if (device === 0) throw new Malformed("device id 0")
  const record = flags === 0 ? null : reader.sized(2, MAX_RECORD_SIZE, 1)
  const message = reader.sized(4, MAX_MESSAGE, 1)
  checkPadding(reader.rest())
  return { sender, device, record, message }
}

/** Return form ‖ kid ‖ e ‖ our keys and their ciphertext ‖ address ‖ device fingerprint. */
function contextOf(header: Bytes, prekey: EnvelopePrekey, recipient: Recipient): Bytes {
  const [upToEphemeral, ciphertext] = [header.subarray(1, CLASSICAL_HEADER), header.subarray(CLASSICAL_HEADER)]
  const kem = header[1] === HYBRID ? concat(prekey.mlkem768.raw, ciphertext) : EMPTY
  return concat(upToEphemeral, prekey.x25519.raw, kem, ...recipient)
}
