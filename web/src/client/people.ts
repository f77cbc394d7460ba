/**
 * Rows of contacts and their devices, as values.
 *
 * Source: spec/identity.md, "Checking a record"; spec/ratchet.md, "Sessions".
 */

import type { RecordName } from "../core/content"
import { sameBytes, toHex } from "../core/encoding"
import { HalonyxError, Misuse, StorageConflict } from "../core/errors"
import { Peer } from "../core/handshake"
import { AccountRecord, addressOf } from "../core/identity"
import * as kdf from "../core/kdf"
import * as labels from "../core/labels"
import { hashOf } from "../core/labels"
import { Prekey } from "../core/prekeys"
import { NO_SESSIONS } from "../core/session"
import type { Sessions } from "../core/session"
import type { Address, Bytes, ConversationId, DeviceId, Millis, SessionId, Usid } from "../core/types"
import type { Contact, ContactState } from "./api"
import { contacts, devices } from "./schema"
import type { StoredContact, StoredDevice } from "./schema"
import type { Reads, Transaction } from "./store"

export const MAX_NAME = 64 // code points
export const REQUEST_ID_LENGTH = 16 // hex digits of the address: too many for anyone to find a second one
export const UNKNOWN_RECORD: RecordName = { version: 0, hash: new Uint8Array(32) }
const CONVERSATION_ID_SIZE = 16
const MAX_CACHED = 256
const NEVER = 0 as Millis

/** A contact as stored. */
export class ContactRow {
  readonly row: StoredContact
  /** The newest of theirs that was accepted. */
  readonly record: AccountRecord | null

  constructor(row: StoredContact, record: AccountRecord | null) {
    this.row = row
    this.record = record
  }

  get id(): number {
    return this.row.id
  }

  get name(): string {
    return this.row.name
  }

  get usid(): Usid {
    return this.row.usid as Usid
  }

  get address(): Address {
    return this.row.address as Address
  }

  get state(): ContactState {
    return this.row.state
  }

  get isVerified(): boolean {
    return this.row.isVerified
  }

  /** Whether they may see the address of this machine: they are who they say, or the person agreed. */
  get mayGoDirect(): boolean {
    return this.row.isVerified || this.row.directAllowed === true
  }

  get recordChecked(): Millis {
    return this.row.recordChecked
  }

  /** Highest version of their record that the card or they have named. */
  get namedVersion(): number {
    return this.row.namedVersion
  }

  get namedTries(): number {
    return this.row.namedTries
  }

  get namedSince(): Millis {
    return this.row.namedSince
  }

  /** Code of why sending stopped, or null. */
  get frozen(): string | null {
    return this.row.frozen
  }

  /** Theirs, once they gave it. */
  get profileKey(): Bytes | null {
    return this.row.profileKey
  }

  get hasOurProfileKey(): boolean {
    return this.row.hasOurProfileKey
  }

  /** Where they receive: as their record says, else as the card hints. */
  get origins(): readonly string[] {
    return this.record?.origins ?? [this.row.origin]
  }

  /** The relay to write to: the first of their origins. */
  get origin(): string {
    return this.origins[0] ?? this.row.origin
  }

  /** The key that opens their mailbox for us. */
  get access(): Bytes {
    return this.profileKey === null ? kdf.requestKey(this.usid) : kdf.accessKey(this.profileKey)
  }

  /** Which of their records we know. */
  get recordName(): RecordName {
    return this.record === null ? UNKNOWN_RECORD : { version: this.record.version, hash: this.record.hash }
  }

  /** Return the id of our conversation, the same on both sides. */
  conversationWith(ours: Address): ConversationId {
    const [first, second] = toHex(ours) < toHex(this.address) ? [ours, this.address] : [this.address, ours]
    return hashOf(labels.CONVERSATION, first, second).slice(0, CONVERSATION_ID_SIZE) as ConversationId
  }

  /** Return one device of their newest record, or null. */
  peer(device: DeviceId): Peer | null {
    const found = this.record?.device(device) ?? null
    return found === null ? null : new Peer(this.address, found)
  }

  /** Return what the page sees. */
  public(): Contact {
    const { row } = this
    const address = toHex(row.address)
    return {
      id: row.id,
      name: row.state === "request" ? address.slice(0, REQUEST_ID_LENGTH) : row.name,
      address,
      usid: toHex(row.usid),
      origin: this.origin,
      state: row.state,
      verified: row.isVerified,
      directAllowed: row.directAllowed === true,
      frozen: row.frozen,
      waitsFor: row.waitsFor,
      devices: this.record?.devices.length ?? 0,
      added: row.added,
    }
  }
}

/** One device of a contact: sessions, counters, envelope prekey. */
export interface DeviceRow {
  readonly contact: number
  readonly device: DeviceId
  readonly sessions: Sessions
  /** Of the row that was read; a write under another one is a conflict. */
  readonly revision: number
  readonly sentCounter: number
  /** The counter we expect next; 0 if whichever comes first is the first. */
  readonly nextCounter: number
  readonly envelopePrekey: Prekey | null
  readonly envelopeFetched: Millis
  /** Its messages could not be read, so a reset is due; empty bytes when no id is known. */
  readonly brokenSession: SessionId | null
  /** We know that session; else anyone could have named it. */
  readonly isBreakProven: boolean
  readonly resetSent: Millis
}

const cache = new Map<string, AccountRecord>()

