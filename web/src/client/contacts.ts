/**
 * Contacts: added by card, renamed, blocked, removed; strangers accepted or refused.
 *
 * Source: spec/identity.md, "Contact card"; spec/delivery.md, "Requests".
 */

import { Card } from "../core/card"
import { Kind } from "../core/content"
import { sameBytes, toHex } from "../core/encoding"
import { Misuse } from "../core/errors"
import { addressOf } from "../core/identity"
import { randomBytes } from "../core/primitives"
import type { Address, Bytes } from "../core/types"
import { PROFILE_KEY_SIZE, loadAccount, nowMs, type Account } from "./account"
import type { CardInfo, Contact, ContactState } from "./api"
import { showRequest } from "./events"
import { beginAnew } from "./order"
import * as outbox from "./outbox"
import {
  REQUEST_ID_LENGTH,
  checkFree,
  checkName,
  contactByAddress,
  contactById,
  contactsIn,
  insertContact,
  type ContactRow,
} from "./people"
import * as table from "./schema"
import { prefix, type Reads, type Store, type Transaction } from "./store"
import { endAll, forgetAll } from "./transfer_states"

const NAME_DIGITS = 8 // of the address, in the name of someone whom nobody named
const EMPTY: Bytes = new Uint8Array()

/** The people of one account. What a change queued for them is sent by whoever hears of the change. */
export class Contacts {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * Say whose a card is, before it is added.
   *
   * @throws Malformed, UnsupportedVersion: no contact card.
   */
  async read(text: string): Promise<CardInfo> {
    const card = Card.parse(text)
    const address = addressOf(card.usid)
    const account = await loadAccount(this.#store)
    const known = await contactByAddress(this.#store, address)
    return {
      usid: toHex(card.usid),
      address: toHex(address),
      origin: card.origin,
      isOurs: sameBytes(card.usid, account.usid),
      known: known === null || known.state === "removed" ? null : known.public(),
    }
  }

  /**
   * Add someone from their card; works offline, and accepts their waiting request if there is one.
   *
   * @param name At most 64 code points; without one, the start of their address.
   * @throws Malformed, UnsupportedVersion: no contact card.
   * Misuse: our own card, a name that is taken or does not fit, or someone we have under another name.
   */
  async add(text: string, name: string | null): Promise<Contact> {
    const card = Card.parse(text)
    const account = await loadAccount(this.#store)
    if (sameBytes(card.usid, account.usid)) {
      throw new Misuse("this is your own card: give it to the other person, and add theirs")
    }
    return this.#change(async (tx) => {
      const known = await contactByAddress(tx, addressOf(card.usid))
      if (known !== null) return addKnown(tx, known, card, name)
      const chosen = checkName(name ?? defaultName(addressOf(card.usid)))
      await checkFree(tx, chosen)
      const { usid, origin, recordVersion: namedVersion } = card
      return insertContact(tx, { name: chosen, usid, origin, state: "accepted", namedVersion, added: nowMs() })
    })
  }

  /** Return contacts of one state by name; strangers by when they wrote first. */
  async list(state: ContactState): Promise<readonly Contact[]> {
    const rows = await contactsIn(this.#store, state)
    const isByName = state !== "request"
    const inOrder = isByName ? rows.toSorted((first, second) => first.name.localeCompare(second.name)) : rows
    return inOrder.map((row) => row.public())
  }

  /**
   * Return one contact.
   *
   * @throws Misuse: there is none of this id.
   */
  async get(id: number): Promise<Contact> {
    return (await contactOf(this.#store, id, "accepted", "blocked", "request")).public()
  }

  /**
   * Change our name for a contact.
   *
   * @throws Misuse: no such contact, or the new name does not fit. HalonyxError `name-taken`.
   */
  async rename(id: number, name: string): Promise<Contact> {
    return this.#change(async (tx) => {
      const contact = await contactOf(tx, id, "accepted", "blocked")
      if (name !== contact.name) {
        await checkFree(tx, checkName(name))
        await tx.update(table.contacts, id, { name })
      }
      return contact
    })
  }

  /**
   * Take nothing more from a contact, and change the key by which anyone writes to us.
   *
   * Every other contact gets the new key inside an encrypted message.
   *
   * @throws Misuse: no such contact.
   */
  async block(id: number): Promise<void> {
    await this.#change(async (tx) => {
      const contact = await contactOf(tx, id, "accepted", "blocked")
      await endAll(tx, id)
      await tx.update(table.contacts, id, { state: "blocked" })
      await outbox.dropAll(tx, id)
      await tx.deleteAll(table.receiptsDue, "contact", prefix(id))
      for (const { messageId } of await tx.all(table.messages, "state", ["waiting", id])) {
        await outbox.moveMessage(tx, id, messageId, "failed", () => true)
      }
      await rotateProfileKey(tx)
      return contact
    })
  }

