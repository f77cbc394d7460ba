/**
 * Putting one device's messages in the order it sent them, and noticing what is missing.
 *
 * The relay delivers in order, so a hole in the counters means that it lost or held back a message. Later ones wait ten
 * seconds, then a gap is shown and the missing ones are asked for.
 *
 * Source: spec/delivery.md, "Order and gaps".
 */

import { toHex } from "../core/encoding"
import { HOUR, SECOND } from "../core/types"
import type { Bytes, DeviceId, MessageId, Millis } from "../core/types"
import { addNotice } from "./events"
import { addMessage } from "./history"
import { ensureDevice } from "./people"
import { contacts, devices, gaps, held, messages } from "./schema"
import type { StoredGap } from "./schema"
import { prefix } from "./store"
import type { Reads, Store, Transaction } from "./store"
import { takeOffer } from "./transfer_states"

export const HOLD = 10 * SECOND
export const MAX_TRACKED = 128 // a forged counter must not make 2^64 rows
export const MAX_GAPS = 2 * MAX_TRACKED // of one device; nor may many of them make any number
export const ASK_AGAIN = HOUR
export const MAX_COUNTER = 2 ** 52 // the store holds it exactly, and counting on from it
const NOT_BEGUN = 0 // of a device whose first counter is still to be seen; real ones begin with 1
const NEVER = (2 ** 52) as Millis

/** A text or an offer of theirs that was decrypted. */
export interface Text {
  readonly contact: number
  readonly device: DeviceId
  readonly counter: number
  readonly messageId: MessageId
  readonly text: string
  /** The body of an offer of files; `text` is empty then. */
  readonly offer?: Bytes
  readonly sent: Millis
  readonly received: Millis
}

/**
 * Store a text in its place, or hold it until its place is known.
 *
 * One that is here already, from an earlier resend, only counts.
 */
export async function place(tx: Transaction, text: Text): Promise<void> {
  const { contact, device, counter } = text
  if (!(await expect(tx, contact, device, counter, text.received))) {
    await insert(tx, text)
    return
  }
  if ((await tx.get(held, [contact, device, counter])) === undefined) {
    if (counter === (await nextOf(tx, contact, device))) {
      // In order, as nearly all are: it need not be held for a moment.
      await tx.update(devices, [contact, device], { nextCounter: counter + 1 })
      await insert(tx, text)
    } else {
      tx.put(held, text)
    }
  }
  await release(tx, contact, device)
}

/**
 * Begin to listen to someone who was blocked.
 *
 * Nothing that they wrote before is missing: each device's counters begin with its first text written since. What was
 * received before the block and waited for an earlier one is shown.
 */
export async function beginAnew(tx: Transaction, contact: number, now: Millis): Promise<void> {
  await tx.update(contacts, contact, { unblocked: now })
  for (const row of await tx.all(held, null, prefix(contact))) await insert(tx, { ...row, device: row.device as DeviceId })
  await tx.deleteAll(held, null, prefix(contact))
  await tx.deleteAll(gaps, null, prefix(contact))
  for (const row of await tx.all(devices, null, prefix(contact))) tx.put(devices, { ...row, nextCounter: NOT_BEGUN })
}

/**
 * Tell whether a text was written before its sender was unblocked.
 *
 * Their clock tells until the first text written since; from then on its counter does, too, so that a clock put back
 * loses nothing.
 */
export async function isFromBefore(reads: Reads, { contact, device, counter, sent }: Text): Promise<boolean> {
  if (sent >= ((await reads.get(contacts, contact))?.unblocked ?? 0)) return false
  const next = await nextOf(reads, contact, device)
  return next === NOT_BEGUN || counter < next
}

/** Tell whether the history has a text, from its first copy. */
export async function isKnown(reads: Reads, { contact, messageId }: Text): Promise<boolean> {
  return (await reads.count(messages, "message", [contact, 0, toHex(messageId)])) > 0
}

