/** What each operation of handshake, ratchet and session, and of the envelope and its content vectors means for our code. */

import { concat, sameBytes } from "../../src/core/encoding"
import { F, Handshake, Peer, accept, initiate, x3dhAccept, x3dhInitiate } from "../../src/core/handshake"
import type { OwnDevice } from "../../src/core/identity"
import { ZERO_SALT, expand, kdfChain, kdfMessage, kdfPqxdh } from "../../src/core/kdf"
import * as labels from "../../src/core/labels"
import { Prekey, PrekeyUse } from "../../src/core/prekeys"
import { KemKeyPair, PublicKey, VerifyKey } from "../../src/core/primitives"
import { HEADER_SIZE, Message, decrypt, dhRatchetStep, encrypt, slotOf } from "../../src/core/ratchet"
import type { Ratchet } from "../../src/core/ratchet"
import { SessionMessage, adopt, receive, seal } from "../../src/core/session"
import type { Bytes, Fingerprint, Millis, SessionId } from "../../src/core/types"
import type { KeyPair } from "../../src/core/primitives"
import { ENVELOPE_RUNS } from "./vector_envelope_runs"
import { readBundle, readOwn, readPair, readPairOrNull, readPeer, readSession, readSessions } from "./vector_states"
import { readState, summary, writeState } from "./vector_states"
import { check, difference, plain } from "./vectors"
import type { Fields, Output, Runner } from "./vectors"

const EMPTY = new Uint8Array()

const signerOf = (given: Fields): readonly [VerifyKey, Fingerprint] => {
  return [new VerifyKey(given.hex("signing_key")), given.hex("device_fingerprint") as Fingerprint]
}

function prekeyParse(given: Fields): Output {
  const data = given.hex("prekey")
  const prekey = Prekey.parse(data)
  check(sameBytes(prekey.encode(), data), "encodes to other bytes")
  return { use: prekey.use, id: prekey.id, expiry: prekey.expiry, key: prekey.key, signature: prekey.signature }
}

async function prekeyVerify(given: Fields): Promise<Output> {
  const signer = signerOf(given)
  await Prekey.parse(given.hex("prekey")).verify(...signer)
  return {}
}

async function bundleVerify(given: Fields): Promise<Output> {
  const signer = signerOf(given)
  await readBundle(given).verify(...signer, given.millis("now"))
  return {}
}

const numbered = (exchanged: readonly Bytes[]): Output => {
  return Object.fromEntries(exchanged.map((secret, at) => [`dh${at + 1}`, secret]))
}

const x3dhValues = (exchanged: readonly Bytes[], [secret, associated]: readonly [Bytes, Bytes]): Output => {
  return { ...numbered(exchanged), ikm: concat(F, ...exchanged), shared_secret: secret, associated_data: associated }
}

async function x3dhInitiates(given: Fields): Promise<Output> {
  const [ours, ephemeral] = [await readPair(given, "identity_private"), await readPair(given, "ephemeral_private")]
  const [theirs, signed] = [new PublicKey(given.hex("identity_key")), new PublicKey(given.hex("signed_prekey"))]
  const raw = given.hexOrNull("one_time_prekey")
  const oneTime = raw === null ? null : new PublicKey(raw)
  const agreed = await x3dhInitiate(ours, ephemeral, theirs, signed, oneTime)
  const exchanged = [await ours.exchange(signed), await ephemeral.exchange(theirs), await ephemeral.exchange(signed)]
  return x3dhValues([...exchanged, oneTime === null ? EMPTY : await ephemeral.exchange(oneTime)], agreed)
}

async function x3dhAccepts(given: Fields): Promise<Output> {
  const [ours, signed] = [await readPair(given, "identity_private"), await readPair(given, "signed_private")]
  const [theirs, ephemeral] = [new PublicKey(given.hex("identity_key")), new PublicKey(given.hex("ephemeral_key"))]
  const oneTime = await readPairOrNull(given, "one_time_private")
  const agreed = await x3dhAccept(ours, signed, oneTime, theirs, ephemeral)
  const exchanged = [await signed.exchange(theirs), await ours.exchange(ephemeral), await signed.exchange(ephemeral)]
  return x3dhValues([...exchanged, (await oneTime?.exchange(ephemeral)) ?? EMPTY], agreed)
}

function handshakeParse(given: Fields): Output {
  const data = given.hex("handshake")
  const handshake = Handshake.parse(data)
  check(sameBytes(Handshake.encode(handshake), data), "encodes to other bytes")
  return {
    ephemeral: handshake.ephemeral.raw,
    signed: handshake.signed,
    one_time: handshake.oneTime ?? 0,
    kem: handshake.kem,
    uses_last_resort: handshake.usesLastResort,
    ciphertext: handshake.ciphertext,
    replay_key: Handshake.replayKey(handshake),
  }
}

