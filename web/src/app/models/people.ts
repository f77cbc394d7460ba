/** Everyone we know, as lists: conversations, requests, blocked. */

import { computed, signal } from "@preact/signals"
import type { Api, Contact, Conversation, Notice } from "../../client/api"
import { codeOf } from "../text/problems"
import { coalesce } from "./coalesce"

export class People {
  /** null until they were read once. */
  readonly conversations = signal<readonly Conversation[] | null>(null)
  readonly requests = signal<readonly Contact[]>([])
  readonly blocked = signal<readonly Contact[]>([])
  /** What concerns no one of them. */
  readonly notices = signal<readonly Notice[]>([])
  /** Code of why the lists could not be read, or null. */
  readonly problem = signal<string | null>(null)
  readonly unread = computed(() => (this.conversations.value ?? []).reduce((sum, { unread }) => sum + unread, 0))

  readonly #api: Api
  readonly refresh: () => Promise<void>

  constructor(api: Api) {
    this.#api = api
    this.refresh = coalesce(() => this.#read())
  }

  find(contact: number): Conversation | undefined {
    return this.conversations.value?.find((conversation) => conversation.contact.id === contact)
  }

  async #read(): Promise<void> {
    try {
      const [conversations, requests, blocked, notices] = await Promise.all([
        this.#api.conversations(),
        this.#api.requests(),
        this.#api.blocked(),
        this.#api.notices(null),
      ])
      this.conversations.value = conversations
      this.requests.value = requests
      this.blocked.value = blocked
      this.notices.value = notices
      this.problem.value = null
    } catch (error) {
      this.problem.value = codeOf(error)
    }
  }
}
