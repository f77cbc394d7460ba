/**
 * X3DH inside PQXDH: how two devices that never met agree on a root key.
 *
 * Source: spec/handshake.md; Signal, X3DH r1 and PQXDH r3.
 */

import { Reader, Writer, concat } from "./encoding"
import { Malformed, Misuse, UnsupportedVersion } from "./errors"
import { deviceFingerprint } from "./identity"
import type { Device, OwnDevice } from "./identity"
import { ZERO_SALT, expand, kdfPqxdh } from "./kdf"
import * as labels from "./labels"
import { hashOf } from "./labels"
import { PrekeyUse } from "./prekeys"
import type { PrekeyBundle } from "./prekeys"
import { KemPublicKey, MLKEM1024_CIPHERTEXT_SIZE, PublicKey } from "./primitives"
import type { KemKeyPair, KeyPair } from "./primitives"
import * as ratchet from "./ratchet"
import type { Ratchet } from "./ratchet"
import { KEY_SIZE } from "./types"
import type { Address, Bytes, Fingerprint, PrekeyId } from "./types"

export const VERSION = 1
export const TYPE = 0x11
export const SUITE_X3DH = 1
export const SUITE_PQXDH = 2
export const HEADER_SIZE = 4 + KEY_SIZE + 12 + MLKEM1024_CIPHERTEXT_SIZE
/** 32 bytes of 0xFF keep the key input apart from any XEdDSA encoding (X3DH r1, section 2.2). */
export const F: Bytes = new Uint8Array(32).fill(0xff)
const HAS_ONE_TIME = 0x01
const LAST_RESORT = 0x02
const EMPTY = new Uint8Array()

/** Address, device id and device fingerprint: hashed once, named in the transcript and both associated data. */
type Identity = readonly [Bytes, Bytes, Bytes]

/** Signed prekey, one-time prekey if there is one, and KEM prekey: the responder's public keys. */
type TranscriptKeys = readonly [PublicKey, PublicKey | null, Bytes]

/** A device of the other side, as its account's verified record names it. */
export class Peer {
  readonly address: Address
  readonly device: Device

  constructor(address: Address, device: Device) {
    this.address = address
    this.device = device
  }

  /** Hash over the device's keys, 32 bytes. */
  get fingerprint(): Fingerprint {
    return deviceFingerprint(this.address, this.device)
  }
}

/** The public half of an initiator's handshake; layout: spec/handshake.md, table 3. */
export interface Handshake {
  readonly ephemeral: PublicKey
  readonly signed: PrekeyId
  /** Id of the one-time prekey, null when the bundle had none. */
  readonly oneTime: PrekeyId | null
  readonly kem: PrekeyId
  /** The KEM prekey was the last-resort one. */
  readonly usesLastResort: boolean
  /** ML-KEM-1024 ciphertext, 1,568 bytes. */
  readonly ciphertext: Bytes
}

export const Handshake = {
  /** Return the 1,616 bytes that stand before the ratchet message. */
  encode(handshake: Handshake): Bytes {
    const flags = (handshake.oneTime === null ? 0 : HAS_ONE_TIME) | (handshake.usesLastResort ? LAST_RESORT : 0)
    const writer = new Writer().u8(VERSION).u8(TYPE).u8(SUITE_PQXDH).u8(flags).raw(handshake.ephemeral.raw)
    writer.u32(handshake.signed).u32(handshake.oneTime ?? 0).u32(handshake.kem)
    return writer.fixed(handshake.ciphertext, MLKEM1024_CIPHERTEXT_SIZE).done()
  },

  /**
   * Read exactly HEADER_SIZE bytes.
   *
   * @throws Malformed: another size or type, an unknown flag, a zero id, or a one-time id that its flag denies.
   * UnsupportedVersion: another version, or any suite but PQXDH: plain X3DH is for teaching only.
   * BadKey: the ephemeral key is not canonical.
   */
  parse(data: Bytes): Handshake {
    const reader = new Reader(data)
    reader.header(VERSION, TYPE)
    const suite = reader.u8()
    if (suite !== SUITE_PQXDH) throw new UnsupportedVersion(`handshake suite ${suite}`)
    const flags = reader.flags(HAS_ONE_TIME | LAST_RESORT)
    const ephemeral = new PublicKey(reader.take(KEY_SIZE))
    const [signed, oneTime, kem] = [reader.u32(), reader.u32(), reader.u32()]
    const ciphertext = reader.take(MLKEM1024_CIPHERTEXT_SIZE)
    reader.finish()
    if (signed === 0 || kem === 0 || (oneTime !== 0) !== ((flags & HAS_ONE_TIME) !== 0)) {
      throw new Malformed("a prekey id is zero or contradicts its flag")
    }
    return {
      ephemeral,
      signed: signed as PrekeyId,
      oneTime: oneTime === 0 ? null : (oneTime as PrekeyId),
      kem: kem as PrekeyId,
      usesLastResort: (flags & LAST_RESORT) !== 0,
      ciphertext,
    }
  },

  /** Tell whether a one-time key was used, whose deletion makes a second use impossible. */
  isOneTime(handshake: Handshake): boolean {
    return handshake.oneTime !== null || !handshake.usesLastResort
  },

  /** Return 32 bytes to remember when no one-time key was used; seen again means replay. */
  replayKey(handshake: Handshake): Bytes {
    const ids = concat(u32(handshake.signed), u32(handshake.kem))
    return hashOf(labels.HANDSHAKE_REPLAY, ids, handshake.ephemeral.raw, handshake.ciphertext)
  },
}

