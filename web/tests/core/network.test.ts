/**
 * Two to four devices on a network that drops, repeats, reorders and forges; some lose time, some their last steps.
 *
 * Each machine takes about 1,500 steps.
 */

import fc from "fast-check"
import { expect, test } from "vitest"

import { makeSealingKey, openValue, sealValue } from "../../src/client/seal"
import { concat, sameBytes, toHex, utf8 } from "../../src/core/encoding"
import { RemoteError, Replay, UnknownPrekey, UnknownSession } from "../../src/core/errors"
import { Handshake, accept } from "../../src/core/handshake"
import type { PrekeyPrivates } from "../../src/core/handshake"
import { kdfChain, kdfMessage } from "../../src/core/kdf"
import { ONE_TIME_LIFETIME, PrekeyBundle, PrekeyUse, signPrekey } from "../../src/core/prekeys"
import type { Prekey } from "../../src/core/prekeys"
import { KemKeyPair, KeyPair, randomBytes } from "../../src/core/primitives"
import { MAX_SKIPPED, SALT_SIZE, decrypt } from "../../src/core/ratchet"
import { MAX_ARCHIVED, NO_SESSIONS, SessionMessage, adopt, begin, find } from "../../src/core/session"
import { initiated, receive, replaceSending, seal } from "../../src/core/session"
import type { Session, Sessions } from "../../src/core/session"
import { DAY, HOUR, MINUTE } from "../../src/core/types"
import type { Bytes, Millis, PrekeyId, SessionId } from "../../src/core/types"
import { NOW, keyPair, seed } from "./accounts"
import { bundleOf, initiateWith, person, textOf, there } from "./people"
import type { Person } from "./people"
import { altered, refusal } from "./strict"

const NAMES = ["alice", "bob", "carol", "dave"]
const ONE_TIME_IDS = [101, 102, 103, 104].map((id) => id as PrekeyId)
const KEM_IDS = [201, 202].map((id) => id as PrekeyId) // fewer: all four kinds of handshake occur
const NO_RESET = new Uint8Array(8) as SessionId
// One sends, five are archived: the next handshake may evict a session that messages are still under way for.
const SESSIONS_KEPT = 1 + MAX_ARCHIVED

/** A device and its one-time prekeys, published and private. */
interface Stock {
  readonly person: Person
  readonly published: ReadonlyMap<PrekeyId, Prekey>
  readonly oneTime: ReadonlyMap<PrekeyId, KeyPair>
  readonly kem: ReadonlyMap<PrekeyId, KemKeyPair>
}

async function stockOf(name: string): Promise<Stock> {
  const [published, oneTime, kem] = [new Map<PrekeyId, Prekey>(), new Map<PrekeyId, KeyPair>(), new Map<PrekeyId, KemKeyPair>()]
  const { device, ...rest } = await person(name)
  const expiry = BigInt(NOW + ONE_TIME_LIFETIME)
  for (const id of ONE_TIME_IDS) {
    const pair = await keyPair(`${name} ${id}`)
    oneTime.set(id, pair)
    published.set(id, await signPrekey(device, PrekeyUse.ONE_TIME, id, expiry, pair.public.raw))
  }
  for (const id of KEM_IDS) {
    const pair = await KemKeyPair.fromSeed(1024, seed(`${name} ${id}`, 64))
    kem.set(id, pair)
    published.set(id, await signPrekey(device, PrekeyUse.ONE_TIME_KEM, id, expiry, pair.public.raw))
  }
  return { person: { device, ...rest }, published, oneTime, kem }
}

const STOCKS = await Promise.all(NAMES.map(stockOf))

/** What a device keeps: everything that one transaction changes together. */
interface State {
  readonly sessions: Map<string, Sessions>
  readonly oneTime: Map<PrekeyId, KeyPair>
  readonly kem: Map<PrekeyId, KemKeyPair>
  readonly replays: Set<string>
  readonly used: Set<PrekeyId>
  readonly received: Set<string>
}

