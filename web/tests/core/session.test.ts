import fc from "fast-check"
import { beforeEach, describe, expect, test } from "vitest"

import { concat, toHex, utf8 } from "../../src/core/encoding"
import { AuthenticationFailed, Duplicate, Malformed, Misuse, Replay, TooFarAhead } from "../../src/core/errors"
import { UnknownSession } from "../../src/core/errors"
import { HEADER_SIZE, Handshake, accept } from "../../src/core/handshake"
import { KeyPair, randomBytes } from "../../src/core/primitives"
import { Message } from "../../src/core/ratchet"
import type { Ratchet } from "../../src/core/ratchet"
import { ARCHIVED_LIFETIME, MAX_ARCHIVED, NO_SESSIONS, SessionMessage, adopt, begin } from "../../src/core/session"
import { established, find, initiated, receive, replaceSending, seal } from "../../src/core/session"
import type { Sessions } from "../../src/core/session"
import { HOUR } from "../../src/core/types"
import type { Bytes, Fingerprint, Millis, PrekeyId, SessionId } from "../../src/core/types"
import { NOW, keyPair, seed } from "./accounts"
import { bundleOf, initiateWith, leaves, makePair, person, privatesOf, there } from "./people"
import type { Person } from "./people"
import { altered, raisesOnlyOurErrors, refusal } from "./strict"

const zeros = (size: number): Bytes => new Uint8Array(size)
const later = (time: number): Millis => (NOW + time) as Millis
const [SMALL, LARGE] = [zeros(32) as Fingerprint, zeros(32).fill(0xff) as Fingerprint]
const FRESH = await keyPair("fresh")
const PEOPLE = [await person("alice"), await person("bob")] as const
const [, RATCHET] = await makePair(...PEOPLE)
const HANDSHAKE: Handshake = {
  ephemeral: (await keyPair("ephemeral")).public,
  signed: 1 as PrekeyId,
  oneTime: null,
  kem: 2 as PrekeyId,
  usesLastResort: false,
  ciphertext: zeros(1568),
}

/** Return a ratchet with nothing behind it, for tests of what surrounds it. */
const makeRatchet = (name: string): Ratchet => ({ ...RATCHET, sessionId: seed(`id ${name}`, 8) as SessionId })

const parse = (encoded: Bytes): Message => SessionMessage.parse(encoded).message

/** One device with its sessions with the other, as a client holds them. */
class Side {
  sessions: Sessions = NO_SESSIONS
  readonly received: string[] = []
  readonly person: Person

  constructor(of: Person) {
    this.person = of
  }

  async begin(other: Side): Promise<void> {
    const [handshake, ratchet] = await initiateWith(this.person, other.person, bundleOf(other.person))
    this.sessions = begin(this.sessions, initiated(ratchet, handshake), NOW)
  }

  async send(text: string): Promise<Bytes> {
    const [session, encoded] = await seal(there(this.sessions.sending), utf8(text), randomBytes(16))
    this.sessions = replaceSending(this.sessions, session)
    return encoded
  }

  async take(other: Side, encoded: Bytes, resets: SessionId | null = null): Promise<string> {
    const { handshake, message } = SessionMessage.parse(encoded)
    let plaintext: Bytes
    if (find(this.sessions, message.sessionId, NOW) !== null) {
      ;[this.sessions, plaintext] = await receive(this.sessions, message, await KeyPair.generate(), NOW)
    } else {
      const { person: ours } = this
      const named = there(handshake)
      const accepted = await accept(ours.device, other.person.peer, named, privatesOf(ours, named))
      const alone = { sending: established(accepted), archived: [] }
      const [after, opened] = await receive(alone, message, await KeyPair.generate(), NOW)
      const fingerprints = [ours.device.fingerprint, other.person.device.fingerprint] as const
      this.sessions = adopt(this.sessions, there(after.sending).ratchet, fingerprints, resets, NOW)
      plaintext = opened
    }
    this.received.push(new TextDecoder().decode(plaintext))
    return there(this.received.at(-1))
  }

  get sendingId(): SessionId {
    return there(this.sessions.sending).ratchet.sessionId
  }

  get archivedIds(): readonly SessionId[] {
    return this.sessions.archived.map((old) => old.session.ratchet.sessionId)
  }
}

let [alice, bob] = [new Side(PEOPLE[0]), new Side(PEOPLE[1])]
beforeEach(() => {
  ;[alice, bob] = [new Side(PEOPLE[0]), new Side(PEOPLE[1])]
})

