/**
 * The durable outbox: what was written is here until their device confirms it, or for fourteen days.
 *
 * A row is sealed for each device of the record in one transaction with the session that sealed it (sealing.ts), and
 * only then sent; the same bytes are sent again until the relay has them on disk.
 *
 * Source: spec/delivery.md, "Outbox".
 */

import { Kind, MAX_IDS, MAX_TEXT_SIZE, Resend, encodeIds, isCounted } from "../core/content"
import { toHex, fromHex, utf8 } from "../core/encoding"
import { Misuse, StaleDirectory } from "../core/errors"
import { randomBytes } from "../core/primitives"
import { DAY, MESSAGE_ID_SIZE } from "../core/types"
import type { Bytes, DeviceId, EnvelopeId, MessageId, Millis } from "../core/types"
import { nowMs } from "./account"
import type { Entry, MessageState } from "./api"
import { NAMED_PAUSE } from "./directory"
import { addNotice } from "./events"
import { addMessage } from "./history"
import { entryOf } from "./model"
import { ASK_AGAIN, countersToAsk, isToAsk } from "./order"
import { contactById, type ContactRow } from "./people"
import * as table from "./schema"
import type { Table } from "./table"
import { prefix, type Reads, type Store, type Transaction } from "./store"
import { EXPIRED, transferOf, versionOf } from "./transfer_row"

export const KEPT = 14 * DAY
export const MAX_RESENDS = 5 // one message, one device: a peer must not make us repeat it for ever
export const MAX_REQUESTS = 5 // unanswered messages to someone who has not answered yet

/** An envelope that waits for the relay. */
export interface Sealed {
  readonly id: number
  readonly device: DeviceId
  readonly envelopeId: EnvelopeId
  readonly envelope: Bytes
}

/**
 * Put a text into history and outbox, in one transaction.
 *
 * @param sealed Called with what was written, before it is committed.
 * @throws Misuse: empty, more than 16,384 bytes of UTF-8, or the contact may not be written to.
 * StaleDirectory: sending to this contact is stopped until the person decides.
 */
export async function addText(
  store: Store,
  contactId: number,
  text: string,
  sealed: Sealing = () => Promise.resolve(),
): Promise<Entry> {
  if (/\p{Cs}/u.test(text)) throw new Misuse("the text has half a character in it (a lone surrogate)")
  const body = utf8(text)
  if (body.length < 1 || body.length > MAX_TEXT_SIZE) {
    throw new Misuse(`a message has 1 to ${MAX_TEXT_SIZE} bytes, this one ${body.length}: send a longer one in parts`)
  }
  const messageId = randomBytes(MESSAGE_ID_SIZE) as MessageId
  return store.transaction(async (tx) => {
    const contact = await contactById(tx, contactId)
    if (contact.frozen !== null) throw new StaleDirectory("a relay served a record that does not fit: nothing is sent")
    if (contact.state !== "accepted") throw new Misuse("a blocked contact: unblock before you write")
    const now = nowMs()
    const entry = await addMessage(tx, {
      contact: contact.id,
      isOutgoing: 1,
      messageId: toHex(messageId),
      device: 0,
      counter: 0,
      text,
      sent: now,
      received: now,
      state: "waiting",
    })
    await sealed(tx, contact.id, add(tx, contact.id, null, Kind.TEXT, body, messageId))
    return entry
  })
}

/**
 * Append a row; return its position.
 *
 * @param device Null for every device of the contact's record.
 */
export function add(
  tx: Transaction,
  contact: number,
  device: DeviceId | null,
  kind: Kind,
  body: Bytes,
  messageId?: MessageId,
): number {
  return tx.insert(table.outbox, {
    contact,
    device,
    kind,
    messageId: toHex(messageId ?? randomBytes(MESSAGE_ID_SIZE)),
    body,
    sent: nowMs(),
    isExpanded: 0,
  })
}

