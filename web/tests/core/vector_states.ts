/** Ratchets, sessions and their parties to and from the fields of vectors. */

import { Handshake, Peer } from "../../src/core/handshake"
import { OwnDevice } from "../../src/core/identity"
import { Prekey, PrekeyBundle } from "../../src/core/prekeys"
import { KeyPair, PublicKey, SigningKey } from "../../src/core/primitives"
import { slotOf } from "../../src/core/ratchet"
import type { Chain, Ratchet, SkippedKey } from "../../src/core/ratchet"
import { established, initiated } from "../../src/core/session"
import type { Archived, Session, Sessions } from "../../src/core/session"
import { toHex } from "../../src/core/encoding"
import type { Address, Bytes, DeviceId, SessionId } from "../../src/core/types"
import { readDevice } from "./vector_devices"
import { check } from "./vectors"
import type { Fields, Output } from "./vectors"

/** Private bytes by CryptoKey: a state in a vector shows what a product's state can't. */
const PRIVATES = new WeakMap<CryptoKey, Bytes>()

/** Return a pair whose private bytes `writeState` still knows. */
export async function readPair(fields: Fields, name: string): Promise<KeyPair> {
  const raw = fields.hex(name)
  const pair = await KeyPair.fromPrivate(raw)
  PRIVATES.set(pair.private, raw)
  return pair
}

export async function readPairOrNull(fields: Fields, name: string): Promise<KeyPair | null> {
  return fields.isNull(name) ? null : readPair(fields, name)
}

/** Return a device of the other side. */
export function readPeer(fields: Fields): Peer {
  return new Peer(fields.hex("address") as Address, readDevice(fields))
}

/** Return a device with its private keys. */
export async function readOwn(fields: Fields): Promise<OwnDevice> {
  const identity = await readPair(fields, "identity_private")
  const signing = await SigningKey.fromSeed(fields.hex("signing_seed"))
  const [id, created] = [fields.number("id") as DeviceId, fields.u64("created")]
  const device = { id, created, identityKey: identity.public, signingKey: signing.public }
  return new OwnDevice(fields.hex("address") as Address, device, identity, signing)
}

/** Return a prekey bundle. */
export function readBundle(fields: Fields): PrekeyBundle {
  const [signed, envelope] = [Prekey.parse(fields.hex("signed")), Prekey.parse(fields.hex("envelope"))]
  const [kem, oneTime] = [Prekey.parse(fields.hex("kem")), fields.hexOrNull("one_time")]
  return new PrekeyBundle(signed, envelope, kem, oneTime === null ? null : Prekey.parse(oneTime))
}

/** Return a ratchet. */
export async function readState(fields: Fields): Promise<Ratchet> {
  const theirs = fields.hexOrNull("theirs")
  return {
    sessionId: fields.hex("session_id") as SessionId,
    sendingAd: fields.hex("sending_ad"),
    receivingAd: fields.hex("receiving_ad"),
    rootKey: fields.hex("root_key"),
    ours: await readPair(fields, "ours_private"),
    theirs: theirs === null ? null : new PublicKey(theirs),
    sending: readChain(fields, "sending"),
    receiving: readChain(fields, "receiving"),
    previousLength: fields.number("previous_length"),
    skipped: new Map(fields.allInside("skipped").map(readSkipped)),
  }
}

/** Return the fields of a ratchet whose private key came from a vector. */
export function writeState(state: Ratchet): Output {
  const ours = PRIVATES.get(state.ours.private)
  check(ours !== undefined, "a private key that is in no vector")
  return {
    session_id: state.sessionId,
    sending_ad: state.sendingAd,
    receiving_ad: state.receivingAd,
    root_key: state.rootKey,
    ours_private: ours,
    theirs: state.theirs?.raw,
    sending: state.sending,
    receiving: state.receiving,
    previous_length: state.previousLength,
    skipped: [...state.skipped].map(([slot, kept]) => {
      check(slot === slotOf(kept.ratchetKey, kept.index), "a skipped key in another's place")
      const { ratchetKey, index, messageKey, stored } = kept
      return { ratchet_key: ratchetKey, index, message_key: messageKey, stored }
    }),
  }
}

/** Return one session: initiated while it carries its handshake. */
export async function readSession(fields: Fields): Promise<Session> {
  const [handshake, state] = [fields.hexOrNull("handshake"), await readState(fields.inside("state"))]
  return handshake === null ? established(state) : initiated(state, Handshake.parse(handshake))
}

/** Return all sessions with a device. */
export async function readSessions(fields: Fields): Promise<Sessions> {
  const sending = fields.insideOrNull("sending")
  const archived = fields.allInside("archived").map(async (old): Promise<Archived> => {
    return { session: await readSession(old.inside("session")), since: old.millis("since") }
  })
  return { sending: sending === null ? null : await readSession(sending), archived: await Promise.all(archived) }
}

/** Return which session sends, whether it is answered, and which are archived. */
export function summary(sessions: Sessions): Output {
  return {
    sending: sessions.sending?.ratchet.sessionId,
    is_answered: sessions.sending?.kind === "established",
    archived: sessions.archived.map((old) => toHex(old.session.ratchet.sessionId)),
  }
}

function readChain(fields: Fields, name: string): Chain | null {
  const chain = fields.insideOrNull(name)
  return chain === null ? null : { key: chain.hex("key"), index: chain.number("index") }
}

function readSkipped(fields: Fields): readonly [string, SkippedKey] {
  const [ratchetKey, index] = [fields.hex("ratchet_key"), fields.number("index")]
  const kept = { ratchetKey, index, messageKey: fields.hex("message_key"), stored: fields.millis("stored") }
  return [slotOf(ratchetKey, index), kept]
}
