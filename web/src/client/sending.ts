/**
 * Carrying the outbox to the relays: prekeys and sessions where they are missing, then envelope after envelope.
 *
 * Source: spec/delivery.md, "Outbox"; spec/ratchet.md, "Repair".
 */

import { sameBytes } from "../core/encoding"
import { RemoteError, TransportError } from "../core/errors"
import { Peer, encapsulate, initiate } from "../core/handshake"
import type { PrekeyBundle } from "../core/prekeys"
import { KeyPair, randomBytes } from "../core/primitives"
import { begin, initiated } from "../core/session"
import type { Bytes } from "../core/types"
import { Status, type Accepted, type Submit } from "../wire/frames"
import { FETCH_ID_SIZE } from "../wire/rest"
import { loadAccount, nowMs } from "./account"
import * as directory from "./directory"
import { Lines } from "./lines"
import { OUTBOX_LOCK, tryLock } from "./locks"
import * as outbox from "./outbox"
import { contactById, deviceRow, saveSessions, type ContactRow, type DeviceRow } from "./people"
import * as repair from "./repair"
import { expand } from "./sealing"
import type { Store } from "./store"
import { Refused, type Relay } from "./transport"
import { maintain, type Left } from "./upkeep"

const BATCH = 32
const OWN_RELAY = 0 // key of `#retries` that is no contact
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 30_000
const TICK_MS = 1000
const MAINTAIN_MS = 3_600_000
const MAX_ROUNDS = 3
const CONTACTS_AT_ONCE = 8

const REASONS: ReadonlyMap<Status, string> = new Map([
  [Status.MAILBOX_FULL, "mailbox-full"],
  [Status.BUSY, "busy"],
  [Status.REQUESTS_FULL, "requests-full"],
  [Status.MALFORMED, "malformed"],
  [Status.BAD_ACCESS_KEY, "bad-access-key"],
])

interface Retry {
  readonly at: number
  readonly pause: number
}

/** Sends what waits; keeps one connection for each contact written to lately. */
export class Sender {
  readonly #store: Store
  readonly #wake: () => void
  readonly #lines = new Lines()
  readonly #running = new Map<number, Promise<void>>()
  readonly #retries = new Map<number, Retry>()
  readonly #done = new Map<number, number>()
  readonly #fetchIds = new Map<string, Bytes>()
  #news = 0
  #left: Left | null = null
  #maintained = -Infinity
  #isOver = false

  /**
   * @param wake Called when `start` should be called again.
   */
  constructor(store: Store, wake: () => void) {
    this.#store = store
    this.#wake = wake
  }

