/**
 * Tables of the local store, one entry of MIGRATIONS for each version.
 *
 * Keys and indexes stand in the clear, so they are local ids, counters, hashes and states; all else is sealed. Conditions
 * on what is sealed (times, mostly) are checked on rows that an index has found.
 *
 * Source: spec/conventions.md, "At rest".
 */

import type { KeyPair, SigningKey } from "../core/primitives"
import type { Sessions } from "../core/session"
import type { Bytes, MessageId, Millis, PrekeyId, SessionId, Usid } from "../core/types"
import type { ContactState, MessageState, NoticeKind } from "./api"
import { makeTable } from "./table"
import type { Flag, Shape, Table } from "./table"
import type { StoredTransfer } from "./transfer_row"

/** The account of this browser; one row. */
export interface StoredAccount {
  readonly one: 1
  readonly usid: Usid
  readonly origin: string
  /** Pinned at sign-up. */
  readonly relayKey: Bytes
  readonly device: number
  readonly identity: KeyPair
  readonly signing: SigningKey
  readonly login: SigningKey
  readonly record: Bytes
  readonly profileKey: Bytes
  readonly isAccessPublished: boolean
  /** The relay still has to drop the old ones. */
  readonly isOneTimeRenewed: boolean
  readonly refilled: Millis
  /** Ids are never reused, whatever their use. */
  readonly lastPrekey: number
  readonly epoch: Bytes
  readonly cursor: bigint
  /** When the person was last told that a stranger found no room. */
  readonly requestsFullNoted?: Millis
  /** Our relay did not know this device any more. */
  readonly isReplaced?: boolean
  /** When it last showed that it does. */
  readonly known?: Millis
  /** Pinned at sign-up; not there in an account of a version before. */
  readonly operatorKey?: Bytes
  /** Time of the announcement shown last, by the operator's clock, and when it came, by ours. */
  readonly announced?: bigint
  readonly announcementCame?: Millis
}

/** Where a prekey of ours is: made, at the relay, or taken back from it. */
export type PrekeyState = 0 | 1 | 2

export interface StoredPrekey {
  readonly id: PrekeyId
  readonly use: number
  readonly state: PrekeyState
  /** The X25519 half, of those that have one. */
  readonly pair: KeyPair | null
  /** The ML-KEM half, 64 bytes, of those that have one. */
  readonly seed: Bytes | null
  /** The signed encoding. */
  readonly public: Bytes
  readonly made: Millis
  readonly expiry: Millis
}

/** A handshake without one-time keys, so that none is accepted twice. */
export interface StoredReplay {
  /** Hex. */
  readonly key: string
  readonly seen: Millis
}

export interface StoredContact {
  readonly id: number
  /** `Reads.blind` of the address; no two contacts have the same. */
  readonly addressHash: string
  readonly state: ContactState
  /** No two contacts have the same. */
  readonly name: string
  readonly usid: Bytes
  readonly address: Bytes
  readonly origin: string
  readonly isVerified: boolean
  readonly record: Bytes | null
  readonly recordVersion: number
  readonly recordChecked: Millis
  /** Highest version the card or the contact has named. */
  readonly namedVersion: number
  readonly namedTries: number
  readonly namedSince: Millis
  readonly frozen: string | null
  /** The record that did not fit. */
  readonly evidence: Bytes | null
  /** Theirs. */
  readonly profileKey: Bytes | null
  readonly hasOurProfileKey: boolean
  /** Code of why the last try to write to them failed. */
  readonly waitsFor: string | null
  readonly unsupportedNoted: Millis
  /** Which record of ours they named that is not ours. */
  readonly ownVersionNamed: number
  readonly added: Millis
  /** What was written before is not shown; 0 of someone who never was blocked. */
  readonly unblocked?: Millis
  /** Messages of theirs that were not read yet. */
  readonly unread: number
  /** Of the newest message; 0 without one. */
  readonly lastPosition: number
  /** The person agreed that they see our address. */
  readonly directAllowed?: boolean
}

export interface StoredDevice {
  readonly contact: number
  readonly device: number
  /** A reset is due: `brokenSession` is not null. */
  readonly isBroken: Flag
  readonly sessions: Sessions
  readonly revision: number
  readonly sentCounter: number
  /** 0 if whichever comes first is the first. */
  readonly nextCounter: number
  readonly envelopePrekey: Bytes | null
  readonly envelopeFetched: Millis
  /** Its messages could not be read; empty when its id is not known. */
  readonly brokenSession: SessionId | null
  /** We know the session that its message named. */
  readonly isBreakProven: boolean
  readonly resetSent: Millis
}

export interface StoredMessage {
  readonly position: number
  readonly contact: number
  readonly isOutgoing: Flag
  /** Hex. */
  readonly messageId: string
  readonly state: MessageState
  readonly device: number
  readonly counter: number
  readonly text: string
  readonly sent: Millis
  readonly received: Millis
  /** An offer of files; the rest of it is in `transfers`. */
  readonly isOffer?: boolean
}

/** A message that arrived before an earlier one of the same device. */
export interface StoredHeld {
  readonly contact: number
  readonly device: number
  readonly counter: number
  readonly messageId: MessageId
  readonly text: string
  /** The body of an offer of files, or nothing. */
  readonly offer?: Bytes
  readonly sent: Millis
  readonly received: Millis
}

export interface StoredGap {
  readonly contact: number
  readonly device: number
  readonly counter: number
  readonly isShown: Flag
  readonly noticed: Millis
  readonly asked: Millis
}

