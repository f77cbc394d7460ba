/**
 * USID, address, devices and the account record that names them.
 *
 * Source: spec/identity.md.
 */

import { Reader, Writer, concat, sameBytes, utf8 } from "./encoding"
import { Malformed, Misuse, StaleDirectory, UntrustedIdentity } from "./errors"
import * as labels from "./labels"
import { hashOf } from "./labels"
import { MAX_ORIGIN_SIZE, checkOrigin, readOrigin } from "./origin"
import {
  MLDSA65_PUBLIC_SIZE,
  MLDSA65_SIGNATURE_SIZE,
  PostQuantumVerifyKey,
  PublicKey,
  VerifyKey,
  sha256,
} from "./primitives"
import type { KeyPair, SigningKey } from "./primitives"
import type { AccountKeys } from "./recovery"
import { SIGNATURE_SIZE } from "./types"
import type { Address, Bytes, DeviceId, Fingerprint, Millis, Usid } from "./types"

export const VERSION = 1
export const TYPE = 0x01
export const MAX_ORIGINS = 3
export const MAX_DEVICES = 8
export const SALT_SIZE = 32
export const MAX_RECORD_SIZE = 6765 // three longest origins, eight devices

/** One device of an account, as its record names it. */
export interface Device {
  readonly id: DeviceId
  /** Milliseconds; any u64, so it is no number. */
  readonly created: bigint
  readonly identityKey: PublicKey
  readonly signingKey: VerifyKey
}

/** This device: its entry in the record and the private keys behind it. */
export class OwnDevice {
  readonly address: Address
  readonly device: Device
  readonly identity: KeyPair
  readonly signing: SigningKey

  constructor(address: Address, device: Device, identity: KeyPair, signing: SigningKey) {
    this.address = address
    this.device = device
    this.identity = identity
    this.signing = signing
  }

  /** Hash over the device's keys, 32 bytes. */
  get fingerprint(): Fingerprint {
    return deviceFingerprint(this.address, this.device)
  }
}

/** What a record says, before its signatures. */
interface RecordFields {
  readonly version: number
  readonly created: bigint
  readonly salt: Bytes
  readonly ed25519: VerifyKey
  readonly mldsa65: PostQuantumVerifyKey
  readonly origins: readonly string[]
  readonly devices: readonly Device[]
}

/** The account's public keys, where it receives, and its devices; signed by both account keys. Made by `parse`. */
export class AccountRecord {
  /** 1 to 2^32-1; max(previous + 1, Unix seconds). */
  readonly version: number
  /** Milliseconds; any u64, so it is no number. */
  readonly created: bigint
  readonly salt: Bytes
  readonly ed25519: VerifyKey
  readonly mldsa65: PostQuantumVerifyKey
  /** 1 to 3 relay origins, each at most 255 ASCII bytes. */
  readonly origins: readonly string[]
  /** 1 to 8, ids ascending. */
  readonly devices: readonly Device[]
  /** The exact bytes that were signed, and signatures. */
  readonly encoded: Bytes

  private constructor(fields: RecordFields, encoded: Bytes) {
    this.version = fields.version
    this.created = fields.created
    this.salt = fields.salt
    this.ed25519 = fields.ed25519
    this.mldsa65 = fields.mldsa65
    this.origins = fields.origins
    this.devices = fields.devices
    this.encoded = encoded
  }

  /** The account's fingerprint: what the safety number shows. */
  get fingerprint(): Fingerprint {
    return accountFingerprint(this.ed25519, this.mldsa65)
  }

  /** The USID that these keys and this salt give. */
  get usid(): Usid {
    return hashOf(labels.USID, this.fingerprint, this.salt) as Usid
  }

  /** What the relay knows the account by. */
  get address(): Address {
    return addressOf(this.usid)
  }

  /** 32 bytes over the whole encoding; named in every message. */
  get hash(): Bytes {
    return hashOf(labels.RECORD_HASH, this.encoded)
  }

  /** Return the device of this id, or undefined. */
  device(id: DeviceId): Device | undefined {
    return this.devices.find((device) => device.id === id)
  }

  /**
   * Read a record and check both signatures over it. Who it belongs to is `usid`.
   *
   * @param data At most MAX_RECORD_SIZE bytes.
   * @throws Malformed: not the one encoding of a record. UnsupportedVersion: another format version. BadKey: a key in
   * it is non-canonical or of low order. BadSignature: one of the two signatures does not verify.
   *
   * Source: spec/identity.md, "Account record".
   */
  static async parse(data: Bytes): Promise<AccountRecord> {
    if (data.length > MAX_RECORD_SIZE) {
      throw new Malformed(`record of ${data.length} bytes, at most ${MAX_RECORD_SIZE}`)
    }
    const reader = new Reader(data)
    const fields = readFields(reader)
    const body = data.slice(0, reader.position())
    const [classical, postQuantum] = [reader.take(SIGNATURE_SIZE), reader.take(MLDSA65_SIGNATURE_SIZE)]
    reader.finish()
    await fields.ed25519.verify(labels.ACCOUNT_RECORD, body, classical)
    await fields.mldsa65.verify(labels.ACCOUNT_RECORD, body, postQuantum)
    return new AccountRecord(fields, data)
  }
}

