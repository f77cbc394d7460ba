/**
 * Notices: the quiet lines of a conversation, kept as long as it is.
 *
 * Source: spec/delivery.md, "What a person sees".
 */

import type { Millis } from "../core/types"
import type { Notice, NoticeKind } from "./api"
import { contacts, events } from "./schema"
import type { StoredEvent } from "./schema"
import type { Reads, Transaction } from "./store"

/** Remember a notice. */
export function addNotice(
  tx: Transaction,
  kind: NoticeKind,
  contact: number | null,
  now: Millis,
  data: StoredEvent["data"] = {},
): void {
  tx.insert(events, { kind, contact, time: now, data })
  tx.changed({ kind: "notices", contact })
  if (kind === "request") tx.changed({ kind: "contacts" })
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

/** Return the notices of a conversation, by time; null: those that are of none. */
export async function noticesOf(reads: Reads, contact: number | null): Promise<readonly Notice[]> {
  const found = contact === null ? reads.all(events, null, null) : reads.all(events, "contact", contact)
  const rows = (await found).filter((row) => row.contact === contact)
  return rows.map(({ id, kind, contact: of, time, data }) => ({ id, kind, contact: of, time, data }))
}
