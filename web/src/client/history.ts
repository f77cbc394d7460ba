/**
 * Reading what was said: a conversation page by page, and any substring of everything.
 *
 * Source: spec/conventions.md, "At rest".
 */

import { Misuse } from "../core/errors"
import type { Conversation, Entry, Found } from "./api"
import { entryOf } from "./model"
import { contactsIn } from "./people"
import { contacts, messages, transfers } from "./schema"
import type { StoredMessage } from "./schema"
import type { Reads, Transaction } from "./store"

export const MAX_LIMIT = 10_000
const BATCH = 500 // rows that are opened at once

/** Put a message into the history: the newest line of its conversation, unread if it is theirs. */
export async function addMessage(tx: Transaction, message: Omit<StoredMessage, "position">): Promise<Entry> {
  const position = tx.insert(messages, message)
  const entry = await entryOf(tx, { ...message, position })
  const contact = await tx.get(contacts, message.contact)
  if (contact === undefined) throw new Misuse("a message of nobody")
  const unread = contact.unread + (message.isOutgoing === 1 ? 0 : 1)
  tx.put(contacts, { ...contact, unread, lastPosition: position })
  // Nothing of a stranger is shown.
  if (contact.state === "accepted") tx.changed({ kind: "messages", contact: contact.id, entries: [entry] })
  return entry
}

/** Return the accepted contacts, the one with the newest message first. */
export async function conversations(reads: Reads): Promise<readonly Conversation[]> {
  const people = await contactsIn(reads, "accepted")
  const found = people.map(async (contact) => {
    const { lastPosition, unread } = contact.row
    const last = lastPosition === 0 ? undefined : await reads.get(messages, lastPosition)
    return { contact: contact.public(), last: last === undefined ? null : await entryOf(reads, last), unread }
  })
  const newestFirst = (first: Conversation, second: Conversation): number =>
    (second.last?.position ?? 0) - (first.last?.position ?? 0) || second.contact.added - first.contact.added
  return (await Promise.all(found)).sort(newestFirst)
}

/**
 * Return the newest messages of a conversation, oldest first.
 *
 * @param before Only messages before this position; null for all.
 * @param limit 1 to 10,000.
 * @throws Misuse: a limit out of range.
 */
export async function history(
  reads: Reads,
  contact: number,
  before: number | null,
  limit: number,
): Promise<readonly Entry[]> {
  const range = IDBKeyRange.bound([contact], [contact, before ?? []], false, true)
  const rows = await reads.all(messages, "contact", range, { limit: checked(limit), reverse: true })
  return (await entriesOf(reads, rows)).reverse()
}

/**
 * Return the messages around a position, oldest first: half before it, the rest from it on.
 *
 * @param limit 1 to 10,000.
 * @throws Misuse: a limit out of range.
 */
export async function historyAround(
  reads: Reads,
  contact: number,
  position: number,
  limit: number,
): Promise<readonly Entry[]> {
  const before = Math.floor(checked(limit) / 2)
  const range = IDBKeyRange.bound([contact, position], [contact, []])
  const after = await reads.all(messages, "contact", range, { limit: limit - before })
  const earlier = before === 0 ? [] : await history(reads, contact, position, before)
  return [...earlier, ...(await entriesOf(reads, after))]
}

/**
 * Finds any substring of all messages, whatever the case of any letter.
 *
 * All texts in lower case are kept in memory from the first search on; each search reads what came and drops what went.
 */
export class Search {
  readonly #reads: Reads
  readonly #texts = new Map<number, string>()
  #running: Promise<unknown> = Promise.resolve()

  constructor(reads: Reads) {
    this.#reads = reads
  }

  /**
   * Return the newest messages that contain `text`, oldest first.
   *
   * @param limit 1 to 10,000.
   * @throws Misuse: an empty text, or a limit out of range.
   */
  async search(text: string, limit: number): Promise<readonly Found[]> {
    if (text === "") throw new Misuse("type what to search for")
    checked(limit)
    await this.#updated()
    const wanted = text.toLowerCase()
    const positions = [...this.#texts].filter(([, known]) => known.includes(wanted)).map(([position]) => position)
    const names = new Map(
      (await this.#reads.all(contacts, null, null))
        .filter((row) => row.state === "accepted" || row.state === "blocked")
        .map((row) => [row.id, row.name]),
    )
    const found: Found[] = []
    for (const position of positions.sort((first, second) => second - first)) {
      if (found.length >= limit) break
      const row = await this.#reads.get(messages, position)
      const contactName = row && names.get(row.contact)
      if (row === undefined || contactName === undefined) continue
      found.push({ entry: await entryOf(this.#reads, row), contactName })
    }
    return found.reverse()
  }

  /** Forget every text. */
  clear(): void {
    this.#texts.clear()
  }

  /** Bring the texts up to date, one search after the other. */
  async #updated(): Promise<void> {
    const turn = this.#running.then(() => this.#update())
    this.#running = turn.catch(() => undefined)
    await turn
  }

  async #update(): Promise<void> {
    const keys = (await this.#reads.keys(messages, null, null)).filter((key) => typeof key === "number")
    const present = new Set(keys)
    for (const position of this.#texts.keys()) if (!present.has(position)) this.#texts.delete(position)
    const missing = keys.filter((position) => !this.#texts.has(position)).sort((first, second) => first - second)
    for (let at = 0; at < missing.length; at += BATCH) {
      const [first, last] = [missing[at], missing.at(Math.min(at + BATCH, missing.length) - 1)]
      if (first === undefined || last === undefined) return
      for (const row of await this.#reads.all(messages, null, IDBKeyRange.bound(first, last))) {
        const name = row.isOffer === true ? (await this.#reads.get(transfers, row.messageId))?.name : row.text
        this.#texts.set(row.position, (name ?? "").toLowerCase())
      }
    }
  }
}

function entriesOf(reads: Reads, rows: readonly StoredMessage[]): Promise<Entry[]> {
  return Promise.all(rows.map((row) => entryOf(reads, row)))
}

function checked(limit: number): number {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) throw new Misuse(`a limit is 1 to ${MAX_LIMIT}`)
  return limit
}