function agreement(exchanged: readonly Bytes[], kemSecret: Bytes, transcript: Bytes): Output {
  const ikm = concat(F, ...exchanged, kemSecret)
  const split = kdfPqxdh(ikm, transcript)
  return {
    ...numbered(exchanged),
    kem_secret: kemSecret,
    ikm,
    transcript_hash: transcript,
    okm: expand(ikm, labels.PQXDH_SECRET, 96, transcript, ZERO_SALT),
    root_key: split.rootKey,
    session_id: split.sessionId,
  }
}

const peerOf = (ours: OwnDevice): Peer => new Peer(ours.address, ours.device)

/** Four bytes, big-endian, by hand. */
const u32 = (value: number): Bytes => Uint8Array.from([24, 16, 8, 0], (shift) => (value >>> shift) & 0xff)

/** Return th from the formula; that our code uses the same shows in the root key. */
function transcriptOf(
  parties: readonly [Peer, Peer],
  handshake: Handshake,
  [signed, oneTime, kem]: readonly [PublicKey, PublicKey | null, Bytes],
): Bytes {
  const use = handshake.usesLastResort ? PrekeyUse.LAST_RESORT : PrekeyUse.ONE_TIME_KEM
  return labels.hashOf(
    labels.HANDSHAKE_TRANSCRIPT,
    Uint8Array.of(2),
    ...parties.flatMap((side) => [side.address, Uint8Array.of(side.device.id), side.fingerprint]),
    handshake.ephemeral.raw,
    concat(u32(handshake.signed), signed.raw),
    oneTime === null ? EMPTY : concat(Uint8Array.of(1), u32(handshake.oneTime ?? 0), oneTime.raw),
    concat(Uint8Array.of(use), u32(handshake.kem), kem),
    handshake.ciphertext,
  )
}

async function initiates(given: Fields): Promise<Output> {
  const [ours, theirs] = [await readOwn(given.inside("ours")), readPeer(given.inside("theirs"))]
  const bundle = readBundle(given.inside("bundle"))
  const fresh = [await readPair(given, "ephemeral_private"), await readPair(given, "ratchet_private")] as const
  const kem = [given.hex("kem_ciphertext"), given.hex("kem_secret")] as const
  const [handshake, state] = await initiate(ours, theirs, bundle, fresh, kem)
  const signed = new PublicKey(bundle.signed.key)
  const oneTime = bundle.oneTime === null ? null : new PublicKey(bundle.oneTime.key)
  const exchanged = [
    await ours.identity.exchange(signed),
    await fresh[0].exchange(theirs.device.identityKey),
    await fresh[0].exchange(signed),
    oneTime === null ? EMPTY : await fresh[0].exchange(oneTime),
  ]
  const transcript = transcriptOf([peerOf(ours), theirs], handshake, [signed, oneTime, bundle.kem.key])
  const values = agreement(exchanged, kem[1], transcript)
  return { ...values, handshake: Handshake.encode(handshake), state: writeState(state) }
}

async function accepts(given: Fields): Promise<Output> {
  const [ours, theirs] = [await readOwn(given.inside("ours")), readPeer(given.inside("theirs"))]
  const handshake = Handshake.parse(given.hex("handshake"))
  const [signed, oneTime] = [await readPair(given, "signed_private"), await readPairOrNull(given, "one_time_private")]
  const kem = await KemKeyPair.fromSeed(1024, given.hex("kem_seed"))
  const state = await accept(ours, theirs, handshake, { signed, oneTime, kem })
  const [message, fresh] = [Message.parse(given.hex("message")), await readPair(given, "fresh_private")]
  const [after, plaintext] = await decrypt(state, message, fresh, given.millis("now"))
  const exchanged = [
    await signed.exchange(theirs.device.identityKey),
    await ours.identity.exchange(handshake.ephemeral),
    await signed.exchange(handshake.ephemeral),
    (await oneTime?.exchange(handshake.ephemeral)) ?? EMPTY,
  ]
  const keys = [signed.public, oneTime?.public ?? null, kem.public.raw] as const
  const transcript = transcriptOf([theirs, peerOf(ours)], handshake, keys)
  const values = agreement(exchanged, await kem.decapsulate(handshake.ciphertext), transcript)
  return { ...values, state: writeState(state), plaintext, after: writeState(after) }
}

function messageParse(given: Fields): Output {
  const message = Message.parse(given.hex("message"))
  return {
    session_id: message.sessionId,
    ratchet_key: message.ratchetKey,
    previous_length: message.previousLength,
    index: message.index,
    salt: message.salt,
    ciphertext: message.ciphertext,
  }
}

/** Do a step, and check that the state it starts from is as before, whether or not it throws. */
async function unchanged<T>(state: Ratchet, step: () => Promise<T>): Promise<T> {
  const before = plain(writeState(state))
  try {
    return await step()
  } finally {
    check(difference("state", plain(writeState(state)), before) === null, "the state was changed in place")
  }
}

