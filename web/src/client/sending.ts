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
import type { Bytes, DeviceId } from "../core/types"
import { Status, type Submit } from "../wire/frames"
import { FETCH_ID_SIZE } from "../wire/rest_directory"
import { findAccount, loadAccount, nowMs } from "./account"
import * as directory from "./directory"
import { Lines } from "./lines"
import { OUTBOX_LOCK, tryLock, withLock } from "./locks"
import * as outbox from "./outbox"
import { contactById, deviceRow, saveSessions, type ContactRow, type DeviceRow } from "./people"
import type { Left } from "./prekeys"
import * as repair from "./repair"
import { expand, sealAtOnce } from "./sealing"
import type { Reads, Store } from "./store"
import { DeviceReplaced, Refused, type Relay } from "./transport"
import * as upkeep from "./upkeep"

const BATCH = 32
const BATCH_BYTES = 256 * 1024 // goes out within 20 s at 105 kbit/s; cut off, all of it would go again
const OWN_RELAY = 0 // stands for our own relay where contacts are counted
const QUESTION = -1 // likewise for asking it whether it knows us
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 30_000
const MAINTAIN_MS = 3_600_000
const MAX_ROUNDS = 3
const QUESTION_MS = 2000 // our own relay may be down: what is for other relays goes out all the same
const CONTACTS_AT_ONCE = 8
const CONTACT_MS = 30_000 // then another one may have its place; what was accepted stays so

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
  readonly #stopped = new AbortController()
  #busy = 0
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
    this.#stopped.abort()
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
   * @throws DeviceReplaced: as `confirm`.
   */
  async start(left: Left | null, reads: Reads = this.#store.snapshot()): Promise<number | null> {
    this.#left = left ?? this.#left
    const [waiting, isUpkeepDue] = await Promise.all([
      outbox.contactsWithWork(reads, nowMs()),
      this.#isUpkeepDue(reads),
    ])
    if (waiting.length > 0) await this.confirm(reads)
    const wanted = isUpkeepDue ? [...waiting, OWN_RELAY] : waiting
    for (const contact of wanted) {
      if (this.#isOver) break
      if (this.#busy >= CONTACTS_AT_ONCE && contact !== OWN_RELAY) continue // one that ends wakes us
      if (this.#isDue(contact)) this.#begin(contact, this.#run(contact))
    }
    this.#lines.dropIdle(new Set(this.#running.keys()))
    // For whom nothing waits any more, there is nothing to try again.
    for (const contact of this.#retries.keys()) {
      if (contact !== QUESTION && !wanted.includes(contact)) this.#retries.delete(contact)
    }
    const pauses = [...this.#retries]
      .filter(([contact]) => contact !== QUESTION && !this.#running.has(contact)) // it wakes us
      .map(([, retry]) => Math.max(retry.at - performance.now(), 0))
    return pauses.length === 0 ? null : Math.min(...pauses)
  }

  /**
   * Before anything is sent, make sure that our relay still knows this device; it is asked once an hour.
   *
   * Without an answer in two seconds, what it said last counts.
   *
   * @throws DeviceReplaced: it does not: recipients would drop what this device sends.
   */
  async confirm(reads: Reads = this.#store.snapshot()): Promise<void> {
    if (!(await upkeep.mustAsk(reads, nowMs()))) return
    if (!this.#isOver && this.#isDue(QUESTION)) this.#begin(QUESTION, this.#ask())
    await Promise.race([this.#running.get(QUESTION), new Promise((resolve) => setTimeout(resolve, QUESTION_MS))])
    if (await upkeep.isReplaced(this.#store)) throw new DeviceReplaced()
  }

  /** Tell whether our relay has news, or is to hear some; once an hour at least. */
  async #isUpkeepDue(reads: Reads): Promise<boolean> {
    if (this.#left !== null || this.#retries.has(OWN_RELAY)) return true
    if (this.#maintained + MAINTAIN_MS <= performance.now()) return true
    return (await findAccount(reads))?.isAccessPublished === false
  }

  #begin(contact: number, work: Promise<void>): void {
    const ended = work.catch(console.error).finally(() => {
      this.#running.delete(contact)
      this.#wake()
    })
    this.#running.set(contact, ended)
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

  /** Send to one contact, or to our own relay; while another tab does, wait, and look again what is left. */
  async #run(contact: number): Promise<void> {
    const news = this.#news
    const { name } = this.#store
    const lock = contact === OWN_RELAY ? OUTBOX_LOCK : `${OUTBOX_LOCK}-${contact}`
    this.#busy += 1
    const isDone = await tryLock(name, lock, async (isHeld) => {
      if (isHeld) await this.#tried(contact, contact === OWN_RELAY ? this.#maintain() : this.#sendTo(contact))
      return isHeld
    }).finally(() => {
      this.#busy -= 1
    })
    if (isDone) this.#done.set(contact, news)
    else await withLock(name, lock, this.#stopped.signal, () => Promise.resolve()).catch(() => undefined)
  }

  /** Ask our relay whether it knows us. */
  async #ask(): Promise<void> {
    await this.#tried(QUESTION, upkeep.ask(this.#store))
    this.#done.delete(QUESTION)
  }

  /** Whatever ends the work but success is followed by a pause; returns its code. */
  async #tried(contact: number, work: Promise<void>): Promise<string | null> {
    try {
      await work
      this.#retries.delete(contact)
      return null
    } catch (error) {
      this.#putOff(contact)
      if (error instanceof TransportError || error instanceof RemoteError) return error.code
      // Nothing was stored, or a fault of ours: what waits is still there.
      if (!this.#isOver) console.error(error)
      return null
    }
  }

  /** Send what waits for one contact, within a time limit. */
  async #sendTo(contact: number): Promise<void> {
    // What is under way ends by itself once there is no connection for it.
    const tooLong = setTimeout(() => {
      this.#lines.allow(contact, false)
    }, CONTACT_MS)
    let code: string | null = null
    try {
      await this.#flushContact(contact)
    } catch (error) {
      if (!(error instanceof TransportError || error instanceof RemoteError)) throw error
      code = error.code
      throw error
    } finally {
      clearTimeout(tooLong)
      this.#lines.allow(contact, true)
      if (!this.#isOver) await outbox.noteReason(this.#store, contact, code)
    }
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
    this.#maintained = -Infinity // what fails is tried again soon, not in an hour
    await upkeep.maintain(this.#store, left)
    this.#maintained = performance.now()
  }

  async #flushContact(contactId: number): Promise<void> {
    let reads = this.#store.snapshot()
    if (await outbox.collect(this.#store, reads, contactId, nowMs(), sealAtOnce)) reads = this.#store.snapshot()
    for (let round = 0; round < MAX_ROUNDS; round++) {
      let contact = await contactById(reads, contactId)
      if (await directory.needsRefresh(reads, contact, nowMs())) {
        await this.refresh(contact)
        reads = this.#store.snapshot()
        contact = await contactById(reads, contactId)
      }
      if (contact.frozen !== null || contact.record === null) return
      await this.#beginSessions(reads, contact)
      const isComplete = await expand(this.#store, contactId)
      if (!(await this.#submit(contactId, (await loadAccount(reads)).origin))) {
        if (isComplete) return
        throw new Refused("no-valid-prekey", "their device has to come online first, to renew its keys")
      }
      // Their record says what took the place of a device that is gone.
      await this.refresh(await this.#contact(contactId))
      reads = this.#store.snapshot()
    }
    throw new Refused("gone", "their relay no longer has a mailbox for the device that their record names")
  }

  /** Start a session with each device that has none, or whose session broke. */
  async #beginSessions(reads: Reads, contact: ContactRow): Promise<void> {
    for (const device of contact.record?.devices ?? []) {
      const row = await deviceRow(reads, contact.id, device.id)
      const isBroken = row.brokenSession !== null && (await repair.mayReset(reads, row, nowMs()))
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
      const found = await contactById(tx, contact.id)
      if (found.state !== "accepted") return // nothing is asked of whom the person blocked meanwhile
      const known = found.peer(peer.device.id)
      // A message of theirs was faster, and brought a session or a record.
      if (current.revision !== row.revision || known === null || !isSamePeer(known, peer)) return
      await saveSessions(tx, current, begin(current.sessions, initiated(ratchet, hello), now))
      await directory.storeEnvelopePrekey(tx, contact, peer.device.id, bundle.envelope, now)
      if (isBroken) await repair.askReset(tx, contact, peer, now)
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
   * What one of their devices does not take holds up no other.
   *
   * @throws Refused: the relay does not take them now. TransportError: it can't be reached.
   */
  async #submit(contactId: number, origin: string): Promise<boolean> {
    const refused = new Map<DeviceId, Status>()
    for (let isFirst = true; ; isFirst = false) {
      const reads = this.#store.snapshot()
      const contact = await contactById(reads, contactId)
      // One by one by request key: a refusal in the middle would let later ones overtake.
      const limit = contact.profileKey === null ? 1 : BATCH
      const found = portion(await outbox.sealedRows(reads, contact, new Set(refused.keys()), limit))
      // What was full may still be: the first for each device tells.
      const batch = isFirst && contact.row.waitsFor === REASONS.get(Status.MAILBOX_FULL) ? firstOfEach(found) : found
      if (batch.length === 0) break
      const answers = await this.#lines.submit(contact, origin, batch.map(frameFor(contact)))
      const accepted = batch.filter((_, at) => answers[at]?.status === Status.ACCEPTED)
      if (accepted.length > 0) await outbox.markAccepted(this.#store, accepted)
      for (const [at, { device }] of batch.entries()) {
        const status = answers[at]?.status
        if (status !== undefined && status !== Status.ACCEPTED) refused.set(device, status)
      }
      if (contact.profileKey !== null && [...refused.values()].includes(Status.BAD_ACCESS_KEY)) {
        // They changed it, or were recovered: their record tells.
        await directory.forgetProfileKey(this.#store, contact, new Refused("bad-access-key", ""))
        return true
      }
    }
    const [first] = refused.values()
    if (first !== undefined && ![...refused.values()].includes(Status.GONE)) throw refusedFor(first)
    return first !== undefined
  }

  async #contact(contactId: number): Promise<ContactRow> {
    return contactById(this.#store, contactId)
  }

  async #relay(contact: ContactRow): Promise<Relay> {
    return this.#lines.relay(contact, (await loadAccount(this.#store)).origin)
  }
}

/** Return the first of what waits, as many as BATCH_BYTES hold. */
function portion(waiting: readonly outbox.Sealed[]): readonly outbox.Sealed[] {
  let size = 0
  return waiting.filter(({ envelope }) => (size += envelope.length) <= BATCH_BYTES)
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

function firstOfEach(batch: readonly outbox.Sealed[]): readonly outbox.Sealed[] {
  return batch.filter(({ device }, at) => batch.findIndex((other) => other.device === device) === at)
}

function refusedFor(status: Status): Refused {
  const code = REASONS.get(status) ?? "malformed"
  return new Refused(code, `the relay does not take this mail now: ${code}`)
}