/** Alice begins, and Bob takes her first message. */
async function start(): Promise<void> {
  await alice.begin(bob)
  await bob.take(alice, await alice.send("first"))
}

describe("one session", () => {
  test("the handshake is repeated until a reply was decrypted", async () => {
    await alice.begin(bob)
    const [first, second] = [await alice.send("first"), await alice.send("second")]
    const [one, two] = [SessionMessage.parse(first), SessionMessage.parse(second)]
    expect(there(one.handshake)).toEqual(two.handshake)
    expect(alice.sessions.sending?.kind).toBe("initiated")

    await bob.take(alice, first)
    expect(bob.sessions.sending?.kind).toBe("established")
    await alice.take(bob, await bob.send("reply"))
    expect(alice.sessions.sending?.kind).toBe("established")
    const third = await alice.send("third")
    expect(SessionMessage.parse(third).handshake).toBeNull()
    expect(await bob.take(alice, third)).toBe("third")
    expect(await bob.take(alice, second)).toBe("second")
  })

  test("a failed reply leaves the handshake repeated", async () => {
    await start()
    const reply = await bob.send("reply")
    const forged = altered(reply, reply.length - 1)
    await leaves(alice.sessions, () => refusal(() => alice.take(bob, forged), AuthenticationFailed))
    expect(alice.sessions.sending?.kind).toBe("initiated")
    expect(await alice.take(bob, reply)).toBe("reply")
  })

  test("a repeated handshake is a message of the session it made", async () => {
    await alice.begin(bob)
    const [first, second] = [await alice.send("first"), await alice.send("second")]
    await bob.take(alice, first)
    await bob.take(alice, second)
    await refusal(() => bob.take(alice, first), Duplicate)
    expect([bob.sessions.archived, bob.received]).toEqual([[], ["first", "second"]])
  })

  test("a repeated handshake never becomes a new session", async () => {
    await start()
    const held = there(bob.sessions.sending)
    const again = (resets: SessionId | null): Sessions => adopt(bob.sessions, held.ratchet, [LARGE, SMALL], resets, NOW)
    await refusal(() => again(held.ratchet.sessionId), Replay)
    await bob.begin(alice)
    await refusal(() => again(null), Replay)
    expect(find(bob.sessions, held.ratchet.sessionId, NOW)).toBe(held)
  })

  test("sealing as a responder before anything arrived is misuse", async () => {
    const [, , ratchet] = await makePair(...PEOPLE)
    await refusal(() => seal(established(ratchet), utf8("text"), zeros(16)), Misuse)
  })

  test("a message is parsed with and without its handshake", async () => {
    await alice.begin(bob)
    const encoded = await alice.send("text")
    const { handshake, message } = SessionMessage.parse(encoded)
    expect(Handshake.encode(there(handshake))).toEqual(encoded.slice(0, HEADER_SIZE))
    expect(message).toEqual(Message.parse(encoded.slice(HEADER_SIZE)))
    expect(SessionMessage.parse(encoded.slice(HEADER_SIZE))).toEqual({ handshake: null, message })
  })

  test.each([0, 1, 2, 82, 83, HEADER_SIZE, HEADER_SIZE + 82])("cut to %d bytes it is malformed", async (size) => {
    await alice.begin(bob)
    const encoded = await alice.send("")
    await refusal(() => SessionMessage.parse(encoded.slice(0, size)), Malformed)
  })

  test("random bytes are parsed or refused", async () => {
    const head = fc.constantFrom(zeros(0), Uint8Array.of(1, 0x11, 2), Uint8Array.of(1, 0x10, 0))
    await fc.assert(
      fc.asyncProperty(head, fc.uint8Array({ maxLength: 100 }), async (start, tail) => {
        await raisesOnlyOurErrors((data) => SessionMessage.parse(data), concat(start, tail))
      }),
    )
  })
})

