/** Finding people by name and messages by any part of them. */

import { effect, signal } from "@preact/signals"
import type { Api, Conversation, Entry, Found } from "../../client/api"
import { partsOfName } from "./files"
import type { People } from "./people"

const LIMIT = 40 // messages
const BEFORE = 28 // characters of a message shown before a match, and behind it
const AFTER = 120
const PAUSE_MS = 120 // of typing, before messages are searched

export class Search {
  readonly query = signal("")
  readonly people = signal<readonly Conversation[]>([])
  readonly messages = signal<readonly Found[]>([])
  readonly isBusy = signal(false)

  readonly #api: Api
  #timer: ReturnType<typeof setTimeout> | undefined
  #turn = 0

  constructor(api: Api, people: People) {
    this.#api = api
    effect(() => {
      const wanted = fold(this.query.value.trim())
      const known = people.conversations.value ?? []
      this.people.value = wanted === "" ? [] : known.filter(({ contact }) => fold(contact.name).includes(wanted))
    })
  }

  type(query: string): void {
    this.query.value = query
    clearTimeout(this.#timer)
    const turn = ++this.#turn
    const wanted = query.trim()
    if (wanted === "") {
      this.messages.value = []
      this.isBusy.value = false
      return
    }
    this.isBusy.value = true
    this.#timer = setTimeout(() => void this.#find(wanted, turn), PAUSE_MS)
  }

  async #find(wanted: string, turn: number): Promise<void> {
    let found: readonly Found[] = []
    try {
      found = await this.#api.searchMessages(wanted, LIMIT)
    } catch {
      // people are still found; the next letter tries again
    }
    if (turn !== this.#turn) return
    this.messages.value = found
    this.isBusy.value = false
  }
}

/** A piece of a message around what was searched, and where it stands in the piece. */
export interface Excerpt {
  readonly before: string
  readonly match: string
  readonly after: string
}

/** Cut a message, or the name of its file as it is shown, to what is around the first match. */
export function excerptOf({ text, file }: Pick<Entry, "text" | "file">, query: string): Excerpt {
  const flat = (file === null ? text : partsOfName(file.name).join("")).replace(/\s+/g, " ")
  const wanted = query.trim().toLowerCase().replace(/\s+/g, " ")
  const at = flat.toLowerCase().indexOf(wanted)
  if (at < 0) return { before: flat, match: "", after: "" }
  const end = at + wanted.length
  const before = at <= BEFORE ? flat.slice(0, at) : `…${flat.slice(at - BEFORE, at).replace(/^\S*\s/, "")}`
  return {
    before,
    match: flat.slice(at, end),
    after: flat.slice(end, end + AFTER),
  }
}

/** Make letters comparable: without case and accents. */
export function fold(name: string): string {
  return name
    .normalize("NFD")
    .replace(/\p{Diacritic}/gu, "")
    .toLowerCase()
}
