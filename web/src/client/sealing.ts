/**
 * Sealing outbox rows for the devices of a contact: session, counter and envelope in one transaction.
 *
 * Source: spec/delivery.md, "Outbox"; spec/envelope.md, "Content".
 */

import { Content, Extension, isCounted, type Kind } from "../core/content"
import { fromHex, toHex } from "../core/encoding"
import { sealEnvelope, type Payload } from "../core/envelope"
import { Peer } from "../core/handshake"
import { EnvelopePrekey } from "../core/prekeys"
import { KeyPair, randomBytes } from "../core/primitives"
import { SALT_SIZE } from "../core/ratchet"
import { replaceSending, seal, type Session } from "../core/session"
import { MESSAGE_ID_SIZE } from "../core/types"
import type { Bytes, MessageId } from "../core/types"
import { loadAccount, nowMs, type Account } from "./account"
import { needsRefresh } from "./directory"
import { finish } from "./outbox"
import { contactById, deviceRow, saveSessions, type ContactRow } from "./people"
import * as table from "./schema"
import type { Reads, Store, Transaction } from "./store"

/**
 * Seal every row that is not sealed yet, in order, for each device of the record; a transaction each.
 *
 * @returns False if a device has no session or no valid envelope prekey, so that rows are left.
 */
export async function expand(store: Store, contactId: number): Promise<boolean> {
  for (;;) {
    const isSealed = await store.transaction(async (tx) => {
      // Looked for anew each time: another tab may meanwhile have queued again what comes before.
      const position = await firstUnsealed(tx, contactId)
      return position === null ? null : expandRow(tx, await contactById(tx, contactId), position)
    })
    if (isSealed !== true) return isSealed === null // the next ones must not overtake it
  }
}

/**
 * Seal a row in the transaction that wrote it, if nothing has to be asked or repaired before; else `expand` does.
 *
 * That is one transaction less between writing and sending.
 */
export async function sealAtOnce(tx: Transaction, contactId: number, position: number): Promise<void> {
  const contact = await contactById(tx, contactId)
  if (await needsRefresh(tx, contact, nowMs())) return
  if ((await firstUnsealed(tx, contactId)) !== position) return // it must not overtake that
  for (const { id } of contact.record?.devices ?? []) {
    const { sessions, brokenSession } = await deviceRow(tx, contactId, id)
    if (sessions.sending === null || brokenSession !== null) return
  }
  await expandRow(tx, contact, position)
}

/** Return the first outbox row that is not sealed for every device, or null. */
async function firstUnsealed(reads: Reads, contactId: number): Promise<number | null> {
  const [fresh, again] = await Promise.all([
    reads.all(table.outbox, "expanded", [0, contactId], { limit: 1 }),
    reads.all(table.deliveries, "state", ["resend", contactId]),
  ])
  const first = Math.min(...[...fresh, ...again].map((row) => row.position))
  return Number.isFinite(first) ? first : null
}

async function expandRow(tx: Transaction, contact: ContactRow, position: number): Promise<boolean> {
  const row = await tx.get(table.outbox, position)
  if (row === undefined || contact.record === null) return row === undefined
  const account = await loadAccount(tx) // not before: a block in another tab may have changed the profile key
  for (const device of contact.record.devices) {
    if (row.device !== null && row.device !== device.id) continue
    const [former] = await tx.all(table.deliveries, "position", [position, device.id])
    if (former !== undefined && former.state !== "resend") continue
    if (!(await sealFor(tx, account, contact, new Peer(contact.address, device), position))) return false
  }
  tx.put(table.outbox, { ...row, isExpanded: 1 })
  await finish(tx, position)
  return true
}

/**
 * Seal one row for one device; false without a session or prekey for it.
 *
 * @param account Read in this transaction: the envelope may carry its profile key.
 */
export async function sealFor(
  tx: Transaction,
  account: Account,
  contact: ContactRow,
  peer: Peer,
  position: number,
): Promise<boolean> {
  const device = await deviceRow(tx, contact.id, peer.device.id)
  const { envelopePrekey: prekey, sessions } = device
  if (sessions.sending === null || prekey === null || prekey.expiry <= BigInt(nowMs())) return false
  const row = await tx.get(table.outbox, position)
  if (row === undefined) return true
  const [former] = await tx.all(table.deliveries, "position", [position, peer.device.id])
  // Counts what must not go missing unseen; receipts and requests repeat by themselves.
  const isNew = former === undefined && isCounted(row.kind as Kind)
  const counter = former?.counter ?? (isNew ? device.sentCounter + 1 : 0)
  const content = contentOf(account, contact, row, counter)
  const [after, message] = await seal(sessions.sending, Content.encode(content), randomBytes(SALT_SIZE))
  await saveSessions(tx, device, replaceSending(sessions, after))
  if (isNew) await tx.update(table.devices, [contact.id, peer.device.id], { sentCounter: counter })
  if (former !== undefined) tx.delete(table.deliveries, former.id)
  tx.insert(table.deliveries, {
    position,
    contact: contact.id,
    device: peer.device.id,
    counter,
    envelopeId: toHex(randomBytes(MESSAGE_ID_SIZE)),
    envelope: await envelopeOf(account, sessions.sending, EnvelopePrekey.of(prekey), peer, message),
    state: "sealed",
    resends: former?.resends ?? 0,
    hasProfileKey: content.extensions.has(Extension.PROFILE_KEY),
  })
  return true
}

function contentOf(account: Account, contact: ContactRow, row: table.StoredOutbox, counter: number): Content {
  return {
    kind: row.kind as Kind,
    messageId: fromHex(row.messageId) as MessageId,
    counter: BigInt(counter),
    sent: BigInt(row.sent),
    conversation: contact.conversationWith(account.address),
    senderRecord: { version: account.record.version, hash: account.record.hash },
    recipientRecord: contact.recordName,
    body: row.body,
    replyTo: null,
    expiresAfter: null,
    extensions: new Map(contact.hasOurProfileKey ? [] : [[Extension.PROFILE_KEY, account.profileKey]]),
  }
}

/** Seal for the relay; until they answered, with our record inside and ML-KEM around it. */
async function envelopeOf(
  account: Account,
  session: Session,
  prekey: EnvelopePrekey,
  peer: Peer,
  message: Bytes,
): Promise<Bytes> {
  const isFirst = session.kind === "initiated"
  const record = isFirst ? account.record.encoded : null
  const payload: Payload = { sender: account.address, device: account.own.device.id, record, message }
  const kem = isFirst ? await prekey.mlkem768.encapsulate() : null
  return sealEnvelope(prekey, [peer.address, peer.fingerprint], payload, await KeyPair.generate(), kem)
}