/** The responder's private halves of the prekeys that a handshake names. */
export interface PrekeyPrivates {
  readonly signed: KeyPair
  readonly oneTime: KeyPair | null
  readonly kem: KemKeyPair
}

/**
 * Agree on a session with a device from its prekey bundle.
 *
 * @param ours This device.
 * @param theirs The device the bundle was fetched for.
 * @param bundle Verified with `PrekeyBundle.verify`.
 * @param fresh The ephemeral pair and our first ratchet pair.
 * @param kem ML-KEM-1024 ciphertext and secret, encapsulated to `bundle.kem`.
 * @throws BadKey: a key of the bundle is non-canonical or of low order.
 *
 * Source: spec/handshake.md, "Initiating"; PQXDH r3, section 3.3.
 */
export async function initiate(
  ours: OwnDevice,
  theirs: Peer,
  bundle: PrekeyBundle,
  fresh: readonly [KeyPair, KeyPair],
  kem: readonly [Bytes, Bytes],
): Promise<readonly [Handshake, Ratchet]> {
  const [ephemeral, ratchetPair] = fresh
  const [ciphertext, secret] = kem
  const handshake: Handshake = {
    ephemeral: ephemeral.public,
    signed: bundle.signed.id,
    oneTime: bundle.oneTime?.id ?? null,
    kem: bundle.kem.id,
    usesLastResort: bundle.kem.use === PrekeyUse.LAST_RESORT,
    ciphertext,
  }
  const signed = new PublicKey(bundle.signed.key)
  const oneTime = bundle.oneTime === null ? null : new PublicKey(bundle.oneTime.key)
  const exchanged = await Promise.all([
    ours.identity.exchange(signed),
    ephemeral.exchange(theirs.device.identityKey),
    ephemeral.exchange(signed),
    oneTime === null ? EMPTY : ephemeral.exchange(oneTime),
  ])
  const [us, them] = [identityOf(new Peer(ours.address, ours.device)), identityOf(theirs)]
  const transcript = transcriptOf(us, them, handshake, [signed, oneTime, bundle.kem.key])
  const secrets = kdfPqxdh(concat(F, ...exchanged, secret), transcript)
  const [sending, receiving] = [associate(us, them), associate(them, us)]
  return [handshake, await ratchet.initiator(secrets, sending, receiving, signed, ratchetPair)]
}

/**
 * Agree on the session that a device began with us. Nothing is proven before its first message decrypts.
 *
 * @param ours This device.
 * @param theirs The device whose verified record the handshake came under.
 * @param handshake As parsed.
 * @param privates The private halves of the prekeys it names.
 * @throws BadKey: a key of theirs is of low order.
 * Misuse: `privates` has a one-time key and the handshake names none, or the other way round.
 *
 * Source: spec/handshake.md, "Accepting"; PQXDH r3, section 3.4.
 */