async function encrypts(given: Fields): Promise<Output> {
  const state = await readState(given.inside("state"))
  const [plaintext, salt] = [given.hex("plaintext"), given.hex("salt")]
  const [after, data] = await unchanged(state, () => encrypt(state, plaintext, salt))
  const [, messageKey] = kdfChain(state.sending?.key ?? EMPTY)
  const [key, nonce] = kdfMessage(messageKey, salt)
  const header = data.slice(0, HEADER_SIZE)
  const associated = concat(state.sendingAd, header)
  const values = { header, message_key: messageKey, key, nonce, associated_data: associated }
  return { ...values, message: data, after: writeState(after) }
}

async function decrypts(given: Fields): Promise<Output> {
  const [state, message] = [await readState(given.inside("state")), Message.parse(given.hex("message"))]
  const [fresh, now] = [await readPair(given, "fresh_private"), given.millis("now")]
  const [after, plaintext] = await unchanged(state, () => decrypt(state, message, fresh, now))
  const messageKey = await messageKeyOf(state, message, fresh)
  const [key, nonce] = kdfMessage(messageKey, message.salt)
  const associated = concat(state.receivingAd, message.header)
  return { message_key: messageKey, key, nonce, associated_data: associated, plaintext, after: writeState(after) }
}

async function messageKeyOf(state: Ratchet, message: Message, fresh: KeyPair): Promise<Bytes> {
  const kept = state.skipped.get(slotOf(message.ratchetKey, message.index))
  if (kept !== undefined) return kept.messageKey
  const theirs = new PublicKey(message.ratchetKey)
  const isCurrent = state.theirs !== null && sameBytes(theirs.raw, state.theirs.raw)
  const chain = (isCurrent ? state : await dhRatchetStep(state, theirs, fresh)).receiving
  check(chain !== null, "no receiving chain")
  let [key, messageKey] = kdfChain(chain.key)
  for (let index = chain.index; index < message.index; index++) [key, messageKey] = kdfChain(key)
  return messageKey
}

async function decryptsInTurn(given: Fields): Promise<Output> {
  let state = await readState(given.inside("state"))
  const messages = given.hexes("messages")
  const [fresh, now] = [await readPair(given, "fresh_private"), given.millis("now")]
  for (const data of messages.slice(0, -1)) state = await opened(state, data, fresh, now)
  ;[state] = await decrypt(state, Message.parse(messages.at(-1) ?? EMPTY), fresh, now)
  const kept = [...state.skipped.values()]
  return {
    next_index: state.receiving?.index,
    chain_key: state.receiving?.key,
    skipped: kept.length,
    oldest_message_key: kept.at(0)?.messageKey,
    newest_message_key: kept.at(-1)?.messageKey,
  }
}

/** Open a message before the last, which must not be the one that is refused. */
async function opened(state: Ratchet, data: Bytes, fresh: KeyPair, now: Millis): Promise<Ratchet> {
  try {
    return (await decrypt(state, Message.parse(data), fresh, now))[0]
  } catch (error) {
    throw new TypeError("refused before the last message", { cause: error })
  }
}

function sessionMessageParse(given: Fields): Output {
  const { handshake, message } = SessionMessage.parse(given.hex("data"))
  const header = handshake === null ? null : Handshake.encode(handshake)
  return { handshake: header, message: concat(message.header, message.ciphertext) }
}

async function sessionSeal(given: Fields): Promise<Output> {
  const session = await readSession(given.inside("session"))
  const [, data] = await seal(session, given.hex("plaintext"), given.hex("salt"))
  return { data }
}

async function sessionReceive(given: Fields): Promise<Output> {
  const [sessions, message] = [await readSessions(given.inside("sessions")), Message.parse(given.hex("message"))]
  const fresh = await readPair(given, "fresh_private")
  const [after, plaintext] = await receive(sessions, message, fresh, given.millis("now"))
  return { plaintext, ...summary(after) }
}

async function sessionAdopt(given: Fields): Promise<Output> {
  const [sessions, accepted] = [await readSessions(given.inside("sessions")), await readState(given.inside("accepted"))]
  const prints = [given.hex("our_fingerprint") as Fingerprint, given.hex("their_fingerprint") as Fingerprint] as const
  const resets = given.hexOrNull("resets") as SessionId | null
  return summary(adopt(sessions, accepted, prints, resets, given.millis("now")))
}

export const SESSION_RUNS: Readonly<Record<string, Runner>> = {
  prekey_parse: prekeyParse,
  prekey_verify: prekeyVerify,
  bundle_verify: bundleVerify,
  x3dh_initiate: x3dhInitiates,
  x3dh_accept: x3dhAccepts,
  handshake_parse: handshakeParse,
  initiate: initiates,
  accept: accepts,
  message_parse: messageParse,
  encrypt: encrypts,
  decrypt: decrypts,
  decrypt_in_turn: decryptsInTurn,
  session_message_parse: sessionMessageParse,
  session_seal: sessionSeal,
  session_receive: sessionReceive,
  session_adopt: sessionAdopt,
  ...ENVELOPE_RUNS,
}
