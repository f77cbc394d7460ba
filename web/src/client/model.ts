/**
 * What the client tells the page, made of what it stores.
 *
 * Source: spec/delivery.md, "What a person sees".
 */

import type { Change, Entry, Transfer } from "./api"
import { contactById } from "./people"
import { transfers, type StoredMessage } from "./schema"
import type { Reads } from "./store"
import { transferOf } from "./transfer_row"

/** Make a line of a conversation of its row. */
export async function entryOf(reads: Reads, row: StoredMessage): Promise<Entry> {
  return {
    position: row.position,
    id: row.messageId,
    contact: row.contact,
    outgoing: row.isOutgoing === 1,
    text: row.text,
    time: row.sent,
    received: row.received,
    state: row.state,
    file: row.isOffer === true ? await fileOf(reads, row) : null,
  }
}

async function fileOf(reads: Reads, { messageId, contact }: StoredMessage): Promise<Transfer | null> {
  const row = await reads.get(transfers, messageId)
  return row === undefined ? null : transferOf(row, await contactById(reads, contact))
}

/** Say everything once: of each message what it is in the end. */
export function mergedChanges(changes: readonly Change[]): readonly Change[] {
  const others = new Map<string, Change>()
  const entries = new Map<number, Map<number, Entry>>()
  for (const change of changes) {
    if (change.kind === "transfer") {
      others.set(change.transfer.id, change)
      continue
    }
    if (change.kind !== "messages") {
      others.set(JSON.stringify(change), change)
      continue
    }
    const ofContact = entries.get(change.contact) ?? new Map<number, Entry>()
    for (const entry of change.entries) ofContact.set(entry.position, entry)
    entries.set(change.contact, ofContact)
  }
  const messages = [...entries].map(([contact, found]) => ({
    kind: "messages" as const,
    contact,
    entries: [...found.values()].sort((first, second) => first.position - second.position),
  }))
  return [...messages, ...others.values()]
}
