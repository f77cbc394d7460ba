/**
 * What the page sees of the client: values that can be posted between page and Worker, and the calls.
 *
 * Ids, USIDs and addresses are lowercase hex; times are milliseconds since 1970-01-01 UTC.
 *
 * Source: spec/delivery.md, "What a person sees".
 */

import type { Bytes } from "../core/types"

export type ContactState = "accepted" | "request" | "blocked" | "removed"
export type MessageState = "waiting" | "accepted" | "delivered" | "failed" | "received"

/** The account of this browser. */
export interface AccountInfo {
  readonly usid: string
  readonly address: string
  /** The relay it receives at. */
  readonly origin: string
  /** 1 to 255. */
  readonly device: number
}

/** Someone we know. */
export interface Contact {
  readonly id: number
  /** Ours for them; at most 64 code points. */
  readonly name: string
  readonly address: string
  readonly usid: string
  readonly origin: string
  readonly state: ContactState
  /** The safety number was compared. */
  readonly verified: boolean
  /** Code of why sending stopped until the person decides, or null. */
  readonly frozen: string | null
  /** Code of why the last try to write to them failed, or null. */
  readonly waitsFor: string | null
  /** How many devices their record names; 0 before it was fetched. */
  readonly devices: number
  readonly added: number
}

/** One line of a conversation, either way. */
export interface Entry {
  /** Our order of receipt. */
  readonly position: number
  readonly id: string
  readonly contact: number
  readonly outgoing: boolean
  readonly text: string
  /** The sender's clock. */
  readonly time: number
  /** Ours. */
  readonly received: number
  readonly state: MessageState
}

export type NoticeKind =
  | "request" // a stranger's first message waits for a decision
  | "requests-full" // a stranger's first message was dropped: too many wait for a decision
  | "device" // a contact has a new device
  | "gap" // a message of theirs is missing and was asked for
  | "refreshed" // a session was repaired
  | "stale" // the relay serves an old or a second record; sending is stopped
  | "own-record" // a contact was served another record of ours than the one we published
  | "unsupported" // a message of a newer program
  | "drained" // a contact got none of our one-time keys: they are used up or withheld
  | "restored" // our relay was put back to an older copy; what it lost is asked for and sent again
  | "failed" // a message was not confirmed within 14 days

/** Something the person should know that is no message; the keys of `data` depend on the kind. */
export interface Notice {
  readonly id: number
  readonly kind: NoticeKind
  readonly contact: number | null
  readonly time: number
  readonly data: Readonly<Record<string, string | number | boolean>>
}

export interface Conversation {
  readonly contact: Contact
  readonly last: Entry | null
  readonly unread: number
}

export interface Found {
  readonly entry: Entry
  readonly contactName: string
}

export type Connection = "connecting" | "online" | "offline" | "refused"

export interface Status {
  readonly account: AccountInfo | null
  readonly connection: Connection
  /** Code of why there is no connection, or null. */
  readonly reason: string | null
  /** How many messages of ours no relay has yet. */
  readonly waiting: number
  readonly buildHash: string | null
}

/** What two people compare: 12 groups of five digits, or a code of 130 bytes. */
export interface SafetyNumber {
  readonly groups: readonly string[]
  readonly qr: Bytes
  readonly ourAddress: string
  readonly theirAddress: string
}

/** A card that was read, and whether we know whose it is. */
export interface CardInfo {
  readonly usid: string
  readonly address: string
  readonly origin: string
  readonly isOurs: boolean
  readonly known: Contact | null
}

/** Every call of the page; a rejected one is a HalonyxError with its `code`. */
export interface Api {
  status(): Promise<Status>
  /** Make an identity and register it; solving the proof of work comes as Change "progress". */
  createAccount(origin: string): Promise<{ readonly recoveryCode: string }>
  recoverAccount(origin: string, code: string): Promise<void>
  /** Our card as a halonyx URI. */
  card(): Promise<string>
  readCard(card: string): Promise<CardInfo>
  addContact(card: string, name: string | null): Promise<Contact>
  /** Accepted contacts, the one with the newest message first. */
  conversations(): Promise<readonly Conversation[]>
  requests(): Promise<readonly Contact[]>
  contact(id: number): Promise<Contact>
  renameContact(id: number, name: string): Promise<Contact>
  blockContact(id: number): Promise<void>
  unblockContact(id: number): Promise<void>
  removeContact(id: number): Promise<void>
  blocked(): Promise<readonly Contact[]>
  /** End `frozen` after the person compared numbers. */
  trustContact(id: number): Promise<Contact>
  acceptRequest(id: number, name: string): Promise<Contact>
  refuseRequest(id: number): Promise<void>
  /** The newest messages before a position, oldest first. */
  messages(contact: number, before: number | null, limit: number): Promise<readonly Entry[]>
  messagesAround(contact: number, position: number, limit: number): Promise<readonly Entry[]>
  /** Quiet lines of a conversation, by time; null: what concerns no contact ("requests-full", "restored"). */
  notices(contact: number | null): Promise<readonly Notice[]>
  /** Durable when it resolves; goes out by itself. */
  send(contact: number, text: string): Promise<Entry>
  markRead(contact: number): Promise<void>
  safetyNumber(contact: number): Promise<SafetyNumber>
  /** Mark verified; Misuse if what was shown is not right. */
  verify(contact: number, shown: { readonly scanned: Bytes } | { readonly number: string }): Promise<Contact>
  searchMessages(text: string, limit: number): Promise<readonly Found[]>
  /** Try everything now. */
  retry(): Promise<void>
  /** Delete database, caches and local settings. */
  eraseDevice(): Promise<void>
}

/** What changed, told to every tab. */
export type Change =
  | { readonly kind: "contacts" }
  | { readonly kind: "messages"; readonly contact: number; readonly entries: readonly Entry[] } // added or changed
  | { readonly kind: "notices"; readonly contact: number | null }
  | { readonly kind: "status" }
  | { readonly kind: "progress"; readonly tried: number; readonly expected: number }
  | { readonly kind: "erased" }

/** How an error crosses from the Worker; codes as in spec/conventions.md; the message is English, for the console. */
export interface ApiError {
  readonly code: string
  readonly message: string
}
