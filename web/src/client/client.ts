/**
 * The client of one tab: every call of the page, over the store that all tabs share.
 *
 * Source: spec/delivery.md, "Client".
 */

import { HalonyxError, TransportError } from "../core/errors"
import type { ContactDetails } from "../wire/rest_account"
import type { RelayKnows } from "../wire/rest_relay"
import { createAccount, deleteAccount, findAccount, loadAccount, recoverAccount } from "./account"
import type {
  Api,
  CardInfo,
  Change,
  Contact,
  Conversation,
  Entry,
  FileApi,
  Found,
  NewInvite,
  Notice,
  SafetyNumber,
  Status,
} from "./api"
import { Contacts, ourCard, contactOf } from "./contacts"
import { forgetNotice, markRead, noticesOf } from "./events"
import { Search, conversations, history, historyAround } from "./history"
import { makeInvite, takesInvites } from "./invites"
import { addText } from "./outbox"
import { Running } from "./running"
import { sealAtOnce } from "./sealing"
import * as table from "./schema"
import { Folders, type Directory } from "./folders"
import { DATABASE, Store, prefix } from "./store"
import { Tabs, isSame, type Reached, type TabMessage } from "./tabs"
import { Transfers } from "./transfers"
import { Relay } from "./transport"
import { isReplaced } from "./upkeep"
import { checkShown, partiesOf, safetyNumberOf, type Parties, type Shown } from "./verification"

const AGAIN_MS = 5000

export interface ClientOptions {
  /** Of the database; locks and channel have it too. */
  readonly name?: string
  /** Called before relays are used; returns the hash of the build (raises TransportError). */
  readonly prepare?: () => Promise<string | null>
  /** Called with every change in any tab. */
  readonly onChange?: (change: Change) => void
  /** Where ciphertext is kept. */
  readonly root?: () => Promise<Directory>
}

