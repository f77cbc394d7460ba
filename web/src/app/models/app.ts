/** The whole page as values that change: what is open, what is known, what is going on. */

import { computed, effect, signal } from "@preact/signals"
import type { AccountInfo, Api, Change, Entry, Status, Transfer } from "../../client/api"
import { codeOf, fileReasonText, problemText } from "../text/problems"
import { text } from "../text/text"
import { alertsOf, type Alert } from "./alerts"
import { coalesce } from "./coalesce"
import { partsOfName } from "./files"
import { FirstRun } from "./first_run"
import { joined, type Parcel } from "./parcels"
import { People } from "./people"
import type { Preferences } from "./preferences"
import { Search } from "./search"
import { Thread } from "./thread"
import { Transfers, type Ending } from "./transfers"

export type Place =
  | { readonly kind: "list" }
  | { readonly kind: "thread"; readonly contact: number }
  | { readonly kind: "requests" }

export type Dialog =
  | { readonly kind: "add"; readonly card: string }
  | { readonly kind: "share" }
  | { readonly kind: "safety"; readonly contact: number }
  | { readonly kind: "details"; readonly contact: number }
  | { readonly kind: "block" | "remove"; readonly contact: number }
  | { readonly kind: "send-files"; readonly contact: number; readonly parcels: readonly Parcel[] }
  | { readonly kind: "save-files" | "cancel-file" | "forget-file"; readonly transfer: Transfer }
  | { readonly kind: "settings" }
  | { readonly kind: "knows" }
  | { readonly kind: "leave" }
  | { readonly kind: "palette" }

export interface Toast {
  readonly id: number
  readonly words: string
  readonly isBad: boolean
}

/** What the page around the models does for them. */
export interface Surroundings {
  readonly now: () => number
  readonly dayOf: (time: number) => number
  readonly random: (below: number) => number
  /** Whether the person can see the page now. */
  readonly isVisible: () => boolean
  readonly alert: (alert: Alert, name: string) => void
  readonly sent: () => void
  /** Note where we are, so that Back leads there again. */
  readonly went: (place: Place) => void
}

/** How small pictures of files are made, and whether the drop may hold them. */
type Offered = [thumbnailOf: (file: File) => Promise<Transfer["thumbnail"]>, options: { readonly drop: boolean }]

const TOAST_MS = 5000

export class App {
  readonly api: Api
  readonly preferences: Preferences
  readonly people: People
  readonly search: Search
  readonly palette: Search
  readonly firstRun: FirstRun
  readonly transfers = new Transfers()

  readonly status = signal<Status | null>(null)
  readonly problem = signal<string | null>(null)
  readonly isErased = signal(false)
  readonly place = signal<Place>({ kind: "list" })
  readonly thread = signal<Thread | null>(null)
  readonly dialog = signal<Dialog | null>(null)
  readonly toast = signal<Toast | null>(null)
  readonly isDetailsShown = signal(true)
  /** What a screen reader says about new messages. */
  readonly spoken = signal("")
  /** A card that came with the address of the page, before there was an account. */
  readonly invitation = signal<string | null>(null)
  /** A new build waits, or another tab took it over. */
  readonly update = signal<"ready" | "taken" | null>(null)
  /** Hash of the build that this page is of; null while it is not known. */
  readonly build = signal<string | null>(null)
  readonly account = computed<AccountInfo | null>(() => this.status.value?.account ?? null)
  readonly drafts = new Map<number, string>()

  readonly #around: Surroundings
  readonly #seen = new Set<string>()
  readonly #refreshStatus: () => Promise<void>
  #toasts = 0

  constructor(api: Api, preferences: Preferences, around: Surroundings) {
    this.api = api
    this.preferences = preferences
    this.#around = around
    this.people = new People(api)
    this.search = new Search(api, this.people)
    this.palette = new Search(api, this.people)
    this.firstRun = new FirstRun(api, around.random)
    this.#refreshStatus = coalesce(() => this.#readStatus())
    effect(() => {
      const { kind } = this.firstRun.step.value
      if (kind === "steps" || kind === "done") void this.#refreshStatus()
    })
    effect(() => {
      const card = this.invitation.value
      if (card === null || this.account.value === null || this.firstRun.step.value.kind === "steps") return
      this.invitation.value = null
      this.dialog.value = { kind: "add", card }
    })
  }

  async start(): Promise<void> {
    this.problem.value = null
    await this.#refreshStatus()
  }

  /** Take in what changed, here or in another tab. */
  change(change: Change): void {
    switch (change.kind) {
      case "contacts":
        void this.people.refresh()
        void this.thread.value?.refreshContact()
        break
      case "messages":
        this.#messages(change.contact, change.entries)
        break
      case "notices":
        if (change.contact === null) void this.people.refresh()
        if (change.contact === this.thread.value?.id) void this.thread.value.refreshNotices()
        break
      case "status":
        void this.#refreshStatus()
        break
      case "progress":
        this.firstRun.progress.value = change
        break
      case "transfer":
        this.#ended(this.transfers.take(change.transfer))
        break
      case "erased":
        this.isErased.value = true
        break
    }
  }

  /** Offer to add whose card it is, now or once there is an account. */
  invite(card: string): void {
    this.invitation.value = card
  }

  /** Go somewhere; `position` is a message to point out. */
  go(place: Place, position: number | null = null): void {
    this.#around.went(place)
    this.show(place, position)
  }