/**
 * Count a message that this program can't show, so that it is not asked for.
 *
 * When it was written is not known: of someone unblocked it may be from before, and then nothing begins with it.
 */
export async function passOver(
  tx: Transaction,
  contact: number,
  device: DeviceId,
  counter: number,
  now: Millis,
): Promise<void> {
  if ((await nextOf(tx, contact, device)) === NOT_BEGUN) return
  if (!(await expect(tx, contact, device, counter, now))) return
  tx.put(gaps, { contact, device, counter, isShown: 1, noticed: now, asked: NEVER })
  await release(tx, contact, device)
}

/** Tell whether a message waits for an earlier one. */
export async function holdsAnything(reads: Reads): Promise<boolean> {
  return (await reads.count(held, null, null)) > 0
}

/** Show gaps that are ten seconds old, and what waited behind them. */
export async function showOverdue(store: Store, now: Millis, reads: Reads = store): Promise<void> {
  if ((await overdue(reads, now)).length === 0) return
  await store.transaction(async (tx) => {
    const groups = new Map<string, { contact: number; device: DeviceId; missing: number }>()
    for (const gap of await overdue(tx, now)) {
      tx.put(gaps, { ...gap, isShown: 1 })
      const slot = `${gap.contact}/${gap.device}`
      const missing = (groups.get(slot)?.missing ?? 0) + 1
      groups.set(slot, { contact: gap.contact, device: gap.device as DeviceId, missing })
    }
    for (const { contact, missing } of groups.values()) await tellMissing(tx, contact, missing, now)
    for (const { contact, device } of groups.values()) await release(tx, contact, device)
  })
}

/** Show what a device that is gone had sent behind a gap, and say that the rest is missing. */
export async function showHeld(tx: Transaction, contact: number, device: DeviceId, now: Millis): Promise<void> {
  const ofDevice = prefix(contact, device)
  const missing = (await tx.all(gaps, null, ofDevice)).filter((gap) => gap.isShown === 0).length
  await tellMissing(tx, contact, missing, now)
  for (const row of await tx.all(held, null, ofDevice)) await insert(tx, { ...row, device })
  await tx.deleteAll(held, null, ofDevice)
  await tx.deleteAll(gaps, null, ofDevice)
}

/** Return the missing counters that are due to be asked for, by device, and note that they were. */
export async function countersToAsk(
  tx: Transaction,
  contact: number,
  now: Millis,
): Promise<ReadonlyMap<DeviceId, readonly number[]>> {
  const asked = new Map<DeviceId, number[]>()
  for (const gap of await tx.all(gaps, "shown", [1, contact])) {
    if (!isToAsk(gap, now)) continue
    const device = gap.device as DeviceId
    const counters = asked.get(device) ?? []
    if (counters.length >= MAX_TRACKED) continue // the others in the next request
    asked.set(device, counters)
    counters.push(gap.counter)
    tx.put(gaps, { ...gap, asked: now })
  }
  return asked
}

/** Tell whether a gap is due: never asked for, an hour ago, or after now, because the clock was put back since. */
export function isToAsk({ asked }: StoredGap, now: Millis): boolean {
  return asked !== NEVER && (asked > now || asked + ASK_AGAIN <= now)
}

/** Return gaps noticed longer ago than that, or after now: then the clock was put back since. */
async function overdue(reads: Reads, now: Millis) {
  return (await reads.all(gaps, "shown", prefix(0))).filter(
    ({ noticed }) => noticed <= now - HOLD || noticed > now + HOLD,
  )
}

