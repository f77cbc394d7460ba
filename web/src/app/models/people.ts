/** Everyone we know, as lists: conversations, requests, blocked. */

import { computed, signal } from "@preact/signals"
import type { Api, Contact, Conversation, Notice, NoticeKind } from "../../client/api"
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
  readonly #refresh: () => Promise<void>
  #isAllWanted = false

  constructor(api: Api) {
    this.#api = api
    this.#refresh = coalesce(() => this.#read())
  }

  refresh(): Promise<void> {
    this.#isAllWanted = true
    return this.#refresh()
  }

  /** Read the conversations only: all that a message changes. */
  refreshConversations(): Promise<void> {
    return this.#refresh()
  }

  find(contact: number): Conversation | undefined {
    return this.conversations.value?.find((conversation) => conversation.contact.id === contact)
  }

  /** Close for good what was said in these ways; what was said before, too: it would come up in its place. */
  closeNotices(...kinds: readonly NoticeKind[]): void {
    for (const { id, kind } of this.notices.value) {
      if (kinds.includes(kind)) void this.#api.forgetNotice(id).catch(() => undefined) // it can be closed again
    }
  }

  async #read(): Promise<void> {
    const isAllWanted = this.#isAllWanted
    this.#isAllWanted = false
    try {
      const [conversations, others] = await Promise.all([
        this.#api.conversations(),
        isAllWanted ? Promise.all([this.#api.requests(), this.#api.blocked(), this.#api.notices(null)]) : null,
      ])
      this.conversations.value = conversations
      if (others !== null) [this.requests.value, this.blocked.value, this.notices.value] = others
      this.problem.value = null
    } catch (error) {
      this.#isAllWanted ||= isAllWanted
      this.problem.value = codeOf(error)
    }
  }
}