const [SEALING, HERE] = [await makeSealingKey(), utf8("sessions")]

/** Return what a device has that nobody has written to. */
function firstOf({ oneTime, kem }: Stock): State {
  const [replays, used, received] = [new Set<string>(), new Set<PrekeyId>(), new Set<string>()]
  return { sessions: new Map(), oneTime: new Map(oneTime), kem: new Map(kem), replays, used, received }
}

/** Copy; sessions through the form in which the client's store holds them, as a restart does. */
async function copyOf(state: State): Promise<State> {
  const copied = [...state.sessions].map(async ([name, held]) => {
    return [name, (await openValue(SEALING, await sealValue(SEALING, held, HERE), HERE)) as Sessions] as const
  })
  return {
    sessions: new Map(await Promise.all(copied)),
    oneTime: new Map(state.oneTime),
    kem: new Map(state.kem),
    replays: new Set(state.replays),
    used: new Set(state.used),
    received: new Set(state.received),
  }
}

/** Return everything as text, so that any change shows. */
function frozen(state: State): string {
  const sessions = [...state.sessions].map(([name, held]) => [name, textOf(held)])
  const sets = [state.replays, state.used, state.received, state.oneTime.keys(), state.kem.keys()]
  return JSON.stringify([sessions, sets.map((set) => [...set])])
}

const allOf = (held: Sessions): readonly Session[] =>
  [...(held.sending === null ? [] : [held.sending]), ...held.archived.map((old) => old.session)]

/** One device. */
class Node {
  readonly stock: Stock
  readonly person: Person
  readonly failed = new Map<string, SessionId>()
  /** One-time prekeys that the relay still has. */
  unpublished: readonly PrekeyId[] = [...ONE_TIME_IDS, ...KEM_IDS]
  state: State
  saved: State

  constructor(stock: Stock) {
    this.stock = stock
    this.person = stock.person
    this.state = firstOf(stock)
    this.saved = firstOf(stock)
  }

  held(name: string): Sessions {
    return this.state.sessions.get(name) ?? NO_SESSIONS
  }

  /** Encrypt; returns the bytes, and the AES key and nonce that were used. */
  async seal(name: string, plaintext: Bytes): Promise<readonly [Bytes, string]> {
    const before = there(this.held(name).sending)
    const salt = randomBytes(SALT_SIZE)
    const used = kdfMessage(kdfChain(there(before.ratchet.sending).key)[1], salt).map(toHex).join()
    const [session, encoded] = await seal(before, plaintext, salt)
    this.state.sessions.set(name, replaceSending(this.held(name), session))
    return [encoded, used]
  }

  /** Receive as a client does: compute everything, then store it at once. */
  async open(sender: Person, data: Bytes, now: Millis): Promise<Bytes> {
    const { handshake, message } = SessionMessage.parse(data)
    const held = this.held(sender.name)
    const fresh = await KeyPair.generate()
    if (find(held, message.sessionId, now) !== null) {
      const [after, plaintext] = await receive(held, message, fresh, now)
      this.#store(sender.name, after, plaintext)
      return plaintext
    }
    if (handshake === null) throw new UnknownSession("neither a session nor a handshake")
    const accepted = await accept(this.person.device, sender.peer, handshake, this.#privates(handshake))
    const [ratchet, plaintext] = await decrypt(accepted, message, fresh, now)
    const fingerprints = [this.person.device.fingerprint, sender.device.fingerprint] as const
    this.#store(sender.name, adopt(held, ratchet, fingerprints, plaintext.slice(0, 8) as SessionId, now), plaintext)
    this.#delete(handshake)
    return plaintext
  }

  #store(name: string, sessions: Sessions, plaintext: Bytes): void {
    expect(this.state.received.has(toHex(plaintext)), "opened twice").toBe(false)
    this.state.sessions.set(name, sessions)
    this.state.received.add(toHex(plaintext))
  }

