/**
 * Doing what a message says, in the transaction that opened it.
 *
 * Source: spec/delivery.md, "Inbox", "Requests"; spec/envelope.md, "Content".
 */

import { Extension, Kind, Resend, isCounted, parseIds, parseText, type Content } from "../core/content"
import { sameBytes, toHex } from "../core/encoding"
import { Malformed, UnsupportedVersion } from "../core/errors"
import { FileState } from "../core/file_offer"
import type { Peer } from "../core/handshake"
import type { SessionMessage } from "../core/session"
import type { DeviceId, Millis } from "../core/types"
import type { Account } from "./account"
import { noteNamed } from "./directory"
import { addNotice } from "./events"
import { MAX_COUNTER, isFromBefore, isKnown, place, type Text } from "./order"
import * as outbox from "./outbox"
import { contactById, type ContactRow, type DeviceRow } from "./people"
import * as table from "./schema"
import { prefix, type Transaction } from "./store"
import { takeState } from "./transfer_states"

const LATEST = 253_402_300_799_999n // the end of the year 9999: RFC 3339 has four digits for it

/** A message and who it says it is from. */
export interface Incoming {
  readonly contact: ContactRow
  readonly peer: Peer
  readonly row: DeviceRow
  readonly message: SessionMessage
}

/**
 * Do what a content says.
 *
 * @throws Malformed, UnsupportedVersion: it says what no correct program says.
 */
export async function apply(
  tx: Transaction,
  account: Account,
  incoming: Incoming,
  content: Content,
  now: Millis,
): Promise<void> {
  const contact = await contactById(tx, incoming.contact.id)
  const device = incoming.peer.device.id
  check(account, contact, content)
  // Nothing a stranger says is shown, and nothing is done about it.
  if (contact.state === "accepted") {
    await noteNamed(tx, contact, content.senderRecord, now)
    await checkOwnRecord(tx, account, contact, content, now)
  }
  const theirKey = content.extensions.get(Extension.PROFILE_KEY)
  if (theirKey !== undefined) await tx.update(table.contacts, contact.id, { profileKey: theirKey })
  await endBreak(tx, contact.id, device, incoming.message)
  if (isCounted(content.kind)) {
    await applyText(tx, contact, device, content, now)
  } else if (content.kind === Kind.RECEIPT) {
    await outbox.markDelivered(tx, contact.id, device, parseIds(content.body))
  } else if (content.kind === Kind.RESEND) {
    await applyResend(tx, contact, device, Resend.parse(content.body), now)
  } else if (content.kind === Kind.FILE_STATE && contact.state === "accepted") {
    await takeState(tx, contact.id, FileState.parse(content.body))
  } // CONTROL: its extension was all
}

function check(account: Account, contact: ContactRow, content: Content): void {
  if (!sameBytes(content.conversation, contact.conversationWith(account.address))) {
    throw new UnsupportedVersion("a conversation of a kind this program does not know")
  }
  if ((content.counter === 0n) === isCounted(content.kind)) {
    throw new Malformed("texts and offers have a counter, and nothing else has")
  }
  if (content.counter > BigInt(MAX_COUNTER) || content.sent > LATEST) throw new Malformed("a counter or a time out of range")
}

/** A message on the session that seemed broken: it is not. */
async function endBreak(tx: Transaction, contact: number, device: DeviceId, message: SessionMessage): Promise<void> {
  const row = await tx.get(table.devices, [contact, device])
  if (row?.brokenSession && sameBytes(row.brokenSession, message.message.sessionId)) {
    tx.put(table.devices, { ...row, brokenSession: null, isBroken: 0 })
  }
}

async function applyText(
  tx: Transaction,
  contact: ContactRow,
  device: DeviceId,
  content: Content,
  now: Millis,
): Promise<void> {
  const text: Text = {
    contact: contact.id,
    device,
    counter: Number(content.counter),
    messageId: content.messageId,
    ...(content.kind === Kind.FILE ? { text: "", offer: content.body } : { text: parseText(content.body) }),
    sent: Number(content.sent) as Millis,
    received: now,
  }
  const isOld = await isFromBefore(tx, text)
  if (isOld && !(await isKnown(tx, text))) return // dropped as when they were blocked, however often it comes
  if (contact.state !== "accepted" && !(await takeRequest(tx, contact, now))) return
  const messageId = toHex(content.messageId)
  if ((await tx.count(table.receiptsDue, "contact", [contact.id, device, messageId])) === 0) {
    tx.insert(table.receiptsDue, { contact: contact.id, device, messageId })
  }
  if (!isOld) await place(tx, text)
}

/**
 * Tell whether a stranger's text is kept: as many as an honest program sends unanswered.
 *
 * What is dropped here has no receipt, so it comes again once they are accepted.
 */
async function takeRequest(tx: Transaction, contact: ContactRow, now: Millis): Promise<boolean> {
  if (contact.state === "removed") await tx.update(table.contacts, contact.id, { state: "request" })
  const waiting = await tx.count(table.receiptsDue, "contact", prefix(contact.id))
  if (waiting === 0) await addNotice(tx, "request", contact.id, now)
  return waiting < outbox.MAX_REQUESTS
}

async function applyResend(
  tx: Transaction,
  contact: ContactRow,
  device: DeviceId,
  asked: Resend,
  now: Millis,
): Promise<void> {
  if (contact.state !== "accepted") return
  await outbox.repeat(tx, contact.id, device, ["sealed", "accepted"], asked.counters)
  if (asked.resets !== null) await addNotice(tx, "refreshed", contact.id, now)
}

/** Compare what they were served as our record with what we published; older is mail in flight. */
async function checkOwnRecord(
  tx: Transaction,
  account: Account,
  contact: ContactRow,
  content: Content,
  now: Millis,
): Promise<void> {
  const [named, own] = [content.recipientRecord, account.record]
  const isOther = named.version === own.version && !sameBytes(named.hash, own.hash)
  if (named.version <= own.version && !isOther) return
  const row = await tx.get(table.contacts, contact.id)
  if (row === undefined || row.ownVersionNamed === named.version) return // once, not with every message
  tx.put(table.contacts, { ...row, ownVersionNamed: named.version })
  await addNotice(tx, "own-record", contact.id, now, { version: named.version })
}
