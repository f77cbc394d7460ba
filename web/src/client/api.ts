/**
 * What the page sees of the client: values that can be posted between page and Worker, and the calls.
 *
 * Ids, USIDs and addresses are lowercase hex; times are milliseconds since 1970-01-01 UTC.
 *
 * Source: spec/delivery.md, "What a person sees".
 */

import type { Bytes } from "../core/types"
import type { RelayKnows } from "../wire/rest_relay"
import type { ContactDetails } from "../wire/rest_account"

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
  /** The person agreed that this contact may see the address of this machine, for files. */
  readonly directAllowed: boolean
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
  /** What was offered, if this line is an offer; `text` is empty then. */
  readonly file: Transfer | null
}

export type TransferState =
  | "preparing" // ours: being encrypted
  | "offered" // they, or we, have not decided
  | "waiting" // accepted; nobody is connected
  | "transferring"
  | "paused" // by the person, here
  | "verifying"
  | "done" // verified; theirs: may be saved
  | "refused"
  | "cancelled"
  | "failed"

export type TransferPath = "direct" | "relayed" | "drop"

/** One offer of files and what became of it, either way; sizes in bytes. */
export interface Transfer {
  /** Message id of the offer. */
  readonly id: string
  /** Grows with each change of what is stored; how a transfer goes is told under the version it was read at. */
  readonly version: number
  readonly contact: number
  readonly outgoing: boolean
  /** Of the file or the folder; may not lead anywhere. */
  readonly name: string
  readonly mediaType: string
  readonly isFolder: boolean
  readonly count: number
  /** Sum of the files. */
  readonly size: number
  /** JPEG or WebP. */
  readonly thumbnail: Bytes | null
  readonly state: TransferState
  /**
   * Code of why it waits or failed, or null. While it waits: "peer-offline"; "relay-unreachable"; "relay-not-allowed";
   * "strange-relay" (the offer names a relay that is not its sender's);
   * "needs-direct" (our relay has no TURN: the person here has to allow a direct connection); "no-turn" (theirs has none:
   * they have to allow it); "drop-full", "no-drop", "drop-unknown"; "unconfirmed" (they have all of ours and did not say
   * so yet). Failed: "wrong-hash", "wrong-metadata", "damaged", "disk-full" (theirs, or ours while it came), "no-room"
   * (for our ciphertext), "gone", "file-changed", "interrupted" (the tab was closed before it was encrypted), "cancelled",
   * "expired" (not confirmed within fourteen days), "internal".
   */
  readonly reason: string | null
  /** Of the ciphertext, which is what travels; while preparing: encrypted so far. */
  readonly done: number
  readonly total: number
  /** Bytes per second. */
  readonly down: number
  readonly up: number
  readonly peers: number
  /** Uploaded divided by the ciphertext's size. */
  readonly ratio: number
  readonly secondsLeft: number | null
  readonly path: TransferPath | null
  /** The drop of the sender's relay holds the ciphertext. */
  readonly inDrop: boolean
  readonly directAllowed: boolean
  /** Whether our relay has them; false and null until it was asked. */
  readonly hasDrop: boolean
  readonly hasTurn: boolean | null
}

/** A file of an offer: its path inside a folder, parted by "/", or its name. */
export interface OfferedFile {
  readonly path: string
  readonly file: File
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
  | "announcement" // the operator of our relay says something; `data` has `relay` and `announcement`

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
  /** Whether our relay has a drop and TURN; false and null until it was asked. */
  readonly hasDrop: boolean
  readonly hasTurn: boolean | null
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

/** The calls about files. */
export interface FileApi {
  /**
   * Offer a file, or a folder of them. Resolves when the line is in the conversation; it is encrypted after that, and
   * the offer goes out when that is done.
   *
   * @param folder Its name; null offers the one file.
   * @param thumbnail JPEG or WebP, at most 16,384 bytes.
   * @param options.drop May also lie in our relay's drop, as ciphertext.
   */
  offerFiles(
    contact: number,
    files: readonly OfferedFile[],
    folder: string | null,
    thumbnail: Bytes | null,
    options: { readonly drop: boolean },
  ): Promise<Entry>
  /** All offers of a conversation, the newest first. */
  filesOf(contact: number): Promise<readonly Transfer[]>
  acceptFile(id: string): Promise<void>
  refuseFile(id: string): Promise<void>
  pauseFile(id: string): Promise<void>
  resumeFile(id: string): Promise<void>
  cancelFile(id: string): Promise<void>
  /** Begin a failed one again, or try a waiting one now. */
  retryFile(id: string): Promise<void>
  /** Agree that a contact sees the address of this machine, or take that back. */
  allowDirect(contact: number, allowed: boolean): Promise<Contact>
  /** Decrypt what was verified, to be handed to the person; each name is safe to save under. */
  saveFile(id: string): Promise<readonly OfferedFile[]>
  /** A verified picture to show in place, at most 16 MiB and 40 megapixels; null for whatever else it is. */
  openImage(id: string): Promise<File | null>
}

/** Lets one person sign up at our relay; shown once. */
export interface NewInvite {
  /** 32 characters of hex. */
  readonly invite: string
  readonly expires: number
}

/** Every call of the page; a rejected one is a HalonyxError with its `code`. */
export interface Api extends FileApi {
  status(): Promise<Status>
  /**
   * Make an identity and register it; work comes as Change "progress".
   *
   * @param invite, contact For a relay that asks for them: the codes "bad-invite" and "contact-required" say so.
   */
  createAccount(
    origin: string,
    invite?: string | null,
    contact?: ContactDetails | null,
  ): Promise<{ readonly recoveryCode: string }>
  /**
   * Bring an identity back.
   *
   * @param invite, contact As at `createAccount`, for a relay that has never had this account, or lost it.
   */
  recoverAccount(
    origin: string,
    code: string,
    invite?: string | null,
    contact?: ContactDetails | null,
  ): Promise<void>
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
  /** Forget a quiet line that was read. */
  forgetNotice(id: number): Promise<void>
  /** Durable when it resolves; goes out by itself. */
  send(contact: number, text: string): Promise<Entry>
  markRead(contact: number): Promise<void>
  safetyNumber(contact: number): Promise<SafetyNumber>
  /** Mark verified; code "safety-number-differs" if what was shown is not right. */
  verify(contact: number, shown: { readonly scanned: Bytes } | { readonly number: string }): Promise<Contact>
  searchMessages(text: string, limit: number): Promise<readonly Found[]>
  /** Whether our relay takes new people by invite. */
  takesInvites(): Promise<boolean>
  /** Make an invite to our relay; codes "no-invites" and "invites-used". */
  makeInvite(): Promise<NewInvite>
  /** Try everything now. */
  retry(): Promise<void>
  /** Ask our relay what it holds about an account, and what it could tell a court. */
  relayKnows(): Promise<RelayKnows>
  /**
   * Delete our account at its relay; what is here stays. Codes "malformed-code", "wrong-code" (another account's) and
   * "unknown-account".
   */
  deleteAccount(code: string): Promise<void>
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
  | { readonly kind: "transfer"; readonly transfer: Transfer }
  | { readonly kind: "erased" }

/** How an error crosses from the Worker; codes as in spec/conventions.md; the message is English, for the console. */
export interface ApiError {
  readonly code: string
  readonly message: string
}