/** An open store and what one tab does with it. Made by `Client.open`; any number of tabs may have one store open. */
export class Client implements Omit<Api, keyof FileApi> {
  readonly store: Store
  readonly files: Transfers
  readonly #contacts: Contacts
  readonly #search: Search
  readonly #tabs: Tabs
  readonly #folders: Folders
  readonly #prepare: () => Promise<string | null>
  readonly #onChange: (change: Change) => void
  readonly #progress = (tried: number, expected: number): void => {
    this.#onChange({ kind: "progress", tried, expected })
  }
  #running: Running | null = null
  #reached: Reached = { connection: "connecting", reason: null }
  #told: Reached | null = null // what the tabs heard last, from whichever receives
  #buildHash: string | null = null
  #again: ReturnType<typeof setTimeout> | undefined
  #isClosed = false

  private constructor(store: Store, options: ClientOptions) {
    this.store = store
    this.#prepare = options.prepare ?? (() => Promise.resolve(null))
    this.#onChange = options.onChange ?? (() => undefined)
    this.#contacts = new Contacts(store)
    this.#search = new Search(store)
    this.#tabs = new Tabs(store.name, (message) => {
      this.#hear(message)
    })
    this.#folders = new Folders(store.name, options.root)
    const told = (changes: readonly Change[]): void => {
      const dressed = changes.map((change) => this.#dressed(change))
      this.#tabs.tell({ kind: "changes", changes: dressed })
      this.#take(dressed, true)
    }
    this.files = new Transfers(store, this.#folders, (change) => { told([change]) }, () => this.#prepared())
    store.onChange = told
    // Another tab has a newer program: it must get the locks of this one.
    store.onClosed = () => {
      void this.#letGo().then(() => {
        this.#onChange({ kind: "status" })
      })
    }
  }

  /**
   * Open the store of this browser and, if there is an account, begin to send and to receive.
   *
   * @throws StoreError: the browser gives no storage, or a newer program made the store (another-version).
   */
  static async open(options: ClientOptions = {}): Promise<Client> {
    const client = new Client(await Store.open(options.name ?? DATABASE), options)
    client.#begin()
    return client
  }

  /** Let go of everything; the store stays. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#again)
    await this.files.stop()
    await this.#running?.stop()
    this.#tabs.close()
    this.store.close()
  }

  async status(): Promise<Status> {
    const account = await findAccount(this.store)
    return {
      account: account?.info() ?? null,
      ...this.#reached,
      waiting: await this.store.count(table.messages, "state", prefix("waiting")),
      buildHash: this.#buildHash,
      ...this.files.turn.services,
    }
  }

  async createAccount(
    origin: string,
    invite: string | null = null,
    contact: ContactDetails | null = null,
  ): Promise<{ readonly recoveryCode: string }> {
    await this.#prepared()
    const { recoveryCode } = await createAccount(this.store, origin, { invite, contact }, this.#progress)
    await this.#start()
    return { recoveryCode }
  }

  async recoverAccount(
    origin: string,
    code: string,
    invite: string | null = null,
    contact: ContactDetails | null = null,
  ): Promise<void> {
    await this.#prepared()
    await recoverAccount(this.store, origin, code, { invite, contact }, this.#progress)
    await this.#start()
  }

  async card(): Promise<string> {
    return ourCard(await loadAccount(this.store)).uri()
  }

  readCard(card: string): Promise<CardInfo> {
    return this.#contacts.read(card)
  }

  addContact(card: string, name: string | null): Promise<Contact> {
    return this.#contacts.add(card, name)
  }

  async conversations(): Promise<readonly Conversation[]> {
    const found = await conversations(this.store.snapshot())
    return found.map(({ last, ...rest }) => ({ ...rest, last: last && this.files.dressEntry(last) }))
  }

  requests(): Promise<readonly Contact[]> {
    return this.#contacts.list("request")
  }

  contact(id: number): Promise<Contact> {
    return this.#contacts.get(id)
  }

  renameContact(id: number, name: string): Promise<Contact> {
    return this.#contacts.rename(id, name)
  }

  async blockContact(id: number): Promise<void> {
    await this.#contacts.block(id)
    await this.files.sweep()
  }

  unblockContact(id: number): Promise<void> {
    return this.#contacts.unblock(id)
  }

  async removeContact(id: number): Promise<void> {
    await this.#contacts.remove(id)
    await this.files.sweep()
  }

  blocked(): Promise<readonly Contact[]> {
    return this.#contacts.list("blocked")
  }

  trustContact(id: number): Promise<Contact> {
    return this.#contacts.trust(id)
  }

  acceptRequest(id: number, name: string): Promise<Contact> {
    return this.#contacts.accept(id, name)
  }

  async refuseRequest(id: number): Promise<void> {
    await this.#contacts.refuse(id)
    await this.files.sweep()
  }

  async messages(contact: number, before: number | null, limit: number): Promise<readonly Entry[]> {
    await contactOf(this.store, contact, "accepted", "blocked") // nothing of a stranger is shown
    return (await history(this.store, contact, before, limit)).map((entry) => this.files.dressEntry(entry))
  }

  async messagesAround(contact: number, position: number, limit: number): Promise<readonly Entry[]> {
    await contactOf(this.store, contact, "accepted", "blocked")
    const found = await historyAround(this.store, contact, position, limit)
    return found.map((entry) => this.files.dressEntry(entry))
  }

  notices(contact: number | null): Promise<readonly Notice[]> {
    return noticesOf(this.store, contact)
  }

  async forgetNotice(id: number): Promise<void> {
    await this.store.transaction((tx) => forgetNotice(tx, id))
  }

  async send(contact: number, text: string): Promise<Entry> {
    // As a transaction: it takes the lock, which the next one would wait for.
    if (await this.store.transaction(isReplaced)) await this.#running?.sender.confirm()
    const entry = await addText(this.store, contact, text, sealAtOnce)
    this.#running?.sender.hurry(contact)
    this.#running?.wake("now") // it may have been put off before
    return entry
  }

  async markRead(contact: number): Promise<void> {
    await this.store.transaction((tx) => markRead(tx, contact), "relaxed") // what is unread again is read again
  }

  async safetyNumber(contact: number): Promise<SafetyNumber> {
    return safetyNumberOf(await this.#parties(contact))
  }

  async verify(contact: number, shown: Shown): Promise<Contact> {
    checkShown(await this.#parties(contact), shown)
    return this.#contacts.setVerified(contact)
  }

  searchMessages(text: string, limit: number): Promise<readonly Found[]> {
    return this.#search.search(text, limit)
  }

  async relayKnows(): Promise<RelayKnows> {
    await this.#prepared()
    return new Relay((await loadAccount(this.store)).origin).knows()
  }

  takesInvites(): Promise<boolean> {
    return takesInvites(this.store)
  }

  makeInvite(): Promise<NewInvite> {
    return makeInvite(this.store)
  }

  retry(): Promise<void> {
    this.#tabs.tell({ kind: "retry" })
    this.#begin()
    this.#running?.hurry()
    return Promise.resolve()
  }

  async deleteAccount(code: string): Promise<void> {
    await this.#prepared()
    await deleteAccount(this.store, code)
  }

  async eraseDevice(): Promise<void> {
    this.#tabs.tell({ kind: "erase" })
    const { name } = this.store
    await this.#letGo()
    await this.#folders.erase()
    await Store.erase(name)
    this.#onChange({ kind: "erased" })
  }

  /** Begin, now or when the server of this page answers; what is in the store can be read before. */
  #begin(): void {
    clearTimeout(this.#again)
    this.#start().catch((error: unknown) => {
      if (this.#isClosed) return
      if (!(error instanceof TransportError)) console.error(error)
      this.#setReached({ connection: "offline", reason: error instanceof HalonyxError ? error.code : "internal" })
      clearTimeout(this.#again)
      this.#again = setTimeout(() => {
        this.#begin()
      }, AGAIN_MS)
    })
  }

  async #prepared(): Promise<void> {
    const known = this.#buildHash
    this.#buildHash = await this.#prepare()
    if (this.#buildHash !== known) this.#onChange({ kind: "status" })
  }

  /** Begin to send and to receive, if there is an account. */
  async #start(): Promise<void> {
    if (this.#running !== null) return
    await this.#prepared()
    if ((await findAccount(this.store)) === null) return
    // Asked again: another call may have begun while this one waited.
    if (this.#isClosed || this.isRunning) return
    this.#running = new Running(this.store, (reached) => {
      this.#setReached(reached)
    })
    this.#tabs.tell({ kind: "ask" })
    void this.files.start().then((isNew) => {
      if (isNew) this.#onChange({ kind: "status" })
    })
  }

  /** Whether this tab sends, and receives or waits for the one that does. */
  get isRunning(): boolean {
    return this.#running !== null
  }

  #hear(message: TabMessage): void {
    switch (message.kind) {
      case "changes":
        for (const change of message.changes) if (change.kind === "transfer") this.files.hear(change.transfer)
        this.#take(message.changes, false)
        break
      case "reached":
        this.#told = message.reached
        if (this.#running?.isReceiving !== true) this.#setReached(message.reached) // else it knows better
        break
      case "ask":
        if (this.#running?.isReceiving === true) this.#tabs.tell({ kind: "reached", reached: this.#reached })
        break
      case "retry":
        this.#running?.hurry()
        break
      case "erase":
        void this.#letGo().then(() => { this.#onChange({ kind: "erased" }) })
    }
  }

  #dressed(change: Change): Change {
    if (change.kind === "transfer") return { ...change, transfer: this.files.dress(change.transfer) }
    if (change.kind !== "messages") return change
    return { ...change, entries: change.entries.map((entry) => this.files.dressEntry(entry)) }
  }

  /** Tell the page, and look whether there is something to send, or an account at last; a tab sends what it wrote. */
  #take(changes: readonly Change[], isOurs: boolean): void {
    for (const change of changes) this.#onChange(change)
    this.files.heed(changes)
    if (changes.some(isOfOurs)) this.#onChange({ kind: "status" }) // it counts those that wait
    if (this.#running !== null) this.#running.wake(isOurs ? (changes.some(isWritten) ? "now" : "soon") : "later")
    else if (changes.some((change) => change.kind === "status")) this.#begin()
  }

  /** Tell the page, and the other tabs if this is the one that receives: what another finds concerns it alone. */
  #setReached(reached: Reached): void {
    const isNew = !isSame(reached, this.#reached)
    this.#reached = reached
    if (this.#running?.isReceiving === true && !isSame(reached, this.#told)) {
      this.#told = reached
      this.#tabs.tell({ kind: "reached", reached })
    }
    if (isNew) this.#onChange({ kind: "status" })
  }

  /** Stop, and forget what is in memory. */
  async #letGo(): Promise<void> {
    this.#search.clear()
    await this.close()
    this.#running = null
  }

  #parties(id: number): Promise<Parties> {
    return partiesOf(this.store, this.#running?.sender ?? null, id)
  }
}

function isOfOurs(change: Change): boolean {
  return change.kind === "messages" && change.entries.some((entry) => entry.outgoing)
}

/** Tell whether a person has just written something. */
function isWritten(change: Change): boolean {
  return change.kind === "messages" && change.entries.some((entry) => entry.state === "waiting")
}