/** Return the contacts for whom something waits that could go out now. */
export async function contactsWithWork(reads: Reads, now: Millis): Promise<readonly number[]> {
  const [accepted, ...groups] = await Promise.all([
    reads.all(table.contacts, "state", "accepted"),
    contactsIn(reads, table.outbox, "expanded", 0),
    contactsIn(reads, table.deliveries, "state", "sealed"),
    contactsIn(reads, table.deliveries, "state", "resend"),
    contactsIn(reads, table.receiptsDue, "contact"),
    contactsIn(reads, table.devices, "broken", 1),
    contactsToAsk(reads, now),
  ])
  const found = new Set(groups.flat())
  return accepted
    .filter((contact) => contact.frozen === null && (found.has(contact.id) || namedDue(contact) <= now))
    .map((contact) => contact.id)
}

/**
 * Return when the next thing is due that only time brings: a record that was named, or may tell of a device whose
 * message could not be read, a gap to ask for again.
 */
export async function nextDue(reads: Reads, now: Millis): Promise<Millis | null> {
  const accepted = await reads.all(table.contacts, "state", "accepted")
  const gaps = await reads.all(table.gaps, "shown", prefix(1))
  const broken = new Set(await contactsIn(reads, table.devices, "broken", 1))
  const checks = accepted.filter(({ id }) => broken.has(id)).map((contact) => contact.recordChecked + NAMED_PAUSE)
  const times = [...accepted.map(namedDue), ...checks, ...gaps.map((gap) => gap.asked + ASK_AGAIN)]
  const next = Math.min(...times.filter((time) => time > now))
  return Number.isFinite(next) ? (next as Millis) : null
}

/** Return when a record that they named is to be fetched. */
function namedDue(contact: table.StoredContact): number {
  if (contact.record === null || contact.namedVersion <= contact.recordVersion) return Infinity
  return contact.namedSince + contact.namedTries * NAMED_PAUSE
}

async function contactsToAsk(reads: Reads, now: Millis): Promise<readonly number[]> {
  const found: number[] = []
  for (const contact of await contactsIn(reads, table.gaps, "shown", 1)) {
    const gaps = await reads.all(table.gaps, "shown", [1, contact])
    if (gaps.some((gap) => isToAsk(gap, now))) found.push(contact)
  }
  return found
}

/** Return the contacts of the rows under `head`, in an index that goes on with the contact. */
async function contactsIn<Row, Index extends string, Id extends keyof Row>(
  reads: Reads,
  rows: Table<Row, Index, Id>,
  index: NoInfer<Index>,
  ...head: readonly (string | number)[]
): Promise<readonly number[]> {
  const keys = await reads.distinct(rows, index, prefix(...head))
  return keys.flatMap((key) => {
    const contact: unknown = Array.isArray(key) ? key[head.length] : null
    return typeof contact === "number" ? [contact] : []
  })
}

/** What is done with a row that was written, before it is committed. */
export type Sealing = (tx: Transaction, contact: number, position: number) => Promise<void>

/** Make outbox rows of the receipts that are due and the gaps to ask for; false if there are none. */
export async function collect(
  store: Store,
  reads: Reads,
  contactId: number,
  now: Millis,
  sealed: Sealing,
): Promise<boolean> {
  const [receipts, gaps] = await Promise.all([
    reads.count(table.receiptsDue, "contact", prefix(contactId)),
    reads.count(table.gaps, "shown", [1, contactId]),
  ])
  if (receipts + gaps === 0) return false
  await store.transaction(async (tx) => {
    // Read under the lock: the message a receipt is for may have brought their record in this very moment.
    const contact = await contactById(tx, contactId)
    const due = await tx.all(table.receiptsDue, "contact", prefix(contactId))
    const inOrder = due.toSorted((first, second) => first.id - second.id)
    for (const device of new Set(due.map((row) => row.device as DeviceId))) {
      const ids = inOrder.filter((row) => row.device === device).map((row) => fromHex(row.messageId) as MessageId)
      for (let at = 0; at < ids.length && contact.peer(device) !== null; at += MAX_IDS) {
        await sealed(tx, contactId, add(tx, contactId, device, Kind.RECEIPT, encodeIds(ids.slice(at, at + MAX_IDS))))
      }
    }
    await tx.deleteAll(table.receiptsDue, "contact", prefix(contactId))
    for (const [device, counters] of await countersToAsk(tx, contactId, now)) {
      if (contact.peer(device) === null) continue
      add(tx, contactId, device, Kind.RESEND, Resend.encode({ resets: null, counters: counters.map(BigInt) }))
    }
  })
  return true
}