describe("which session", () => {
  test("a message of an unknown session is refused", async () => {
    await start()
    const message = parse(await alice.send("second"))
    const stranger = { ...message, sessionId: zeros(8) as SessionId }
    for (const sessions of [NO_SESSIONS, bob.sessions]) {
      await refusal(() => receive(sessions, stranger, FRESH, NOW), UnknownSession)
    }
    await refusal(() => receive(NO_SESSIONS, message, FRESH, NOW), UnknownSession)
  })

  test("a session is found by its name only", async () => {
    await start()
    const old = alice.sendingId
    await start()
    expect(bob.sendingId).toEqual(alice.sendingId)
    expect(bob.archivedIds).toEqual([old])
    expect(find(bob.sessions, old, NOW)).toBe(bob.sessions.archived[0]?.session)
    expect(find(bob.sessions, zeros(8) as SessionId, NOW)).toBeNull()
  })

  test("the refusals of the ratchet pass through and change nothing", async () => {
    await alice.begin(bob)
    const [first, second] = [await alice.send("first"), await alice.send("second")]
    await bob.take(alice, first)
    const message = parse(second)
    for (const [wrong, kind] of [
      [{ ...message, index: 0 }, Duplicate],
      [{ ...message, index: 2 ** 32 - 1 }, TooFarAhead],
      [{ ...message, salt: zeros(16) }, AuthenticationFailed],
    ] as const) {
      await leaves(bob.sessions, () => refusal(() => receive(bob.sessions, wrong, FRESH, NOW), kind))
    }
  })
})

describe("archived sessions", () => {
  test("late messages are read and the session stays archived", async () => {
    await start()
    await alice.take(bob, await bob.send("reply"))
    const late = [await bob.send("late 0"), await bob.send("late 1")] as const
    await bob.begin(alice)
    const old = alice.sendingId
    await alice.take(bob, await bob.send("new session"))
    for (const encoded of [late[1], late[0]]) await alice.take(bob, encoded)

    expect(alice.sendingId).toEqual(bob.sendingId)
    expect(alice.archivedIds).toEqual([old])
    expect(alice.received).toEqual(["reply", "new session", "late 1", "late 0"])
    await refusal(() => alice.take(bob, late[0]), Duplicate)
  })

  test("a reply on an archived handshake establishes it where it is", async () => {
    await start()
    const reply = await bob.send("reply on the first")
    await alice.begin(bob)
    const kinds = (): readonly unknown[] => [alice.sessions.sending?.kind, alice.sessions.archived[0]?.session.kind]
    expect(kinds()).toEqual(["initiated", "initiated"])
    await alice.take(bob, reply)
    expect(kinds()).toEqual(["initiated", "established"])
  })

  test("they are five and newest first", () => {
    let sessions = NO_SESSIONS
    const ratchets = Array.from({ length: MAX_ARCHIVED + 3 }, (_, number) => makeRatchet(String(number)))
    for (const [number, ratchet] of ratchets.entries()) {
      const adopted = (): Sessions => adopt(sessions, ratchet, [LARGE, SMALL], null, later(number))
      sessions = number % 2 > 0 ? adopted() : begin(sessions, initiated(ratchet, HANDSHAKE), later(number))
      expect(sessions.archived).toHaveLength(Math.min(number, MAX_ARCHIVED))
    }
    expect(sessions.sending?.ratchet).toBe(ratchets.at(-1))
    expect(sessions.archived.map((old) => old.session.ratchet)).toEqual(ratchets.slice(2, -1).reverse())
    expect(sessions.archived.map((old) => old.since)).toEqual([7, 6, 5, 4, 3].map(later))
    expect(find(sessions, there(ratchets[1]).sessionId, later(8))).toBeNull()
  })

  test("one lives seventy-two hours", async () => {
    await start()
    const [message, old] = [parse(await alice.send("late")), bob.sendingId]
    await bob.begin(alice)
    expect(ARCHIVED_LIFETIME).toBe(72 * HOUR)
    const [last, over] = [later(ARCHIVED_LIFETIME - 1), later(ARCHIVED_LIFETIME)]
    expect(find(bob.sessions, old, last)).not.toBeNull()
    expect((await receive(bob.sessions, message, FRESH, last))[1]).toEqual(utf8("late"))
    expect(find(bob.sessions, old, over)).toBeNull()
    await refusal(() => receive(bob.sessions, message, FRESH, over), UnknownSession)
  })

  test("an expired one is gone after the next step", async () => {
    await start()
    await start()
    const over = later(ARCHIVED_LIFETIME)
    expect(bob.sessions.archived).toHaveLength(1)
    const [after] = await receive(bob.sessions, parse(await alice.send("third")), FRESH, over)
    expect(after.archived).toEqual([])
    const begun = begin(bob.sessions, initiated(makeRatchet("new"), HANDSHAKE), over)
    const adopted = adopt(bob.sessions, makeRatchet("new"), [LARGE, SMALL], null, over)
    for (const { archived } of [begun, adopted]) expect(archived.map((old) => old.since)).toEqual([over])
  })
})