/** Note what is missing before a counter; false if its place has been passed already. */
async function expect(
  tx: Transaction,
  contact: number,
  device: DeviceId,
  counter: number,
  now: Millis,
): Promise<boolean> {
  await ensureDevice(tx, contact, device)
  const expected = await nextOf(tx, contact, device)
  if (expected === NOT_BEGUN) {
    await tx.update(devices, [contact, device], { nextCounter: counter })
    return true
  }
  const gap = [contact, device, counter]
  if ((await tx.get(gaps, gap)) !== undefined) tx.delete(gaps, gap)
  if (counter < expected) return false
  const first = Math.max(expected, counter - MAX_TRACKED)
  if (first > expected) await jump(tx, contact, device, first, now)
  const known = new Set((await tx.all(held, null, prefix(contact, device))).map((row) => row.counter))
  for (const gap of await tx.all(gaps, null, prefix(contact, device))) known.add(gap.counter)
  for (let missing = first; missing < counter; missing++) {
    if (known.has(missing)) continue
    tx.put(gaps, { contact, device, counter: missing, isShown: 0, noticed: now, asked: 0 as Millis })
  }
  await forgetOldest(tx, contact, device)
  return true
}

/** Stop asking for the oldest of too many; that they are missing was told, as only the newest wait to be. */
async function forgetOldest(tx: Transaction, contact: number, device: DeviceId): Promise<void> {
  const newest = await tx.all(gaps, null, prefix(contact, device), { limit: MAX_GAPS + 1, reverse: true })
  const [last] = newest.slice(MAX_GAPS)
  if (last === undefined) return
  await tx.deleteAll(gaps, null, IDBKeyRange.bound([contact, device], [contact, device, last.counter]))
}

/** Add a notice, unless it is a stranger's: nothing of theirs is shown. */
async function tellMissing(tx: Transaction, contact: number, missing: number, now: Millis): Promise<void> {
  if (missing > 0 && (await tx.get(contacts, contact))?.state === "accepted") {
    await addNotice(tx, "gap", contact, now, { missing })
  }
}

/** Give up waiting for what lies further back than is tracked; what was held there is shown. */
async function jump(tx: Transaction, contact: number, device: DeviceId, first: number, now: Millis): Promise<void> {
  const before = IDBKeyRange.bound([contact, device], [contact, device, first], false, true)
  const expected = await nextOf(tx, contact, device)
  const rows = await tx.all(held, null, before)
  const missing = await tx.all(gaps, null, before)
  const lost = missing.filter((gap) => gap.asked !== NEVER)
  const passed = missing.length - lost.length
  await tx.deleteAll(gaps, null, before)
  for (const gap of lost) tx.put(gaps, { ...gap, isShown: 1 })
  await tx.deleteAll(held, null, before)
  await tx.update(devices, [contact, device], { nextCounter: first })
  await tellMissing(tx, contact, first - expected - rows.length - passed, now)
  for (const row of rows) await insert(tx, { ...row, device })
}

/** Move held messages into the history as far as nothing unseen lies before them. */
async function release(tx: Transaction, contact: number, device: DeviceId): Promise<void> {
  let counter = await nextOf(tx, contact, device)
  for (; ; counter++) {
    const key = [contact, device, counter]
    const row = await tx.get(held, key)
    if (row !== undefined) {
      tx.delete(held, key)
      await insert(tx, { ...row, device })
    } else {
      const gap = await tx.get(gaps, key)
      if (gap?.isShown !== 1) break
      if (gap.asked === NEVER) tx.delete(gaps, key) // noted only until its place was passed
    }
  }
  await tx.update(devices, [contact, device], { nextCounter: counter })
}

async function nextOf(reads: Reads, contact: number, device: DeviceId): Promise<number> {
  return (await reads.get(devices, [contact, device]))?.nextCounter ?? 1
}

async function insert(tx: Transaction, text: Text): Promise<void> {
  if (await isKnown(tx, text)) return
  const { offer, ...message } = text
  if (offer !== undefined && !(await takeOffer(tx, { ...message, body: offer }))) return
  const isOffer = offer !== undefined
  await addMessage(tx, { ...message, messageId: toHex(text.messageId), isOutgoing: 0, state: "received", isOffer })
}