/**
 * Return the envelopes to send next, in the order they were sealed.
 *
 * Before their first answer brought a profile key, only the first MAX_REQUESTS texts without a receipt.
 *
 * @param full Devices whose mailbox takes nothing now.
 */
export async function sealedRows(
  reads: Reads,
  contact: ContactRow,
  full: ReadonlySet<number>,
  limit: number,
): Promise<readonly Sealed[]> {
  const isWhole = full.size === 0 && contact.profileKey !== null
  const found = await reads.all(table.deliveries, "state", ["sealed", contact.id], isWhole ? { limit } : {})
  const allowed = contact.profileKey === null ? await allowedFirst(reads, contact, found) : found
  return allowed
    .filter((row) => !full.has(row.device))
    .slice(0, limit)
    .map((row) => ({
      id: row.id,
      device: row.device as DeviceId,
      envelopeId: fromHex(row.envelopeId) as EnvelopeId,
      envelope: row.envelope ?? new Uint8Array(),
    }))
}

async function allowedFirst(
  reads: Reads,
  contact: ContactRow,
  sealed: readonly table.StoredDelivery[],
): Promise<readonly table.StoredDelivery[]> {
  const accepted = await reads.all(table.deliveries, "state", ["accepted", contact.id])
  const counted = new Map<number, boolean>()
  for (const { position } of [...sealed, ...accepted]) {
    counted.set(position, isRowCounted(await reads.get(table.outbox, position)))
  }
  const texts = [...counted.keys()].filter((position) => counted.get(position))
  const first = new Set(texts.sort((one, other) => one - other).slice(0, MAX_REQUESTS))
  return sealed.filter((row) => counted.get(row.position) !== true || first.has(row.position))
}

/**
 * The relay has them on disk. What needs no receipt is done with.
 *
 * That a power failure may undo this loses nothing: the same bytes go out again, which the relay and they know.
 */
export async function markAccepted(store: Store, accepted: readonly Sealed[]): Promise<void> {
  await store.transaction(async (tx) => {
    for (const { id } of accepted) {
      const row = await tx.get(table.deliveries, id)
      const written = row && (await tx.get(table.outbox, row.position))
      if (row === undefined || written === undefined) continue // the receipt was faster
      if (!isRowCounted(written)) {
        tx.put(table.deliveries, { ...row, state: "delivered", envelope: null })
        await finish(tx, row.position)
        continue
      }
      if (row.state === "sealed") tx.put(table.deliveries, { ...row, state: "accepted", envelope: null })
      await moveMessage(tx, row.contact, written.messageId, "accepted", (state) => state === "waiting")
    }
  }, "relaxed")
}

/** Note why what is written to a contact still waits; null when it does not. */
export async function noteReason(store: Store, contact: number, code: string | null): Promise<void> {
  if ((await store.get(table.contacts, contact))?.waitsFor === code) return
  await store.transaction(async (tx) => {
    await tx.update(table.contacts, contact, { waitsFor: code })
    tx.changed({ kind: "contacts" })
  })
}

/** Take in a receipt: the plaintext kept for resending goes. */
export async function markDelivered(
  tx: Transaction,
  contact: number,
  device: DeviceId,
  ids: readonly MessageId[],
): Promise<void> {
  for (const messageId of ids.map(toHex)) {
    const written = (await tx.all(table.outbox, "message", messageId)).filter((row) => row.contact === contact)
    for (const { position } of written) {
      const [row] = await tx.all(table.deliveries, "position", [position, device])
      if (row === undefined) continue
      tx.put(table.deliveries, { ...row, state: "delivered", envelope: null })
      if (row.hasProfileKey) await tx.update(table.contacts, contact, { hasOurProfileKey: true })
      await finish(tx, position)
    }
    await moveMessage(tx, contact, messageId, "delivered", (state) => state !== "delivered")
  }
}

