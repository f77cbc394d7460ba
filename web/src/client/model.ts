/**
 * What the client tells the page, made of what it stores.
 *
 * Source: spec/delivery.md, "What a person sees".
 */

import type { Change, Entry } from "./api"
import type { StoredMessage } from "./schema"

/** Make a line of a conversation of its row. */
export function entryOf(row: StoredMessage): Entry {
  return {
    position: row.position,
    id: row.messageId,
    contact: row.contact,
    outgoing: row.isOutgoing === 1,
    text: row.text,
    time: row.sent,
    received: row.received,
    state: row.state,
    file: null,
  }
}

/** Say everything once: of each message what it is in the end. */
export function mergedChanges(changes: readonly Change[]): readonly Change[] {
  const others = new Map<string, Change>()
  const entries = new Map<number, Map<number, Entry>>()
  for (const change of changes) {
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