  /**
   * Take messages from a contact again; what they wrote before stays dropped.
   *
   * @throws Misuse: no such contact.
   */
  async unblock(id: number): Promise<void> {
    await this.#change(async (tx) => {
      const contact = await contactOf(tx, id, "accepted", "blocked")
      await acceptAs(tx, contact, contact.name)
      return contact
    })
  }

  /**
   * Forget a contact's name, verification and messages. If they write again, it is a request.
   *
   * They lose the key by which contacts write to us, as when they are blocked.
   *
   * @throws Misuse: no such contact.
   */
  async remove(id: number): Promise<void> {
    await this.#change(async (tx) => {
      const contact = await contactOf(tx, id, "accepted", "blocked")
      if (contact.state === "blocked") await beginAnew(tx, id, nowMs())
      await forget(tx, contact, "removed")
      if (contact.state === "accepted") await rotateProfileKey(tx)
      return contact
    })
  }

  /**
   * Accept a request: its messages are shown, and their sender is told that they arrived.
   *
   * @throws Misuse: no such request, or a name that does not fit. HalonyxError `name-taken`.
   */
  async accept(id: number, name: string): Promise<Contact> {
    return this.#change(async (tx) => {
      const contact = await contactOf(tx, id, "request")
      await checkFree(tx, checkName(name))
      await acceptAs(tx, contact, name)
      return contact
    })
  }

  /**
   * Refuse a request: its messages go, its sender hears nothing, and what else they send is dropped.
   *
   * @throws Misuse: no such request.
   */
  async refuse(id: number): Promise<void> {
    await this.#change(async (tx) => {
      const contact = await contactOf(tx, id, "request")
      await forget(tx, contact, "blocked")
      return contact
    })
  }

  /**
   * Write to a contact again although a relay served a record that did not fit.
   *
   * @throws Misuse: no such contact.
   */
  async trust(id: number): Promise<Contact> {
    return this.#change(async (tx) => {
      const contact = await contactOf(tx, id, "accepted", "blocked")
      const namedVersion = contact.record?.version ?? 0
      await tx.update(table.contacts, id, { frozen: null, evidence: null, namedVersion, namedTries: 0 })
      return contact
    })
  }

  /** Note that the safety number of a contact was compared. */
  async setVerified(id: number): Promise<Contact> {
    return this.#change(async (tx) => {
      const contact = await contactOf(tx, id, "accepted", "blocked")
      await tx.update(table.contacts, id, { isVerified: true })
      return contact
    })
  }

  /** Let a contact see the address of this machine, for files, or not. */
  async allowDirect(id: number, directAllowed: boolean): Promise<Contact> {
    return this.#change(async (tx) => {
      const contact = await contactOf(tx, id, "accepted", "blocked")
      await tx.update(table.contacts, id, { directAllowed })
      return contact
    })
  }

  /** Change one contact, tell every tab, and return what it is then. */
  async #change(work: (tx: Transaction) => Promise<ContactRow>): Promise<Contact> {
    return this.#store.transaction(async (tx) => {
      const { id } = await work(tx)
      tx.changed({ kind: "contacts" })
      return (await contactById(tx, id)).public()
    })
  }
}

