/** The conversation that is open: the part of its messages that is loaded, and what is done with it. */

import { computed, signal } from "@preact/signals"
import type { Api, Contact, Entry, MessageState, Notice } from "../../client/api"
import { codeOf } from "../text/problems"
import { linesOf, type Line } from "./lines"

const PAGE = 80 // messages loaded at once
const AROUND = 60
const PROGRESS: Readonly<Record<MessageState, number>> = { waiting: 0, accepted: 1, failed: 2, delivered: 3, received: 0 }

/** Where the list is asked to scroll; a new object is a new wish. */
export type Target = { readonly kind: "end" } | { readonly kind: "message"; readonly position: number }

export class Thread {
  readonly id: number
  readonly contact = signal<Contact | null>(null)
  /** A part of the conversation without gaps, oldest first. */
  readonly entries = signal<readonly Entry[]>([])
  readonly notices = signal<readonly Notice[]>([])
  readonly isLoaded = signal(false)
  readonly isStart = signal(false)
  readonly isEnd = signal(false)
  readonly unreadFrom = signal<number | null>(null)
  /** How many messages came while newer ones than the loaded part are not shown. */
  readonly newer = signal(0)
  readonly problem = signal<string | null>(null)
  readonly target = signal<Target>({ kind: "end" })
  /** Position of the message to point out, after a search. */
  readonly marked = signal<number | null>(null)
  readonly lines = computed(() => this.#lines())

  readonly #api: Api
  readonly #dayOf: (time: number) => number
  #before: readonly Line[] = []
  readonly #readings = new Set<Entry[]>()
  #isLoading = false

  /** @param dayOf Number of the local day of a time. */
  constructor(api: Api, id: number, dayOf: (time: number) => number) {
    this.#api = api
    this.id = id
    this.#dayOf = dayOf
  }

  /** Load the newest messages, or those around a position; `unread` of them are new. */
  async open(unread: number, position: number | null): Promise<void> {
    await this.#guard(async () => {
      this.contact.value = await this.#api.contact(this.id)
      this.notices.value = await this.#api.notices(this.id)
      if (position !== null) await this.#loadAround(position)
      else await this.#loadNewest(Math.max(PAGE, Math.min(unread + 20, 4 * PAGE)))
      this.unreadFrom.value = firstUnread(this.entries.value, unread)
    })
  }

  async refreshContact(): Promise<void> {
    await this.#guard(async () => {
      this.contact.value = await this.#api.contact(this.id)
    })
  }

  async refreshNotices(): Promise<void> {
    await this.#guard(async () => {
      this.notices.value = await this.#api.notices(this.id)
    })
  }

  async loadOlder(): Promise<void> {
    const oldest = this.entries.value[0]
    if (oldest === undefined || this.isStart.value || this.#isLoading) return
    await this.#loading(async () => {
      const [page, meanwhile] = await this.#read(() => this.#api.messages(this.id, oldest.position, PAGE))
      this.isStart.value = page.length < PAGE
      this.entries.value = merge(page, this.entries.value)
      this.#take(meanwhile)
    })
  }

  async loadNewer(): Promise<void> {
    const newest = this.entries.value.at(-1)
    if (newest === undefined || this.isEnd.value || this.#isLoading) return
    await this.#loading(async () => {
      const [page, meanwhile] = await this.#read(() => this.#api.messagesAround(this.id, newest.position, 2 * PAGE))
      const isMore = page.some((entry) => entry.position > newest.position)
      if (!isMore) this.#reachEnd()
      this.entries.value = merge(this.entries.value, page)
      this.#take(meanwhile)
    })
  }

  async jumpTo(position: number): Promise<void> {
    await this.#guard(async () => {
      if (!this.entries.value.some((entry) => entry.position === position)) await this.#loadAround(position)
      this.marked.value = position
      this.target.value = { kind: "message", position }
    })
  }

  async jumpToNewest(): Promise<void> {
    await this.#guard(async () => {
      if (!this.isEnd.value) await this.#loadNewest(PAGE)
      this.target.value = { kind: "end" }
    })
  }

  /** Take in messages that were added or changed. */
  absorb(changed: readonly Entry[]): void {
    for (const meanwhile of this.#readings) meanwhile.push(...changed)
    if (!this.isEnd.value) {
      const last = this.entries.value.at(-1)?.position ?? -1
      this.newer.value += changed.filter((entry) => entry.position > last && !entry.outgoing).length
    }
    this.#take(changed)
  }

  /** Hand a text over for sending; durable when it resolves. */
  async send(text: string): Promise<void> {
    await this.sent(await this.#api.send(this.id, text))
  }

  /** Show what was just handed over. */
  async sent(entry: Entry): Promise<void> {
    this.unreadFrom.value = null
    this.marked.value = null
    if (this.isEnd.value) {
      this.absorb([entry])
      this.target.value = { kind: "end" }
    } else await this.jumpToNewest()
  }

  async markRead(): Promise<void> {
    await this.#guard(() => this.#api.markRead(this.id))
  }

  #lines(): readonly Line[] {
    this.#before = linesOf(
      {
        entries: this.entries.value,
        notices: this.notices.value,
        unreadFrom: this.unreadFrom.value,
        isStart: this.isStart.value,
        isEnd: this.isEnd.value,
      },
      this.#before,
      this.#dayOf,
    )
    return this.#before
  }

  async #loadNewest(limit: number): Promise<void> {
    const [page, meanwhile] = await this.#read(() => this.#api.messages(this.id, null, limit))
    this.isStart.value = page.length < limit
    this.#reachEnd()
    this.entries.value = page
    this.#take(meanwhile)
    this.isLoaded.value = true
  }

  async #loadAround(position: number): Promise<void> {
    const [page, meanwhile] = await this.#read(() => this.#api.messagesAround(this.id, position, AROUND))
    this.entries.value = page
    this.isStart.value = false
    this.isEnd.value = false
    this.#take(meanwhile)
    this.isLoaded.value = true
    this.marked.value = position
    this.target.value = { kind: "message", position }
  }

  /** Ask for messages; also return what changed since: the answer may be older than that. */
  async #read(ask: () => Promise<readonly Entry[]>): Promise<readonly [readonly Entry[], readonly Entry[]]> {
    const meanwhile: Entry[] = []
    this.#readings.add(meanwhile)
    try {
      return [await ask(), meanwhile]
    } finally {
      this.#readings.delete(meanwhile)
    }
  }

  /**
   * Merge what belongs to the loaded part, which has no gaps.
   *
   * Word of a message may come late, or first with its second state: tabs tell each other in no order, and one may die
   * between storing and telling.
   */
  #take(changed: readonly Entry[]): void {
    const entries = this.entries.value
    const first = this.isStart.value ? -Infinity : (entries[0]?.position ?? Infinity)
    const last = this.isEnd.value ? Infinity : (entries.at(-1)?.position ?? -Infinity)
    const inside = changed.filter(({ position }) => first <= position && position <= last)
    if (inside.length > 0) this.entries.value = merge(entries, inside)
  }

  #reachEnd(): void {
    this.isEnd.value = true
    this.newer.value = 0
  }

  async #loading(work: () => Promise<void>): Promise<void> {
    this.#isLoading = true
    await this.#guard(work)
    this.#isLoading = false
  }

  async #guard(work: () => Promise<void>): Promise<void> {
    try {
      await work()
      this.problem.value = null
    } catch (error) {
      this.problem.value = codeOf(error)
    }
  }
}

/** Join two parts of a conversation; of a message in both, the one that has come further is kept, else that of `second`. */
export function merge(first: readonly Entry[], second: readonly Entry[]): readonly Entry[] {
  const byPosition = new Map(first.map((entry) => [entry.position, entry]))
  for (const entry of second) {
    const known = byPosition.get(entry.position)
    if (known === undefined || PROGRESS[known.state] <= PROGRESS[entry.state]) byPosition.set(entry.position, entry)
  }
  const merged = [...byPosition.values()]
  const isSorted = merged.every((entry, at) => at === 0 || (merged[at - 1]?.position ?? 0) < entry.position)
  return isSorted ? merged : merged.sort((one, two) => one.position - two.position)
}

function firstUnread(entries: readonly Entry[], unread: number): number | null {
  if (unread === 0) return null
  return entries.filter((entry) => !entry.outgoing).at(-unread)?.position ?? null
}