export async function accept(
  ours: OwnDevice,
  theirs: Peer,
  handshake: Handshake,
  privates: PrekeyPrivates,
): Promise<Ratchet> {
  if ((privates.oneTime === null) !== (handshake.oneTime === null)) {
    throw new Misuse("one-time private key and handshake do not belong together")
  }
  const exchanged = await Promise.all([
    privates.signed.exchange(theirs.device.identityKey),
    ours.identity.exchange(handshake.ephemeral),
    privates.signed.exchange(handshake.ephemeral),
    privates.oneTime?.exchange(handshake.ephemeral) ?? EMPTY,
    privates.kem.decapsulate(handshake.ciphertext),
  ])
  const [us, them] = [identityOf(new Peer(ours.address, ours.device)), identityOf(theirs)]
  const keys = [privates.signed.public, privates.oneTime?.public ?? null, privates.kem.public.raw] as const
  const secrets = kdfPqxdh(concat(F, ...exchanged), transcriptOf(them, us, handshake, keys))
  return ratchet.responder(secrets, associate(us, them), associate(them, us), privates.signed)
}

/**
 * Return a fresh ML-KEM-1024 ciphertext and secret for `initiate`.
 *
 * @throws BadKey: the KEM prekey is not canonical.
 */
export async function encapsulate(bundle: PrekeyBundle): Promise<readonly [Bytes, Bytes]> {
  return KemPublicKey.load(bundle.kem.key).encapsulate()
}

/**
 * Return the 32 bytes that every message of one direction is bound to.
 *
 * Source: spec/ratchet.md, "Associated data".
 */
export function associatedData(sender: Peer, recipient: Peer): Bytes {
  return associate(identityOf(sender), identityOf(recipient))
}

/**
 * Suite 1, plain X3DH by the book, for tests and teaching: shared secret and associated data.
 *
 * @throws BadKey: a key is of low order.
 *
 * Source: spec/handshake.md, "Suite 1"; X3DH r1, section 3.3.
 */
export async function x3dhInitiate(
  ours: KeyPair,
  ephemeral: KeyPair,
  theirs: PublicKey,
  signed: PublicKey,
  oneTime: PublicKey | null,
): Promise<readonly [Bytes, Bytes]> {
  const exchanged = await Promise.all([
    ours.exchange(signed),
    ephemeral.exchange(theirs),
    ephemeral.exchange(signed),
    oneTime === null ? EMPTY : ephemeral.exchange(oneTime),
  ])
  return [x3dhSecret(exchanged), concat(ours.public.raw, theirs.raw)]
}

/**
 * Suite 1 on the responder's side; see `x3dhInitiate`.
 *
 * @throws BadKey: a key is of low order.
 *
 * Source: spec/handshake.md, "Suite 1"; X3DH r1, section 3.4.
 */
export async function x3dhAccept(
  ours: KeyPair,
  signed: KeyPair,
  oneTime: KeyPair | null,
  theirs: PublicKey,
  ephemeral: PublicKey,
): Promise<readonly [Bytes, Bytes]> {
  const exchanged = await Promise.all([
    signed.exchange(theirs),
    ours.exchange(ephemeral),
    signed.exchange(ephemeral),
    oneTime?.exchange(ephemeral) ?? EMPTY,
  ])
  return [x3dhSecret(exchanged), concat(theirs.raw, ours.public.raw)]
}

function x3dhSecret(exchanged: readonly Bytes[]): Bytes {
  return expand(concat(F, ...exchanged), labels.X3DH_SECRET, 32, EMPTY, ZERO_SALT)
}

function u32(value: number): Bytes {
  return new Writer().u32(value).done()
}

function identityOf(peer: Peer): Identity {
  return [peer.address, Uint8Array.of(peer.device.id), peer.fingerprint]
}

function associate(sender: Identity, recipient: Identity): Bytes {
  return hashOf(labels.ASSOCIATED_DATA, Uint8Array.of(SUITE_PQXDH), ...sender, ...recipient)
}

/** Return the hash of all that was agreed on, so that nothing can be swapped or replayed under another name. */
function transcriptOf(initiator: Identity, responder: Identity, handshake: Handshake, keys: TranscriptKeys): Bytes {
  const [signed, oneTime, kem] = keys
  const use = handshake.usesLastResort ? PrekeyUse.LAST_RESORT : PrekeyUse.ONE_TIME_KEM
  return hashOf(
    labels.HANDSHAKE_TRANSCRIPT,
    Uint8Array.of(SUITE_PQXDH),
    ...initiator,
    ...responder,
    handshake.ephemeral.raw,
    concat(u32(handshake.signed), signed.raw),
    oneTime === null ? EMPTY : concat(Uint8Array.of(1), u32(handshake.oneTime ?? 0), oneTime.raw),
    concat(Uint8Array.of(use), u32(handshake.kem), kem),
    handshake.ciphertext,
  )
}
