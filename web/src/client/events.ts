/**
 * Notices: the quiet lines of a conversation, kept as long as it is.
 *
 * Source: spec/delivery.md, "What a person sees".
 */

import { DAY } from "../core/types"
import type { Millis } from "../core/types"
import type { Notice, NoticeKind } from "./api"
import { contacts, events } from "./schema"
import type { StoredEvent } from "./schema"
import type { Reads, Transaction } from "./store"

/** Notices of one kind and contact in a day; what comes more often is counted in the newest. */
export const MAX_A_DAY = 10
export const MAX_MISSING = 2 ** 52 // every program and store holds it exactly
// What a contact, or our relay, can cause as often as it likes.
const COUNTED = ["device", "drained", "gap", "own-record", "refreshed", "restored", "unsupported"] as const

/**
 * Remember a notice.
 *
 * When there are MAX_A_DAY of this kind and contact from the last day, it takes the place of the newest and tells both: of
 * gaps the sum of what is missing, of anything else how many times.
 */
export async function addNotice(
  tx: Transaction,
  kind: NoticeKind,
  contact: number | null,
  now: Millis,
  data: StoredEvent["data"] = {},
): Promise<void> {
  const told = isCounted(kind) ? await merged(tx, kind, contact, now, data) : data
  tx.insert(events, { kind, contact, time: now, data: told })
  tx.changed({ kind: "notices", contact })
  if (kind === "request") tx.changed({ kind: "contacts" })
}

async function merged(
  tx: Transaction,
  kind: NoticeKind,
  contact: number | null,
  now: Millis,
  data: StoredEvent["data"],
): Promise<StoredEvent["data"]> {
  // Not all there ever were: of those from the last day no more than these are of the kinds that are counted.
  const newest = { limit: MAX_A_DAY * COUNTED.length, reverse: true }
  const found = contact === null ? tx.all(events, null, null, newest) : tx.all(events, "contact", contact, newest)
  const isAlike = (row: StoredEvent) => row.kind === kind && row.contact === contact && row.time > now - DAY
  const lately = (await found).filter(isAlike)
  const [former] = lately
  if (former === undefined || lately.length < MAX_A_DAY) return data
  tx.delete(events, former.id)
  if (kind === "gap") return { missing: Math.min(number(former.data, "missing") + number(data, "missing"), MAX_MISSING) }
  return { ...data, times: number(former.data, "times") + 1 }
}

function number(data: StoredEvent["data"], key: string): number {
  const value = data[key]
  return typeof value === "number" ? value : 1
}

function isCounted(kind: NoticeKind): boolean {
  return COUNTED.some((counted) => counted === kind)
}

/** Show what a stranger wrote who is none any more: it is in the history, unread. */
export async function showRequest(tx: Transaction, contact: number): Promise<void> {
  for (const event of await tx.all(events, "contact", contact)) {
    if (event.kind === "request") tx.delete(events, event.id)
  }
  tx.changed({ kind: "notices", contact })
  tx.changed({ kind: "contacts" })
}

/** Note that everything of a contact was read. */
export async function markRead(tx: Transaction, contact: number): Promise<void> {
  const row = await tx.get(contacts, contact)
  if (row === undefined || row.unread === 0) return
  tx.put(contacts, { ...row, unread: 0 })
  tx.changed({ kind: "contacts" })
}

/** Forget a notice that a person has closed. */
export async function forgetNotice(tx: Transaction, id: number): Promise<void> {
  const row = await tx.get(events, id)
  if (row === undefined) return
  tx.delete(events, id)
  tx.changed({ kind: "notices", contact: row.contact })
}

/** Return the notices of a conversation, by time; null: those that are of none. */
export async function noticesOf(reads: Reads, contact: number | null): Promise<readonly Notice[]> {
  const found = contact === null ? reads.all(events, null, null) : reads.all(events, "contact", contact)
  const rows = (await found).filter((row) => row.contact === contact)
  return rows.map(({ id, kind, contact: of, time, data }) => ({ id, kind, contact: of, time, data }))
}
