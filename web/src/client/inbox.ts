/**
 * Taking in one envelope: one transaction from the seal to the history, and only then an acknowledgement.
 *
 * What can't be read changes nothing but the cursor, so that it can't block the queue; what it means is noted
 * (failures.ts). What a message says is done by applying.ts.
 *
 * Source: spec/delivery.md, "Inbox"; spec/ratchet.md, "Sessions".
 */

import { Content, Kind, Resend, counterOf } from "../core/content"
import { sameBytes, toHex } from "../core/encoding"
import { Envelope, openEnvelope, type Payload } from "../core/envelope"
import {
  Malformed,
  RemoteError,
  Replay,
  StaleDirectory,
  UnknownSession,
  UnsupportedVersion,
  UntrustedIdentity,
} from "../core/errors"
import { Handshake, accept } from "../core/handshake"
import { AccountRecord, checkRecord } from "../core/identity"
import { PrekeyUse } from "../core/prekeys"
import { KeyPair, sha256 } from "../core/primitives"
import { decrypt, startsReceivingChain, type Ratchet } from "../core/ratchet"
import { SessionMessage, adopt, find, receive, type Sessions } from "../core/session"
import { DAY } from "../core/types"
import type { Bytes, Millis } from "../core/types"
import type { Deliver } from "../wire/frames"
import { nowMs, type Account } from "./account"
import { apply, type Incoming } from "./applying"
import { acceptRecord } from "./directory"
import { addNotice } from "./events"
import { Failed, TooManyStrangers, noteFailure, noteTooManyStrangers } from "./failures"
import { MAX_COUNTER, passOver } from "./order"
import { contactByAddress, contactById, deviceRow, insertContact, saveSessions, type ContactRow } from "./people"
import * as prekeys from "./prekeys"
import * as repair from "./repair"
import * as table from "./schema"
import { prefix, type Store, type Transaction } from "./store"

const SEEN_KEPT_DAYS = 76 // by then the private envelope key that could open it is deleted
const REPLAYS_KEPT = 75 * DAY // as long as a last-resort key can be in use
const GAPS_KEPT = 14 * DAY // as long as the sender keeps what to send again
const DRAIN_SUSPECTED = 20
const MAX_STRANGERS = 100

/**
 * Store what an envelope holds, or refuse it; either way it may be acknowledged when this resolves.
 *
 * @returns Null, or the code it was refused with.
 * @throws StoreError: nothing was stored: it must not be acknowledged.
 */
export async function takeIn(store: Store, account: Account, deliver: Deliver): Promise<string | null> {
  const now = nowMs()
  try {
    await store.transaction(async (tx) => {
      if (await isNew(tx, deliver, now)) await take(tx, account, deliver.envelope, now)
    })
  } catch (error) {
    if (!(error instanceof Failed || error instanceof RemoteError)) throw error
    await store.transaction((tx) => noteRefused(tx, deliver, error, now))
    return error instanceof Failed ? error.reason.code : error.code
  }
  return null
}

async function noteRefused(tx: Transaction, deliver: Deliver, error: Failed | RemoteError, now: Millis): Promise<void> {
  if (error instanceof Failed) {
    await isNew(tx, deliver, now)
    await noteFailure(tx, error, now)
    return
  }
  // What nobody is known to have sent leaves no mark: anyone can send any amount of it.
  await moveCursor(tx, deliver)
  if (error instanceof TooManyStrangers) await noteTooManyStrangers(tx, now)
}

/** Delete marks that no envelope can need any more, and private keys long expired. */
export async function forgetOld(store: Store, now: Millis): Promise<void> {
  await store.transaction(async (tx) => {
    await tx.deleteAll(table.seen, "day", IDBKeyRange.upperBound(dayOf(now) - SEEN_KEPT_DAYS))
    for (const row of await tx.all(table.replays, null, null)) {
      if (row.seen <= now - REPLAYS_KEPT) tx.delete(table.replays, row.key)
    }
    for (const row of await tx.all(table.gaps, "shown", prefix(1))) {
      if (row.noticed <= now - GAPS_KEPT) tx.delete(table.gaps, [row.contact, row.device, row.counter])
    }
    for (const row of await tx.all(table.resets, null, null)) {
      if (row.time <= now - DAY) tx.delete(table.resets, row.id)
    }
    await prekeys.deleteExpired(tx, now)
  })
}

function dayOf(now: Millis): number {
  return Math.floor(now / DAY)
}