/**
 * Queue again texts that a device has not confirmed.
 *
 * @param states Of the deliveries that are meant.
 * @param asked Counters that the device asked for, empty for all; this alone counts against MAX_RESENDS. Null: all, by
 *   ourselves.
 */
export async function repeat(
  tx: Transaction,
  contact: number,
  device: DeviceId,
  states: readonly ("sealed" | "accepted")[],
  asked: readonly bigint[] | null,
): Promise<void> {
  for (const state of states) {
    for (const row of await tx.all(table.deliveries, "state", [state, contact])) {
      if (row.device !== device || !isRowCounted(await tx.get(table.outbox, row.position))) continue
      if (asked !== null && (row.resends >= MAX_RESENDS || !isAmong(row.counter, asked))) continue
      const resends = row.resends + (asked === null ? 0 : 1)
      tx.put(table.deliveries, { ...row, state: "resend", envelope: null, resends })
    }
  }
}

/** Whether its device's receipt is waited for. */
function isRowCounted(row: table.StoredOutbox | undefined): boolean {
  return row !== undefined && isCounted(row.kind as Kind)
}

function isAmong(counter: number, asked: readonly bigint[]): boolean {
  return asked.length === 0 || asked.includes(BigInt(counter))
}

/**
 * Give up on what nobody confirmed in fourteen days: its text stays in the history, marked.
 *
 * Whether a relay accepted it makes no difference to the person: their device may not have it, and a relay can lie.
 */
export async function expire(store: Store, now: Millis): Promise<void> {
  // Not only the first: of rows written while a clock ran ahead, earlier ones may be younger.
  const isOld = (row: table.StoredOutbox): boolean => row.sent <= now - KEPT
  if (!(await store.all(table.outbox, null, null)).some(isOld)) return
  await store.transaction(async (tx) => {
    for (const row of (await tx.all(table.outbox, null, null)).filter(isOld)) {
      if (await moveMessage(tx, row.contact, row.messageId, "failed", isUnconfirmed)) {
        await giveUpOffer(tx, row)
        await addNotice(tx, "failed", row.contact, now, { id: row.messageId })
      }
      await drop(tx, row.position)
    }
  })
}

async function giveUpOffer(tx: Transaction, { contact, messageId }: table.StoredOutbox): Promise<void> {
  const offer = await tx.get(table.transfers, messageId)
  if (offer?.isOutgoing !== 1 || offer.stage !== "offered") return
  const failed = { ...offer, stage: "failed", reason: EXPIRED, version: versionOf(offer) + 1 } as const
  tx.put(table.transfers, failed)
  tx.changed({ kind: "transfer", transfer: transferOf(failed, await contactById(tx, contact)) })
}

function isUnconfirmed(state: MessageState): boolean {
  return state === "waiting" || state === "accepted"
}

/** Delete a row, and with it the plaintext, once every device of the record has it. */
export async function finish(tx: Transaction, position: number): Promise<void> {
  if ((await tx.get(table.outbox, position))?.isExpanded !== 1) return
  const rows = await tx.all(table.deliveries, "position", prefix(position))
  if (rows.every((row) => row.state === "delivered")) await drop(tx, position)
}

/** Delete a row and what was sealed of it. */
export async function drop(tx: Transaction, position: number): Promise<void> {
  await tx.deleteAll(table.deliveries, "position", prefix(position))
  tx.delete(table.outbox, position)
}

/** Delete everything that was to go to a contact. */
export async function dropAll(tx: Transaction, contact: number): Promise<void> {
  for (const row of await tx.all(table.outbox, "contact", prefix(contact))) await drop(tx, row.position)
}

/** Give a message of ours another state if it has one that `isMoved` accepts; tells whether it had. */
export async function moveMessage(
  tx: Transaction,
  contact: number,
  messageId: string,
  state: MessageState,
  isMoved: (state: MessageState) => boolean,
): Promise<boolean> {
  const [row] = await tx.all(table.messages, "message", [contact, 1, messageId])
  if (row === undefined || !isMoved(row.state)) return false
  const moved = { ...row, state }
  tx.put(table.messages, moved)
  tx.changed({ kind: "messages", contact, entries: [await entryOf(tx, moved)] })
  return true
}