  /** As `go`, for a place that Back led to. */
  show(place: Place, position: number | null = null): void {
    this.place.value = place
    if (place.kind !== "thread") {
      this.thread.value = null
      return
    }
    if (this.thread.value?.id === place.contact) {
      if (position !== null) void this.thread.value.jumpTo(position)
      return
    }
    const thread = new Thread(this.api, place.contact, this.#around.dayOf)
    this.thread.value = thread
    void thread.open(this.people.find(place.contact)?.unread ?? 0, position).then(() => this.read())
  }

  /** Mark the open conversation read if the person can see it. */
  async read(): Promise<void> {
    const thread = this.thread.value
    if (thread === null || !this.#around.isVisible()) return
    if ((this.people.find(thread.id)?.unread ?? 0) > 0) await thread.markRead()
  }

  /** Try to connect now: the network may have come back. */
  async reconnect(): Promise<void> {
    if (this.status.value?.connection === "online") return
    await this.api.retry().catch(() => undefined) // it is tried again anyway
  }

  /** Do what a person asked for; say how it went. Returns whether it went well. */
  async act(work: () => Promise<unknown>, words: string | null): Promise<boolean> {
    try {
      await work()
      if (words !== null) this.say(words)
      return true
    } catch (error) {
      this.say(problemText(codeOf(error)), true)
      return false
    }
  }

  say(words: string, isBad = false): void {
    const id = ++this.#toasts
    this.toast.value = { id, words, isBad }
    setTimeout(() => {
      if (this.toast.value?.id === id) this.toast.value = null
    }, TOAST_MS)
  }

  async send(thread: Thread, words: string): Promise<void> {
    await thread.send(words)
    this.#around.sent()
  }

  /** Offer files, and show that in the conversation. */
  async offer(
    contact: number,
    { folder, files }: Parcel,
    ...[thumbnailOf, options]: Offered
  ): Promise<void> {
    const [first] = files
    const thumbnail = folder === null && first !== undefined ? await thumbnailOf(first.file) : null
    const entry = await this.api.offerFiles(contact, files, folder, thumbnail, options)
    if (this.thread.value?.id === contact) await this.thread.value.sent(entry)
    this.#around.sent()
  }

  /** Offer what was chosen, and take it out of the dialog, if that is still the one that is open. */
  async offerAll(contact: number, parcels: readonly Parcel[], ...how: Offered): Promise<void> {
    for (const parcel of parcels) {
      if (!(await this.act(() => this.offer(contact, parcel, ...how), null))) return
      const open = this.dialog.value
      if (open?.kind !== "send-files" || open.contact !== contact) continue
      const left = open.parcels.filter((other) => other !== parcel)
      this.dialog.value = left.length > 0 ? { ...open, parcels: left } : null
    }
  }

  /** Show what is about to be sent, together with what is there already. */
  prepareFiles(contact: number, parcels: readonly Parcel[]): void {
    const open = this.dialog.value
    const before = open?.kind === "send-files" && open.contact === contact ? open.parcels : []
    this.dialog.value = { kind: "send-files", contact, parcels: joined(before, parcels) }
  }

  /** Leave the conversation with someone who is no contact any more. */
  leave(contact: number): void {
    this.dialog.value = null
    this.drafts.delete(contact)
    if (this.thread.value?.id === contact) this.go({ kind: "list" })
  }

  #messages(contact: number, entries: readonly Entry[]): void {
    this.transfers.takeEntries(entries)
    const thread = this.thread.value
    if (thread?.id === contact) thread.absorb(entries)
    void this.people.refreshConversations().then(() => {
      for (const alert of alertsOf(entries, this.#seen, this.#around.now())) this.#tell(alert)
      return this.read()
    })
  }

  #tell(alert: Alert): void {
    const name = this.people.find(alert.contact)?.contact.name
    if (name === undefined) return // a stranger who has not been accepted
    this.#around.alert(alert, name)
    const isOpen = this.thread.value?.id === alert.contact
    const { file } = alert.entry
    const words = file === null ? text.thread.says(name, alert.entry.text) : text.files.says(name, shownName(file))
    this.spoken.value = isOpen ? words : text.thread.newFrom(name)
  }

  /** Say once how an offer ended; its numbers are nothing to listen to. */
  #ended(ending: Ending | null): void {
    const name = ending === null ? undefined : this.people.find(ending.transfer.contact)?.contact.name
    if (ending === null || name === undefined) return
    const { transfer, state } = ending
    const [file, { outgoing, reason }] = [shownName(transfer), transfer]
    if (state === "done") this.spoken.value = outgoing ? text.files.went(file, name) : text.files.came(file, name)
    else {
      const words = text.files.states[state][outgoing ? "ours" : "theirs"](name)
      const why = reason === null ? words : `${words}. ${fileReasonText(reason, name, outgoing)}`
      this.spoken.value = text.files.ended(file, why)
    }
  }

  async #readStatus(): Promise<void> {
    try {
      const before = this.account.peek()
      const status = await this.api.status()
      this.status.value = status
      this.problem.value = null
      if (before === null && status.account !== null) await this.people.refresh()
    } catch (error) {
      this.problem.value = codeOf(error)
    }
  }
}

function shownName({ name }: Transfer): string {
  return partsOfName(name).join("")
}