/** Parse a stored record; two signatures are checked once a Worker, not once a message. */
export async function cachedRecord(encoded: Bytes): Promise<AccountRecord> {
  const slot = toHex(encoded.subarray(-32)) // of a signature; the whole is compared
  const known = cache.get(slot)
  if (known !== undefined && sameBytes(known.encoded, encoded)) return known
  const record = await AccountRecord.parse(encoded)
  const [oldest] = cache.keys()
  if (cache.size >= MAX_CACHED && oldest !== undefined) cache.delete(oldest)
  cache.set(slot, record)
  return record
}

/**
 * Return a name a person may give: 1 to 64 code points, printable, no white space around it.
 *
 * @throws Misuse: anything else.
 */
export function checkName(name: string): string {
  const length = Array.from(name).length
  const isPrintable = !/[\p{C}\p{Zl}\p{Zp}]/u.test(name) && !/\p{Zs}/u.test(name.replaceAll(" ", ""))
  if (length < 1 || length > MAX_NAME || name !== name.trim() || !isPrintable) {
    throw new Misuse(`a name has 1 to ${MAX_NAME} printable characters, and no space before or behind`)
  }
  return name
}

/**
 * Check that no contact has this name.
 *
 * @throws HalonyxError `name-taken`: one has it.
 */
export async function checkFree(reads: Reads, name: string): Promise<void> {
  const rows = await reads.all(contacts, null, null)
  if (rows.some((row) => row.name === name)) throw new HalonyxError("name-taken", "the name is taken: choose another")
}

/**
 * Return a contact by its row id.
 *
 * @throws Misuse: there is none.
 */
export async function contactById(reads: Reads, id: number): Promise<ContactRow> {
  const row = await reads.get(contacts, id)
  if (row === undefined) throw new Misuse("there is no such contact")
  return contactRow(row)
}

/** Return the contact of this address, whatever its state, or null. */
export async function contactByAddress(reads: Reads, address: Address): Promise<ContactRow | null> {
  const [row] = await reads.all(contacts, "address", await reads.blind(address))
  return row === undefined ? null : contactRow(row)
}

/** Return the contacts of a state, in the order they came. */
export async function contactsIn(reads: Reads, state: ContactState): Promise<readonly ContactRow[]> {
  return Promise.all((await reads.all(contacts, "state", state)).map(contactRow))
}

/** Make a contact of its row. */
export async function contactRow(row: StoredContact): Promise<ContactRow> {
  return new ContactRow(row, row.record === null ? null : await cachedRecord(row.record))
}

/** What is known of someone new. */
export type NewContact = Pick<StoredContact, "name" | "origin" | "state" | "namedVersion" | "added"> & {
  readonly usid: Usid
}

/** Add someone; nobody may have the address or the name yet. */
export async function insertContact(tx: Transaction, contact: NewContact): Promise<ContactRow> {
  const address = addressOf(contact.usid)
  const id = tx.insert(contacts, {
    ...contact,
    addressHash: await tx.blind(address),
    address,
    isVerified: false,
    record: null,
    recordVersion: 0,
    recordChecked: NEVER,
    namedTries: 0,
    namedSince: NEVER,
    frozen: null,
    evidence: null,
    profileKey: null,
    hasOurProfileKey: false,
    waitsFor: null,
    unsupportedNoted: NEVER,
    ownVersionNamed: 0,
    unread: 0,
    lastPosition: 0,
  })
  tx.changed({ kind: "contacts" })
  return contactById(tx, id)
}

/** Return a device's row; an empty one if there is none yet. */
export async function deviceRow(reads: Reads, contact: number, device: DeviceId): Promise<DeviceRow> {
  const row = (await reads.get(devices, [contact, device])) ?? (await emptyDevice(reads, contact, device))
  const envelopePrekey = row.envelopePrekey === null ? null : Prekey.parse(row.envelopePrekey)
  return { ...row, device, envelopePrekey }
}

/** Make a device's row if there is none yet. */
export async function ensureDevice(tx: Transaction, contact: number, device: DeviceId): Promise<void> {
  const known = await tx.get(devices, [contact, device])
  if (known === undefined) tx.put(devices, await emptyDevice(tx, contact, device))
}

/**
 * Store a device's sessions.
 *
 * @throws StorageConflict: another tab stored them since `row` was read.
 */
export async function saveSessions(tx: Transaction, row: DeviceRow, sessions: Sessions): Promise<void> {
  const slot = [row.contact, row.device] as const
  const current = (await tx.get(devices, [...slot])) ?? (await emptyDevice(tx, ...slot))
  if (current.revision !== row.revision) throw new StorageConflict("the session was changed meanwhile")
  tx.put(devices, { ...current, sessions, revision: row.revision + 1 })
}

async function emptyDevice(reads: Reads, contact: number, device: DeviceId): Promise<StoredDevice> {
  const { unblocked = NEVER } = (await reads.get(contacts, contact)) ?? {}
  return {
    contact,
    device,
    isBroken: 0,
    sessions: NO_SESSIONS,
    revision: 0,
    sentCounter: 0,
    nextCounter: unblocked === NEVER ? 1 : 0, // what a device sent while its owner was blocked is not missing
    envelopePrekey: null,
    envelopeFetched: NEVER,
    brokenSession: null,
    isBreakProven: false,
    resetSent: NEVER,
  }
}