async function moveCursor(tx: Transaction, deliver: Deliver): Promise<void> {
  const account = await tx.get(table.account, 1)
  if (account !== undefined && account.cursor < deliver.seq) tx.put(table.account, { ...account, cursor: deliver.seq })
}

/**
 * Move the cursor, and tell whether this envelope was not taken in before.
 *
 * By its bytes, not by the relay's id: a relay that repeats old envelopes under new ids must not make sessions look
 * broken.
 */
async function isNew(tx: Transaction, deliver: Deliver, now: Millis): Promise<boolean> {
  await moveCursor(tx, deliver)
  const envelope = toHex(sha256(deliver.envelope))
  if ((await tx.get(table.seen, envelope)) !== undefined) return false
  tx.put(table.seen, { envelope, day: dayOf(now) })
  return true
}

async function take(tx: Transaction, account: Account, envelope: Bytes, now: Millis): Promise<void> {
  const payload = await open(tx, account, envelope)
  const incoming = await identify(tx, payload, now)
  if (incoming === null) return
  try {
    const opened = await openMessage(tx, account, incoming, now)
    const content = read(opened.plaintext)
    let sessions = opened.sessions
    if (opened.accepted !== null) {
      sessions = await adopted(tx, account, incoming, opened.accepted, content, now)
      await repair.askOnNewSession(tx, incoming.row, now)
    }
    await saveSessions(tx, incoming.row, sessions)
    if (typeof content === "bigint") await skip(tx, incoming, content, now)
    else await apply(tx, account, incoming, content, now)
  } catch (error) {
    if (!(error instanceof RemoteError)) throw error
    const { row, message } = incoming
    const { sessionId } = message.message
    const isSessionKnown = find(row.sessions, sessionId, now) !== null
    throw new Failed(error, [row.contact, row.device], { sessionId, isSessionKnown })
  }
}

/** Parse a content; of one whose kind or extension is of a newer program, only its counter. */
function read(plaintext: Bytes): Content | bigint {
  try {
    return Content.parse(plaintext)
  } catch (error) {
    if (!(error instanceof UnsupportedVersion)) throw error
    return counterOf(plaintext)
  }
}

/** Say that a message can't be shown; it is authentic, so its session and its counter go on. */
async function skip(tx: Transaction, incoming: Incoming, counter: bigint, now: Millis): Promise<void> {
  if (incoming.contact.state !== "accepted") {
    throw new UnsupportedVersion("a stranger's program is newer: nothing of it is kept")
  }
  if (counter > BigInt(MAX_COUNTER)) throw new Malformed("a counter out of range")
  await addNotice(tx, "unsupported", incoming.contact.id, now)
  if (counter > 0n) await passOver(tx, incoming.contact.id, incoming.peer.device.id, Number(counter), now)
}

async function open(tx: Transaction, account: Account, data: Bytes): Promise<Payload> {
  const envelope = Envelope.parse(data)
  const keys = await prekeys.envelopeKeys(tx, envelope.prekey)
  return openEnvelope(envelope, keys, [account.address, account.own.fingerprint])
}

/**
 * Find who it says it is from; null for someone blocked. Nothing is proven yet.
 *
 * A stranger's row is made here and vanishes with the transaction if the message does not decrypt.
 */
async function identify(tx: Transaction, payload: Payload, now: Millis): Promise<Incoming | null> {
  let contact = await contactByAddress(tx, payload.sender)
  if (contact?.state === "blocked") return null
  const message = parseMessage(payload, contact)
  const record = payload.record === null ? null : await AccountRecord.parse(payload.record)
  if (record !== null && !sameBytes(record.address, payload.sender)) {
    throw new UntrustedIdentity("the record in the envelope is another account's")
  }
  if (contact === null) {
    if (record === null || message.handshake === null) {
      throw new UnknownSession("a message from someone we do not know, without a record and a handshake")
    }
    contact = await addStranger(tx, record, now)
  } else if (record !== null && (contact.record === null || record.version > contact.record.version)) {
    await acceptRecord(tx, contact, record, now)
    contact = await contactById(tx, contact.id)
  } else if (record !== null && record.version === contact.record?.version) {
    checkSame(contact, record, payload)
  }
  const peer = contact.peer(payload.device)
  if (peer === null) throw new UntrustedIdentity("the sending device is not in the newest record")
  return { contact, peer, row: await deviceRow(tx, contact.id, payload.device), message }
}