/** Return the card to give to others. */
export function ourCard(account: Account): Card {
  return new Card(account.origin, account.usid, account.record.version)
}

/**
 * Return the contact of this id if it is in one of these states.
 *
 * @throws Misuse: there is none.
 */
export async function contactOf(reads: Reads, id: number, ...states: readonly ContactState[]): Promise<ContactRow> {
  const row = await reads.get(table.contacts, id)
  if (row === undefined || !states.includes(row.state)) throw new Misuse("no such contact, or not any more")
  return contactById(reads, id)
}

function defaultName(address: Address): string {
  return `contact-${toHex(address).slice(0, NAME_DIGITS)}`
}

/** Take in a card of someone we have already. */
async function addKnown(tx: Transaction, contact: ContactRow, card: Card, name: string | null): Promise<ContactRow> {
  if (contact.state === "accepted" && name !== null && name !== contact.name) {
    throw new Misuse("you have this contact under another name: rename it")
  }
  if (contact.state !== "accepted") {
    const former = contact.state === "blocked" ? contact.name : null
    const chosen = name ?? former ?? defaultName(contact.address)
    if (chosen !== former) await checkFree(tx, checkName(chosen))
    await acceptAs(tx, contact, chosen)
  }
  const namedVersion = Math.max(contact.namedVersion, card.recordVersion)
  await tx.update(table.contacts, contact.id, { origin: card.origin, namedVersion })
  return contact
}

async function acceptAs(tx: Transaction, contact: ContactRow, name: string): Promise<void> {
  await tx.update(table.contacts, contact.id, { state: "accepted", name })
  if (contact.state === "request") await showRequest(tx, contact.id)
  if (contact.state !== "blocked") return
  await beginAnew(tx, contact.id, nowMs())
  // Blocking changed the key by which they write; without this one they would wait for an answer.
  outbox.add(tx, contact.id, null, Kind.CONTROL, EMPTY)
}

/** Drop all that a person sees; sessions and counters stay, so that nothing old is taken twice. */
async function forget(tx: Transaction, contact: ContactRow, state: "removed" | "blocked"): Promise<void> {
  const address = toHex(contact.address)
  const name = state === "blocked" ? `refused-${address.slice(0, REQUEST_ID_LENGTH)}` : `removed ${address}`
  await outbox.dropAll(tx, contact.id)
  await tx.deleteAll(table.messages, "contact", prefix(contact.id))
  await forgetAll(tx, contact.id)
  await tx.deleteAll(table.events, "contact", contact.id)
  await tx.deleteAll(table.receiptsDue, "contact", prefix(contact.id))
  await tx.deleteAll(table.held, null, prefix(contact.id))
  await tx.deleteAll(table.gaps, null, prefix(contact.id))
  const nothing = { unread: 0, lastPosition: 0, isVerified: false, directAllowed: false, hasOurProfileKey: false }
  await tx.update(table.contacts, contact.id, { state, name, ...nothing })
}

async function rotateProfileKey(tx: Transaction): Promise<void> {
  await tx.update(table.account, 1, { profileKey: randomBytes(PROFILE_KEY_SIZE), isAccessPublished: false })
  for (const contact of await tx.all(table.contacts, null, null)) {
    tx.put(table.contacts, { ...contact, hasOurProfileKey: false })
    const isToldNow = contact.state === "accepted" && contact.profileKey !== null
    if (isToldNow) outbox.add(tx, contact.id, null, Kind.CONTROL, EMPTY)
  }
  for (const delivery of await tx.all(table.deliveries, null, null)) {
    if (delivery.hasProfileKey) tx.put(table.deliveries, { ...delivery, hasProfileKey: false })
  }
}