/** Return the 32-byte fingerprint of an account's keys. */
export function accountFingerprint(ed25519: VerifyKey, mldsa65: PostQuantumVerifyKey): Fingerprint {
  return hashOf(labels.ACCOUNT_FINGERPRINT, ed25519.raw, mldsa65.raw) as Fingerprint
}

/** Return the USID of an account from its own keys. */
export function usidOf(keys: AccountKeys): Usid {
  return hashOf(labels.USID, accountFingerprint(keys.ed25519.public, keys.mldsa65.public), keys.salt) as Usid
}

/** Return SHA-256 of the USID. */
export function addressOf(usid: Usid): Address {
  return sha256(usid) as Address
}

/** Return the 32-byte fingerprint of a device within its account. */
export function deviceFingerprint(address: Address, device: Device): Fingerprint {
  const [id, created] = [new Writer().u8(device.id).done(), new Writer().u64(device.created).done()]
  const { identityKey, signingKey } = device
  return hashOf(labels.DEVICE_FINGERPRINT, address, id, created, identityKey.raw, signingKey.raw) as Fingerprint
}

/**
 * Write and sign a record.
 *
 * @param keys The account's keys, derived for this moment.
 * @param version 1 to 2^32-1; see `nextVersion`.
 * @param created When the record was made, milliseconds.
 * @param origins 1 to 3 relay origins.
 * @param devices 1 to 8, ids ascending.
 * @throws Misuse: a count or size out of its range. Malformed: an origin that is none, or devices out of order.
 */
export async function makeRecord(
  keys: AccountKeys,
  version: number,
  created: bigint,
  origins: readonly string[],
  devices: readonly Device[],
): Promise<AccountRecord> {
  const isInRange = (count: number, maximum: number): boolean => count >= 1 && count <= maximum
  if (!isInRange(origins.length, MAX_ORIGINS) || !isInRange(devices.length, MAX_DEVICES) || version === 0) {
    throw new Misuse("a record has 1 to 3 origins, 1 to 8 devices and a version above 0")
  }
  const writer = new Writer().u8(VERSION).u8(TYPE).u32(version).u64(created).fixed(keys.salt, SALT_SIZE)
  writer.raw(keys.ed25519.public.raw).raw(keys.mldsa65.public.raw).u8(origins.length)
  for (const origin of origins) writer.sized(utf8(checkOrigin(origin)), 1, MAX_ORIGIN_SIZE)
  writer.u8(devices.length)
  for (const device of ascending(devices)) {
    writer.u8(device.id).u8(0).u64(device.created).raw(device.identityKey.raw).raw(device.signingKey.raw)
  }
  const body = writer.done()
  const classical = await keys.ed25519.sign(labels.ACCOUNT_RECORD, body)
  return AccountRecord.parse(concat(body, classical, await keys.mldsa65.sign(labels.ACCOUNT_RECORD, body)))
}

/** Return max(previous + 1, Unix seconds): a device that lost its state still moves forward. */
export function nextVersion(previous: number, now: Millis): number {
  return Math.max(previous + 1, Math.floor(now / 1000))
}

/**
 * Check that a signed record belongs to `usid` and does not go back.
 *
 * @param record Parsed, so its signatures verified.
 * @param usid From the card or from what is already trusted.
 * @param seen The newest record accepted before, if any.
 * @param named The highest version the card or the contact has named; 0 if none.
 * @throws UntrustedIdentity: the keys and salt do not give this USID. StaleDirectory: older than seen or named, or the
 * same version with other bytes.
 *
 * Source: spec/identity.md, "Checking a record".
 */
export function checkRecord(record: AccountRecord, usid: Usid, seen: AccountRecord | null, named = 0): void {
  if (!sameBytes(record.usid, usid)) throw new UntrustedIdentity("the record's keys do not give the expected USID")
  if (record.version < Math.max(named, seen?.version ?? 0)) {
    throw new StaleDirectory(`record version ${record.version} is older than one seen or named before`)
  }
  if (seen !== null && record.version === seen.version && !sameBytes(record.encoded, seen.encoded)) {
    throw new StaleDirectory("two records of one version")
  }
}

/** Take everything before the signatures; properties are evaluated, so read, in this order. */
function readFields(reader: Reader): RecordFields {
  reader.header(VERSION, TYPE)
  const version = reader.u32()
  if (version === 0) throw new Malformed("record version 0")
  return {
    version,
    created: reader.u64(),
    salt: reader.take(SALT_SIZE),
    ed25519: new VerifyKey(reader.take(32)),
    mldsa65: new PostQuantumVerifyKey(reader.take(MLDSA65_PUBLIC_SIZE)),
    origins: Array.from({ length: reader.count(1, MAX_ORIGINS, 1) }, () => readOrigin(reader)),
    devices: ascending(Array.from({ length: reader.count(1, MAX_DEVICES, 1) }, () => readDevice(reader))),
  }
}

function readDevice(reader: Reader): Device {
  const id = reader.u8() as DeviceId
  if (id === 0) throw new Malformed("device id 0")
  reader.flags(0)
  const created = reader.u64()
  return { id, created, identityKey: new PublicKey(reader.take(32)), signingKey: new VerifyKey(reader.take(32)) }
}

function ascending(devices: readonly Device[]): readonly Device[] {
  if (devices.some((device, at) => at > 0 && device.id <= (devices[at - 1]?.id ?? 0))) {
    throw new Malformed("device ids must ascend")
  }
  return devices
}