  #privates(handshake: Handshake): PrekeyPrivates {
    const own = this.person.prekeys
    const isSeen = this.state.replays.has(toHex(Handshake.replayKey(handshake)))
    if (!Handshake.isOneTime(handshake) && isSeen) throw new Replay("seen before")
    const oneTime = handshake.oneTime === null ? null : this.state.oneTime.get(handshake.oneTime)
    const kem = handshake.usesLastResort ? own.lastResort : this.state.kem.get(handshake.kem)
    if (kem === undefined || oneTime === undefined) throw new UnknownPrekey("not, or no longer, ours")
    return { signed: own.signed, oneTime, kem }
  }

  #delete(handshake: Handshake): void {
    const { oneTime, kem, replays, used } = this.state
    if (handshake.oneTime !== null && oneTime.delete(handshake.oneTime)) used.add(handshake.oneTime)
    if (!handshake.usesLastResort && kem.delete(handshake.kem)) used.add(handshake.kem)
    if (!Handshake.isOneTime(handshake)) replays.add(toHex(Handshake.replayKey(handshake)))
  }
}

/** Something under way. */
interface Packet {
  readonly sender: Node
  readonly recipient: Node
  readonly data: Bytes
  readonly plaintext: Bytes
}

const pairName = (sender: Node, recipient: Node): string => [sender.person.name, recipient.person.name].sort().join()

/** Devices that keep their state and their clock: whatever arrives for the first time opens. */
class Network {
  readonly nodes: readonly Node[]
  opened = 0
  refused = 0
  #packets: Packet[] = []
  #now = NOW
  #counter = 0
  readonly #usedKeys = new Set<string>()
  readonly #handshakes = new Map<string, number>()
  readonly #amnesiac = new Set<Node>()

  constructor(count: number) {
    this.nodes = STOCKS.slice(0, count).map((stock) => new Node(stock))
  }

  // --- what devices do

  async send(pair: number, count: number): Promise<void> {
    for (let left = 1 + (count % 3); left > 0; left--) await this.#submit(...this.#pair(pair))
  }

  /** Begin anew, naming one of the sessions or none. */
  async reset(pair: number, which: number): Promise<void> {
    const [sender, recipient] = this.#pair(pair)
    const ids = [NO_RESET, ...allOf(sender.held(recipient.person.name)).map((session) => session.ratchet.sessionId)]
    await this.#begin(sender, recipient)
    await this.#submit(sender, recipient, ids[which % ids.length])
  }

  // --- what the network does

  async deliver(at: number): Promise<void> {
    const [packet] = this.#packets.splice(at % this.#packets.length, 1)
    if (packet !== undefined) await this.#arrive(packet)
  }

  async deliverAll(): Promise<void> {
    const packets = this.#packets
    this.#packets = []
    for (const packet of packets) await this.#arrive(packet)
  }

  async repeat(at: number): Promise<void> {
    const packet = this.#at(at)
    if (packet !== undefined) await this.#arrive(packet)
  }

  drop(at: number): void {
    this.#packets.splice(at % Math.max(1, this.#packets.length), 1)
  }

  /** Flip one bit: of the ratchet message, or of anything with the handshake before it. */
  async flip(at: number, bit: number, size: number): Promise<void> {
    const packet = this.#at(at)
    if (packet === undefined) return
    const { data } = packet
    const place = data.length - 1 - ((bit >> 3) % Math.min(size % 2 === 0 ? 120 : 2000, data.length))
    await this.#arrive({ ...packet, data: altered(data, place, 1 << (bit & 7)) }, true)
  }