/** What is to be sent. The oldest row has the smallest position. */
export interface StoredOutbox {
  readonly position: number
  readonly contact: number
  readonly isExpanded: Flag
  /** Hex. */
  readonly messageId: string
  /** Null: every device of the record. */
  readonly device: number | null
  readonly kind: number
  readonly body: Bytes
  readonly sent: Millis
}

export type DeliveryState = "sealed" | "accepted" | "delivered" | "resend"

/** One outbox row for one device. */
export interface StoredDelivery {
  /** The order of sealing, and so of sending. */
  readonly id: number
  /** Of the outbox row. */
  readonly position: number
  /** Of the outbox row. */
  readonly contact: number
  readonly device: number
  readonly state: DeliveryState
  /** Hex. */
  readonly envelopeId: string
  readonly counter: number
  /** Sealed once; repeated byte for byte until accepted. */
  readonly envelope: Bytes | null
  readonly resends: number
  /** Its receipt shows that they have our current one. */
  readonly hasProfileKey: boolean
}

export interface StoredReceipt {
  readonly id: number
  readonly contact: number
  readonly device: number
  /** Hex; one receipt for a message of a device. */
  readonly messageId: string
}

/** An envelope that was taken in: the same bytes never are twice. */
export interface StoredSeen {
  /** SHA-256, hex. */
  readonly envelope: string
  /** Whole days since 1970: in the clear, so no finer. */
  readonly day: number
}

export interface StoredEvent {
  readonly id: number
  readonly contact: number | null
  readonly kind: NoticeKind
  readonly time: Millis
  readonly data: Readonly<Record<string, string | number | boolean>>
}

/** When we asked anyone to send again. */
export interface StoredReset {
  readonly id: number
  readonly cause: "proven" | "unproven" | "epoch"
  readonly time: Millis
}

export const account: Table<StoredAccount> = { name: "account", key: ["one"], indexes: {}, isKept: true }

export const prekeys: Table<StoredPrekey, "use"> = {
  name: "prekeys",
  isKept: true,
  key: ["id"],
  indexes: { use: ["use", "state"] },
}

export const replays: Table<StoredReplay> = { name: "replays", key: ["key"], indexes: {} }

export const contacts: Table<StoredContact, "address" | "state", "id"> = {
  name: "contacts",
  isKept: true,
  key: ["id"],
  indexes: { address: ["addressHash"], state: ["state"] },
}

export const devices: Table<StoredDevice, "broken"> = {
  name: "devices",
  isKept: true,
  key: ["contact", "device"],
  indexes: { broken: ["isBroken", "contact"] },
}

export const messages: Table<StoredMessage, "contact" | "message" | "state", "position"> = {
  name: "messages",
  isKept: "read",
  key: ["position"],
  indexes: {
    contact: ["contact", "position"],
    message: ["contact", "isOutgoing", "messageId"],
    state: ["state", "contact"],
  },
}

export const held: Table<StoredHeld> = {
  name: "held",
  isKept: true,
  key: ["contact", "device", "counter"],
  indexes: {},
}

export const gaps: Table<StoredGap, "shown"> = {
  name: "gaps",
  isKept: true,
  key: ["contact", "device", "counter"],
  indexes: { shown: ["isShown", "contact"] },
}

export const outbox: Table<StoredOutbox, "contact" | "expanded" | "message", "position"> = {
  name: "outbox",
  isKept: true,
  key: ["position"],
  indexes: { contact: ["contact", "position"], expanded: ["isExpanded", "contact"], message: ["messageId"] },
}

export const deliveries: Table<StoredDelivery, "position" | "state" | "envelope", "id"> = {
  name: "deliveries",
  isKept: true,
  key: ["id"],
  indexes: { position: ["position", "device"], state: ["state", "contact"], envelope: ["envelopeId"] },
}

export const receiptsDue: Table<StoredReceipt, "contact", "id"> = {
  name: "receiptsDue",
  isKept: true,
  key: ["id"],
  indexes: { contact: ["contact", "device", "messageId"] },
}

export const seen: Table<StoredSeen, "day"> = { name: "seen", key: ["envelope"], indexes: { day: ["day"] } }

export const events: Table<StoredEvent, "contact", "id"> = {
  name: "events",
  isKept: true,
  key: ["id"],
  indexes: { contact: ["contact"] },
}

export const resets: Table<StoredReset, "cause", "id"> = {
  name: "resets",
  isKept: true,
  key: ["id"],
  indexes: { cause: ["cause"] },
}

export const transfers: Table<StoredTransfer, "contact" | "stage"> = {
  name: "transfers",
  key: ["id"],
  indexes: { contact: ["contact", "stage"], stage: ["stage"] },
}

const FIRST: readonly Shape[] = [
  account,
  prekeys,
  replays,
  contacts,
  devices,
  messages,
  held,
  gaps,
  outbox,
  deliveries,
  receiptsDue,
  seen,
  events,
  resets,
]

/** Every table whose rows are sealed. */
export const TABLES: readonly Shape[] = [...FIRST, transfers]

/** Not a table: keys, revision and counters of this store, in the clear. */
export const DEVICE = "device"

/** A step from one version to the next, inside the transaction that upgrades; it can't open sealed rows. */
export type Migration = (database: IDBDatabase, upgrade: IDBTransaction) => void

/** The version of a store is how many of these it has been through. When a table changes, the first keeps its old shape. */
export const MIGRATIONS: readonly Migration[] = [
  (database) => {
    database.createObjectStore(DEVICE)
    for (const table of FIRST) makeTable(database, table)
  },
  (database) => { makeTable(database, transfers) },
]