describe("both start at once", () => {
  const cases = [false, true].flatMap((isSwapped) =>
    [[false, false], [true, false], [false, true], [true, true]].flatMap(([ours, theirs]) =>
      [0, 1].map((first) => [isSwapped, ours, theirs, first] as const),
    ),
  )

  test.each(cases)("it converges: swapped %s, resets %s and %s, first %d", async (isSwapped, weReset, theyReset, first) => {
    const [ours, theirs] = isSwapped ? [bob, alice] : [alice, bob]
    const old = utf8("before  ") as SessionId
    await ours.begin(theirs)
    await theirs.begin(ours)
    const [toTheirs, toOurs] = [await ours.send("from us"), await theirs.send("from them")]
    const deliveries = [
      () => theirs.take(ours, toTheirs, weReset === true ? old : null),
      () => ours.take(theirs, toOurs, theyReset === true ? old : null),
    ]
    for (const deliver of first === 0 ? deliveries : deliveries.reverse()) await deliver()

    expect(ours.sendingId).toEqual(theirs.sendingId)
    const print = (side: Side): string => toHex(side.person.device.fingerprint)
    expect((print(ours) < print(theirs) ? ours : theirs).sessions.sending?.kind).toBe("initiated")
    for (const [sender, recipient] of [[ours, theirs], [theirs, ours], [ours, theirs]] as const) {
      expect(await recipient.take(sender, await sender.send("on"))).toBe("on")
    }
    expect([ours, theirs].map((side) => side.sessions.sending?.kind)).toEqual(["established", "established"])
  })

  test.each([0, 1] as const)("messages of the losing session still arrive: %d first", async (first) => {
    await alice.begin(bob)
    await bob.begin(alice)
    const toBob = [await alice.send("a0"), await alice.send("a1")] as const
    const toAlice = [await bob.send("b0"), await bob.send("b1")] as const
    for (const number of first === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      await bob.take(alice, toBob[number])
      await alice.take(bob, toAlice[number])
    }
    expect(alice.received.sort()).toEqual(["b0", "b1"])
    expect(bob.received.sort()).toEqual(["a0", "a1"])
    expect(alice.sendingId).toEqual(bob.sendingId)
  })

  const ours = initiated(makeRatchet("ours"), HANDSHAKE)
  const theirs = makeRatchet("theirs")
  const archivedOurs = { sending: established(theirs), archived: [{ session: ours, since: NOW }] }
  const begun = begin(NO_SESSIONS, ours, NOW)

  test("a reset that names the unanswered handshake always archives it", () => {
    for (const fingerprints of [[SMALL, LARGE], [LARGE, SMALL]] as const) {
      expect(adopt(begun, theirs, fingerprints, ours.ratchet.sessionId, NOW)).toEqual(archivedOurs)
    }
  })

  test.each([null, utf8("another ") as SessionId])("without such a reset the smaller fingerprint wins: %o", (resets) => {
    const kept = { sending: ours, archived: [{ session: established(theirs), since: NOW }] }
    expect(adopt(begun, theirs, [SMALL, LARGE], resets, NOW)).toEqual(kept)
    expect(adopt(begun, theirs, [LARGE, SMALL], resets, NOW)).toEqual(archivedOurs)
  })

  test.each([null, utf8("another ") as SessionId])("an answered session gives way to a new handshake: %o", (resets) => {
    const answered = established(makeRatchet("ours"))
    const after = adopt({ sending: answered, archived: [] }, theirs, [SMALL, LARGE], resets, NOW)
    expect(after).toEqual({ sending: established(theirs), archived: [{ session: answered, since: NOW }] })
  })

  test("the first session archives nothing", () => {
    const first = { sending: established(theirs), archived: [] }
    expect(adopt(NO_SESSIONS, theirs, [SMALL, LARGE], null, NOW)).toEqual(first)
    expect(begun).toEqual({ sending: ours, archived: [] })
  })

  test("sealing moves the sending session on", async () => {
    await start()
    await bob.begin(alice)
    const [session] = await seal(there(bob.sessions.sending), utf8("text"), randomBytes(16))
    expect(replaceSending(bob.sessions, session)).toEqual({ sending: session, archived: bob.sessions.archived })
  })
})