  /** Put the front of one message before the end of another. */
  async splice(at: number, other: number, cut: number): Promise<void> {
    const [packet, whole] = [this.#at(at), this.#at(other)]
    if (packet === undefined || whole === undefined) return
    const place = there([35, 48, 67, 1616, 1683][cut % 5])
    const data = concat(whole.data.slice(0, place), packet.data.slice(place))
    if (!sameBytes(data, whole.data)) await this.#arrive({ ...packet, data }, !sameBytes(data, packet.data))
  }

  /** Deliver under another sender's name, or to another device, or back to its sender. */
  async misdeliver(at: number, pair: number): Promise<void> {
    const [packet, [sender, recipient]] = [this.#at(at), this.#pair(pair)]
    if (packet === undefined || (packet.sender === sender && packet.recipient === recipient)) return
    const before = frozen(recipient.state)
    await refusal(() => recipient.open(sender.person, packet.data, this.#now), RemoteError)
    expect(frozen(recipient.state)).toBe(before)
  }

  // --- what happens to devices on a harsh network

  wait(which: number): void {
    this.#now = (this.#now + there([MINUTE, HOUR, 73 * HOUR, 31 * DAY][which % 4])) as Millis
  }

  async save(number: number): Promise<void> {
    const node = there(this.nodes[number % this.nodes.length])
    node.saved = await copyOf(node.state)
  }

  async restore(number: number): Promise<void> {
    const node = there(this.nodes[number % this.nodes.length])
    node.state = await copyOf(node.saved)
    this.#amnesiac.add(node)
  }

  // --- what always holds

  checkInvariants(): void {
    for (const { state } of this.nodes) {
      for (const held of state.sessions.values()) {
        expect(held.archived.length).toBeLessThanOrEqual(MAX_ARCHIVED)
        for (const { ratchet } of allOf(held)) expect(ratchet.skipped.size).toBeLessThanOrEqual(MAX_SKIPPED)
      }
      for (const id of state.used) expect(state.oneTime.has(id) || state.kem.has(id)).toBe(false)
    }
  }

  /** The network heals: what is under way arrives, and every two devices can talk. */
  async heal(): Promise<void> {
    await this.deliverAll()
    for (const [sender, recipient] of this.#pairs()) {
      if (sender.held(recipient.person.name).sending !== null) await this.#talk(sender, recipient)
    }
  }

  // --- how

  #pairs(): readonly (readonly [Node, Node])[] {
    return this.nodes.flatMap((sender) => {
      return this.nodes.filter((other) => other !== sender).map((recipient) => [sender, recipient] as const)
    })
  }

  #pair(number: number): readonly [Node, Node] {
    const pairs = this.#pairs()
    return there(pairs[number % pairs.length])
  }

  #at(at: number): Packet | undefined {
    return this.#packets[at % this.#packets.length]
  }

  /** Fetch a bundle, each one-time prekey once, and run our half of the handshake. */
  async #begin(sender: Node, recipient: Node): Promise<void> {
    const { stock, person: theirs } = recipient
    const oneTime = recipient.unpublished.find((id) => stock.oneTime.has(id))
    const kem = recipient.unpublished.find((id) => stock.kem.has(id))
    recipient.unpublished = recipient.unpublished.filter((id) => id !== oneTime && id !== kem)
    const own = bundleOf(theirs, false)
    const ownKem = kem === undefined ? own.kem : there(stock.published.get(kem))
    const ownOneTime = oneTime === undefined ? null : there(stock.published.get(oneTime))
    const bundle = new PrekeyBundle(own.signed, own.envelope, ownKem, ownOneTime)
    await bundle.verify(theirs.device.device.signingKey, theirs.device.fingerprint, NOW)
    const [handshake, ratchet] = await initiateWith(sender.person, theirs, bundle)
    sender.state.sessions.set(theirs.name, begin(sender.held(theirs.name), initiated(ratchet, handshake), this.#now))
    const both = pairName(sender, recipient)
    this.#handshakes.set(both, (this.#handshakes.get(both) ?? 0) + 1)
  }

  /** Encrypt a text of its own and put it on the network. */
  async #submit(sender: Node, recipient: Node, resets = NO_RESET): Promise<Packet> {
    const name = recipient.person.name
    if (sender.held(name).sending === null) await this.#begin(sender, recipient)
    this.#counter += 1
    const plaintext = concat(resets, utf8(`${sender.person.name} to ${name}, ${this.#counter}`))
    const [data, used] = await sender.seal(name, plaintext)
    expect(this.#usedKeys.has(used), "an AES key and nonce used twice").toBe(false)
    this.#usedKeys.add(used)
    const packet = { sender, recipient, data, plaintext }
    this.#packets.push(packet)
    return packet
  }

  /** Hand a packet to its recipient; whatever it opens is what was sent, and what it refuses changes nothing. */
  async #arrive(packet: Packet, isForged = false): Promise<boolean> {
    const { sender, recipient } = packet
    const isNew = !recipient.state.received.has(toHex(packet.plaintext))
    const before = frozen(recipient.state)
    let plaintext: Bytes
    try {
      plaintext = await recipient.open(sender.person, packet.data, this.#now)
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error
      this.refused += 1
      expect(frozen(recipient.state)).toBe(before)
      expect(isForged || !isNew || !this.#isSound(packet), "a message was lost").toBe(true)
      if (!isForged) recipient.failed.set(sender.person.name, SessionMessage.parse(packet.data).message.sessionId)
      return false
    }
    this.opened += 1
    expect(plaintext).toEqual(packet.plaintext)
    expect(isNew).toBe(true)
    return true
  }

  /** Tell whether nothing happened that may cost messages. */
  #isSound({ sender, recipient }: Packet): boolean {
    const handshakes = this.#handshakes.get(pairName(sender, recipient)) ?? 0
    const isAmnesiac = this.#amnesiac.has(sender) || this.#amnesiac.has(recipient)
    return this.#now === NOW && !isAmnesiac && handshakes <= SESSIONS_KEPT
  }

  /** Write back and forth, asking for a new session where one fails; soon every message must arrive. */
  async #talk(ours: Node, theirs: Node): Promise<void> {
    let arrived: readonly boolean[] = []
    for (let round = 0; round < 4; round++) {
      arrived = [await this.#final(ours, theirs), await this.#final(theirs, ours)]
      for (const [sender, recipient] of [[ours, theirs], [theirs, ours]] as const) {
        const failed = sender.failed.get(recipient.person.name)
        sender.failed.delete(recipient.person.name)
        if (failed === undefined || arrived.every(Boolean)) continue
        await this.#begin(sender, recipient)
        await this.#final(sender, recipient, failed)
      }
    }
    expect(arrived).toEqual([true, true])
  }

  async #final(sender: Node, recipient: Node, resets = NO_RESET): Promise<boolean> {
    const packet = await this.#submit(sender, recipient, resets)
    this.#packets.pop()
    return this.#arrive(packet)
  }
}

const CALM = ["send", "reset", "deliver", "deliverAll", "repeat", "drop", "flip", "splice", "misdeliver"] as const
const HARSH = [...CALM, "wait", "save", "restore"] as const

test.each([
  ["what arrives for the first time opens, and nothing opens twice", CALM],
  // Clocks jump, and devices are restored from an old copy: messages may be lost, but nothing else breaks.
  ["with lost time and lost steps nothing else breaks", HARSH],
])("%s", async (_, rules) => {
  const number = fc.nat(2 ** 16)
  // Mostly two who write and read, so that chains turn often.
  const rule = fc.constantFrom(...rules, ...(["send", "send", "send", "deliver", "deliver", "deliver", "deliver"] as const))
  const [step, counts] = [fc.tuple(rule, number, number, number), fc.constantFrom(2, 2, 2, 3, 4)]
  let [opened, refused] = [0, 0]
  await fc.assert(
    fc.asyncProperty(counts, fc.array(step, { maxLength: 50, size: "max" }), async (count, steps) => {
      const network = new Network(count)
      for (const [named, first, second, third] of steps) {
        await network[named](first, second, third)
        network.checkInvariants()
      }
      await network.heal()
      ;[opened, refused] = [opened + network.opened, refused + network.refused]
    }),
    { numRuns: 80 },
  )
  expect(Math.min(opened, refused)).toBeGreaterThan(100)
})