  /** Close every connection, and wait until nothing is sent any more. */
  async stop(): Promise<void> {
    this.#isOver = true
    this.#lines.drop()
    await Promise.all(this.#running.values())
    this.#lines.drop()
  }

  /** Something changed: what was tried in vain may go out now. */
  noteNews(): void {
    this.#news += 1
  }

  /** Try a contact, or all, at the next start whatever failed before: a person asked for it. */
  hurry(contact?: number): void {
    this.noteNews()
    if (contact === undefined) this.#retries.clear()
    else this.#retries.delete(contact)
  }

  /**
   * Begin to send everything that can go out now, in order for each contact.
   *
   * A lock for each contact keeps other tabs from sending to the same one meanwhile, and no slow relay holds up what
   * goes to another.
   *
   * @param left One-time prekeys left at our relay, when it just told.
   * @returns Milliseconds until another try can help; null if only a change can.
   */
  async start(left: Left | null): Promise<number | null> {
    this.#left = left ?? this.#left
    const [waiting, isUpkeepDue] = await Promise.all([
      outbox.contactsWithWork(this.#store, nowMs()),
      this.#isUpkeepDue(),
    ])
    const wanted = isUpkeepDue ? [...waiting, OWN_RELAY] : waiting
    for (const contact of wanted) {
      if (this.#isOver || this.#running.size > CONTACTS_AT_ONCE) break // one that ends wakes us
      if (this.#isDue(contact)) this.#running.set(contact, this.#run(contact))
    }
    this.#lines.dropIdle()
    // For whom nothing waits any more, there is nothing to try again.
    for (const contact of this.#retries.keys()) if (!wanted.includes(contact)) this.#retries.delete(contact)
    const pauses = [...this.#retries]
      .filter(([contact]) => !this.#running.has(contact)) // it wakes us
      .map(([, retry]) => Math.max(retry.at - performance.now(), 0))
    return pauses.length === 0 ? null : Math.min(...pauses)
  }

  /** Tell whether our relay has news, or is to hear some; once an hour at least. */
  async #isUpkeepDue(): Promise<boolean> {
    if (this.#left !== null || this.#retries.has(OWN_RELAY)) return true
    if (this.#maintained + MAINTAIN_MS <= performance.now()) return true
    return !(await loadAccount(this.#store)).isAccessPublished
  }

  /** Fetch a contact's record now (raises as `directory.refresh`). */
  async refresh(contact: ContactRow): Promise<void> {
    await directory.refresh(this.#store, await this.#relay(contact), contact, nowMs())
  }

  /** Tell whether trying can help now; one contact's failure does not hold up another. */
  #isDue(contact: number): boolean {
    const retry = this.#retries.get(contact)
    if (this.#running.has(contact) || (retry !== undefined && retry.at > performance.now())) return false
    return retry !== undefined || this.#done.get(contact) !== this.#news
  }

  /** Send to one contact, or to our own relay, unless another tab does; note when to try again. */
  async #run(contact: number): Promise<void> {
    const news = this.#news
    const lock = contact === OWN_RELAY ? OUTBOX_LOCK : `${OUTBOX_LOCK}-${contact}`
    try {
      await tryLock(this.#store.name, lock, async (isHeld) => {
        if (!isHeld) this.#retries.set(contact, { at: performance.now() + TICK_MS, pause: 0 })
        else await this.#sendTo(contact)
      })
    } catch (error) {
      // Nothing was stored, or a fault of ours: what waits is still there.
      if (!this.#isOver) console.error(error)
      this.#putOff(contact)
    }
    this.#done.set(contact, news)
    this.#running.delete(contact)
    this.#wake()
  }

  async #sendTo(contact: number): Promise<void> {
    let code: string | null = null
    try {
      await (contact === OWN_RELAY ? this.#maintain() : this.#flushContact(contact))
      this.#retries.delete(contact)
    } catch (error) {
      if (!(error instanceof TransportError || error instanceof RemoteError)) throw error
      this.#putOff(contact)
      code = error.code
    }
    if (contact !== OWN_RELAY && !this.#isOver) await outbox.noteReason(this.#store, contact, code)
  }

  #putOff(contact: number): void {
    const former = this.#retries.get(contact)?.pause ?? 0
    const pause = Math.min(Math.max(2 * former, FIRST_PAUSE_MS), LONGEST_PAUSE_MS)
    this.#retries.set(contact, { at: performance.now() + pause, pause })
    this.#lines.drop(contact)
  }

  async #maintain(): Promise<void> {
    const left = this.#left
    this.#left = null
    await maintain(this.#store, left)
    this.#maintained = performance.now()
  }

  async #flushContact(contactId: number): Promise<void> {
    await outbox.collect(this.#store, contactId, nowMs())
    for (let round = 0; round < MAX_ROUNDS; round++) {
      let contact = await this.#contact(contactId)
      if (await directory.needsRefresh(this.#store, contact, nowMs())) {
        await this.refresh(contact)
        contact = await this.#contact(contactId)
      }
      if (contact.frozen !== null || contact.record === null) return
      await this.#beginSessions(contact)
      const account = await loadAccount(this.#store)
      const isComplete = await expand(this.#store, account, contactId)
      if (!(await this.#submit(contactId, account.origin))) {
        if (isComplete) return
        throw new Refused("no-valid-prekey", "their device has to come online first, to renew its keys")
      }
      // Their record says what took the place of a device that is gone.
      await this.refresh(await this.#contact(contactId))
    }
    throw new Refused("gone", "their relay no longer has a mailbox for the device that their record names")
  }

  /** Start a session with each device that has none, or whose session broke. */
  async #beginSessions(contact: ContactRow): Promise<void> {
    for (const device of contact.record?.devices ?? []) {
      const row = await deviceRow(this.#store, contact.id, device.id)
      const isBroken = row.brokenSession !== null && (await repair.mayReset(this.#store, row, nowMs()))
      if (row.sessions.sending === null || isBroken) {
        await this.#beginSession(contact, row, new Peer(contact.address, device), isBroken)
      }
    }
  }

  async #beginSession(contact: ContactRow, row: DeviceRow, peer: Peer, isBroken: boolean): Promise<void> {
    const bundle = await this.#bundle(contact, peer)
    const fresh = [await KeyPair.generate(), await KeyPair.generate()] as const
    const account = await loadAccount(this.#store)
    const [hello, ratchet] = await initiate(account.own, peer, bundle, fresh, await encapsulate(bundle))
    const now = nowMs()
    await this.#store.transaction(async (tx) => {
      const current = await deviceRow(tx, contact.id, peer.device.id)
      const known = (await contactById(tx, contact.id)).peer(peer.device.id)
      // A message of theirs was faster, and brought a session or a record.
      if (current.revision !== row.revision || known === null || !isSamePeer(known, peer)) return
      await saveSessions(tx, current, begin(current.sessions, initiated(ratchet, hello), now))
      await directory.storeEnvelopePrekey(tx, contact, peer.device.id, bundle.envelope, now)
      if (isBroken) await repair.askReset(tx, account, contact, peer, now)
    })
  }

  /** Fetch a bundle (raises as `directory.fetchBundle`); by request key if they changed the access key. */
  async #bundle(contact: ContactRow, peer: Peer): Promise<PrekeyBundle> {
    const slot = `${contact.id}/${peer.device.id}`
    const fetchId = this.#fetchIds.get(slot) ?? randomBytes(FETCH_ID_SIZE)
    this.#fetchIds.set(slot, fetchId)
    const relay = await this.#relay(contact)
    const fetched = await directory.fetchBundle(relay, contact, peer, fetchId, nowMs()).catch(async (error: unknown) => {
      if (!(error instanceof Refused)) throw error
      const stranger = await directory.forgetProfileKey(this.#store, contact, error)
      return directory.fetchBundle(relay, stranger, peer, fetchId, nowMs())
    })
    this.#fetchIds.delete(slot)
    return fetched
  }

  /**
   * Send sealed envelopes in order; true when their record must be fetched again.
   *
   * @throws Refused: the relay does not take them now. TransportError: it can't be reached.
   */
  async #submit(contactId: number, origin: string): Promise<boolean> {
    const full = new Set<number>()
    for (;;) {
      const contact = await this.#contact(contactId)
      // One by one by request key: a refusal in the middle would let later ones overtake.
      const batch = await outbox.sealedRows(this.#store, contact, full, contact.profileKey === null ? 1 : BATCH)
      if (batch.length === 0 && full.size > 0) throw refused(Status.MAILBOX_FULL)
      if (batch.length === 0) return false
      const answers = await this.#lines.submit(contact, origin, batch.map(frameFor(contact)))
      // A full mailbox of one of their devices must not hold up the others.
      batch.forEach(({ device }, at) => answers[at]?.status === Status.MAILBOX_FULL && full.add(device))
      if (await this.#noteAnswers(contact, batch, answers)) return true
    }
  }

  /**
   * Store what the relay said; true when a device is gone or the access key was changed, as at recovery.
   *
   * @throws Refused: an envelope was not taken, and trying at once would not help.
   */
  async #noteAnswers(
    contact: ContactRow,
    batch: readonly outbox.Sealed[],
    answers: readonly Accepted[],
  ): Promise<boolean> {
    let [isChanged, problem]: [boolean, Status | null] = [false, null]
    for (const [at, sealed] of batch.entries()) {
      const status = answers[at]?.status
      if (status === Status.ACCEPTED) {
        await outbox.markAccepted(this.#store, sealed)
      } else if (status === Status.GONE) {
        isChanged = true
      } else if (status === Status.BAD_ACCESS_KEY && contact.profileKey !== null) {
        await directory.forgetProfileKey(this.#store, contact, new Refused("bad-access-key", ""))
        isChanged = true
      } else if (status !== undefined && status !== Status.MAILBOX_FULL) {
        problem = status
      }
    }
    if (problem !== null) throw refused(problem)
    return isChanged
  }

  async #contact(contactId: number): Promise<ContactRow> {
    return contactById(this.#store, contactId)
  }

  async #relay(contact: ContactRow): Promise<Relay> {
    return this.#lines.relay(contact, (await loadAccount(this.#store)).origin)
  }
}

function frameFor(contact: ContactRow): (sealed: outbox.Sealed) => Submit {
  return ({ envelopeId, device, envelope }) => ({
    type: "SUBMIT",
    envelopeId,
    address: contact.address,
    device,
    key: contact.access,
    envelope,
  })
}

function isSamePeer(first: Peer, second: Peer): boolean {
  return sameBytes(first.address, second.address) && sameBytes(first.fingerprint, second.fingerprint)
}

function refused(status: Status): Refused {
  const code = REASONS.get(status) ?? "malformed"
  return new Refused(code, `the relay does not take this mail now: ${code}`)
}