/** Refuse a second record of one version: only the account's keys can sign it, so its owner is not to be trusted. */
function checkSame(contact: ContactRow, record: AccountRecord, payload: Payload): void {
  try {
    checkRecord(record, contact.usid, contact.record)
  } catch (error) {
    if (!(error instanceof StaleDirectory)) throw error
    throw new Failed(error, [contact.id, payload.device], { evidence: record.encoded })
  }
}

function parseMessage(payload: Payload, contact: ContactRow | null): SessionMessage {
  try {
    return SessionMessage.parse(payload.message)
  } catch (error) {
    // Said of strangers, it would let anyone fill the screen.
    if (!(error instanceof UnsupportedVersion) || contact === null) throw error
    throw new Failed(error, [contact.id, payload.device])
  }
}

async function addStranger(tx: Transaction, record: AccountRecord, now: Millis): Promise<ContactRow> {
  if ((await tx.count(table.contacts, "state", "request")) >= MAX_STRANGERS) {
    throw new TooManyStrangers("too many strangers wait for a decision")
  }
  const name = `request ${toHex(record.address)}` // longer than a person's name may be, so it is always free
  const contact = await insertContact(tx, {
    name,
    usid: record.usid,
    origin: record.origins[0] ?? "",
    state: "request",
    namedVersion: record.version,
    added: now,
  })
  await acceptRecord(tx, contact, record, now)
  return contactById(tx, contact.id)
}

interface Opened {
  readonly sessions: Sessions
  readonly plaintext: Bytes
  /** The ratchet that is new. */
  readonly accepted: Ratchet | null
}

/** Open the message on its session, or accept the handshake before it. */
async function openMessage(tx: Transaction, account: Account, incoming: Incoming, now: Millis): Promise<Opened> {
  const { message, handshake: hello } = incoming.message
  const { sessions } = incoming.row
  const known = find(sessions, message.sessionId, now)
  if (known !== null) {
    // A fresh pair costs as much as all the rest of a message that starts no chain.
    const fresh = startsReceivingChain(known.ratchet, message) ? await KeyPair.generate() : known.ratchet.ours
    const [after, plaintext] = await receive(sessions, message, fresh, now)
    return { sessions: after, plaintext, accepted: null }
  }
  if (hello === null) throw new UnknownSession("no session of this id")
  if (!Handshake.isOneTime(hello) && (await tx.get(table.replays, replayKey(hello))) !== undefined) {
    throw new Replay("this handshake was accepted before")
  }
  const privates = await prekeys.handshakePrivates(tx, hello)
  const begun = await accept(account.own, incoming.peer, hello, privates)
  const [accepted, plaintext] = await decrypt(begun, message, await KeyPair.generate(), now)
  return { sessions, plaintext, accepted }
}

/** Take in the session they began, and spend the prekeys it was begun with. */
async function adopted(
  tx: Transaction,
  account: Account,
  incoming: Incoming,
  accepted: Ratchet,
  content: Content | bigint,
  now: Millis,
): Promise<Sessions> {
  const hello = incoming.message.handshake
  if (hello !== null) {
    prekeys.deleteUsed(tx, hello)
    if (!Handshake.isOneTime(hello)) tx.put(table.replays, { key: replayKey(hello), seen: now })
    if (incoming.contact.state === "accepted") await noteDrained(tx, incoming.contact.id, hello, now)
  }
  const isResend = typeof content !== "bigint" && content.kind === Kind.RESEND
  const resets = isResend ? Resend.parse(content.body).resets : null
  const fingerprints = [account.own.fingerprint, incoming.peer.fingerprint] as const
  return adopt(incoming.row.sessions, accepted, fingerprints, resets, now)
}

function replayKey(hello: Handshake): string {
  return toHex(Handshake.replayKey(hello))
}

/** Say so when a handshake came without one-time keys although we left plenty. */
async function noteDrained(tx: Transaction, contact: number, hello: Handshake, now: Millis): Promise<void> {
  for (const [use, isMissing] of [
    [PrekeyUse.ONE_TIME, hello.oneTime === null],
    [PrekeyUse.ONE_TIME_KEM, hello.usesLastResort],
  ] as const) {
    const left = await tx.count(table.prekeys, "use", [use, prekeys.AT_RELAY])
    if (isMissing && left > DRAIN_SUSPECTED) {
      await addNotice(tx, "drained", contact, now)
      return
    }
  }
}
