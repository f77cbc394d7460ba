import { createCipheriv, createHmac, hkdfSync } from "node:crypto"

import fc from "fast-check"
import { describe, expect, test } from "vitest"

import { Writer, concat, utf8 } from "../../src/core/encoding"
import { AuthenticationFailed, BadKey, Duplicate, Malformed, Misuse, TooFarAhead } from "../../src/core/errors"
import { RemoteError, UnsupportedVersion } from "../../src/core/errors"
import { kdfChain, kdfMessage } from "../../src/core/kdf"
import * as labels from "../../src/core/labels"
import { KeyPair, PublicKey, randomBytes } from "../../src/core/primitives"
import { HEADER_SIZE, MAX_INDEX, MAX_JUMP, MAX_SKIPPED, Message, SALT_SIZE, SKIPPED_LIFETIME } from "../../src/core/ratchet"
import { decrypt, encrypt, initiator, responder, slotOf, startsReceivingChain } from "../../src/core/ratchet"
import type { HalonyxError } from "../../src/core/errors"
import type { Chain, Ratchet } from "../../src/core/ratchet"
import { established } from "../../src/core/session"
import type { Bytes, Millis, SessionId } from "../../src/core/types"
import { NOW, keyPair, seed } from "./accounts"
import { leaves, there } from "./people"
import { altered, bitFlips, refusal } from "./strict"

const SESSION = seed("session", 8) as SessionId
const SECRETS = { rootKey: seed("root"), sessionId: SESSION }
const [TO_BOB, TO_ALICE] = [seed("ad to bob"), seed("ad to alice")]
const SIGNED_PREKEY = await keyPair("bob signed")
const FORGED = (await keyPair("forged")).public.raw
const FRESH = await keyPair("fresh")
const SALT = seed("salt", 16)

type ErrorClass = abstract new (...args: never[]) => HalonyxError

async function makePair(): Promise<[Ratchet, Ratchet]> {
  const alice = await initiator(SECRETS, TO_BOB, TO_ALICE, SIGNED_PREKEY.public, await keyPair("alice first"))
  return [alice, responder(SECRETS, TO_ALICE, TO_BOB, SIGNED_PREKEY)]
}

/** Both sides have both chains: one message each way. */
async function makeStartedPair(): Promise<[Ratchet, Ratchet]> {
  const [alice, bob] = await makePair()
  const [sent, first] = await send(alice, "first")
  return turn(sent, (await receive(bob, first))[0])
}

/** Bob's reply starts a new chain of each. */
async function turn(alice: Ratchet, bob: Ratchet): Promise<[Ratchet, Ratchet]> {
  const [bobAfter, reply] = await send(bob, "turns the chain")
  return [(await receive(alice, reply))[0], bobAfter]
}

async function send(state: Ratchet, text: string): Promise<[Ratchet, Message]> {
  const [after, encoded] = await encrypt(state, utf8(text), randomBytes(SALT_SIZE))
  return [after, Message.parse(encoded)]
}

/** Send the texts "0", "1", …; at least one. */
async function sendMany(before: Ratchet, count: number): Promise<[Ratchet, [Message, ...Message[]], Message]> {
  let [state, last] = await send(before, "0")
  const messages: [Message, ...Message[]] = [last]
  for (let number = 1; number < count; number++) {
    ;[state, last] = await send(state, String(number))
    messages.push(last)
  }
  return [state, messages, last]
}

const at = (messages: readonly Message[], index: number): Message => there(messages.at(index))

/** Open a message, and check that the state before is not changed. */
async function receive(state: Ratchet, message: Message, now: number = NOW): Promise<[Ratchet, string]> {
  const [fresh, sessions] = [await KeyPair.generate(), { sending: established(state), archived: [] }]
  const [after, plaintext] = await leaves(sessions, () => decrypt(state, message, fresh, now as Millis))
  return [after, new TextDecoder().decode(plaintext)]
}

/** Check that a message is refused with this very error and changes nothing. */
async function refused(kind: ErrorClass, state: Ratchet, message: Message, now: number = NOW): Promise<void> {
  const sessions = { sending: established(state), archived: [] }
  await leaves(sessions, () => refusal(() => receive(state, message, now), kind))
}

/** Re-encode a message with other header fields, as someone without the keys can. */
function withHeader(message: Message, fields: Partial<Message>): Message {
  const changed = { ...message, ...fields }
  const writer = new Writer().u8(1).u8(0x10).u8(0).raw(changed.sessionId).raw(changed.ratchetKey)
  writer.u32(changed.previousLength).u32(changed.index).raw(changed.salt)
  return Message.parse(concat(writer.done(), changed.ciphertext))
}

describe("the message format", () => {
  test("a message has the layout of table 1", async () => {
    const alice = { ...(await makePair())[0], previousLength: 0x01020304 }
    const [, encoded] = await encrypt(alice, utf8("text"), SALT)

    const head = concat(Uint8Array.of(1, 0x10, 0), SESSION, alice.ours.public.raw, Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 0))
    expect(encoded.slice(0, HEADER_SIZE)).toEqual(concat(head, SALT))
    expect(encoded).toHaveLength(HEADER_SIZE + 4 + 16)
  })

  test("parsing gives back what was encoded", async () => {
    const [, encoded] = await encrypt((await makePair())[0], utf8("text"), SALT)
    const message = Message.parse(encoded)
    expect(concat(message.header, message.ciphertext)).toEqual(encoded)
    expect(withHeader(message, {})).toEqual(message)
  })

  test.each([0, 1, HEADER_SIZE, HEADER_SIZE + 15])("%d bytes are malformed", async (size) => {
    await refusal(() => Message.parse(new Uint8Array(size)), Malformed)
  })

  test.each([
    [0, 0, UnsupportedVersion],
    [0, 2, UnsupportedVersion],
    [1, 0x11, Malformed],
    [2, 1, Malformed],
    [2, 0x80, Malformed],
  ] as const)("byte %d as %d is refused", async (place, value, kind) => {
    const [, encoded] = await encrypt((await makePair())[0], utf8("text"), SALT)
    await refusal(() => Message.parse(encoded.with(place, value)), kind)
  })

  test("random bytes are parsed or refused", () => {
    const start = fc.constantFrom(Uint8Array.of(), Uint8Array.of(1, 0x10, 0))
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 200 }), (head, tail) => {
        const data = concat(head, tail)
        try {
          const message = Message.parse(data)
          expect(concat(message.header, message.ciphertext)).toEqual(data)
        } catch (error) {
          expect(error).toBeInstanceOf(RemoteError)
        }
      }),
    )
  })
})

describe("encrypting", () => {
  test("a message is the formula of the specification", async () => {
    const [alice] = await makePair()
    const [after, encoded] = await encrypt(alice, utf8("text"), SALT)

    const zero = Uint8Array.of(0)
    const hkdf = (ikm: Bytes, salt: Bytes, info: Bytes, size: number): Bytes =>
      new Uint8Array(hkdfSync("sha256", ikm, salt, info, size))
    const hmac = (key: Bytes, byte: number): Bytes =>
      new Uint8Array(createHmac("sha256", key).update(Uint8Array.of(byte)).digest())
    const secret = await alice.ours.exchange(SIGNED_PREKEY.public)
    const okm = hkdf(secret, SECRETS.rootKey, concat(labels.ROOT_KEY, zero), 64)
    const split = hkdf(hmac(okm.slice(32), 1), new Uint8Array(), concat(labels.MESSAGE_KEY, zero, SALT), 44)
    const cipher = createCipheriv("aes-256-gcm", split.slice(0, 32), split.slice(32))
    cipher.setAAD(concat(TO_BOB, encoded.slice(0, HEADER_SIZE)))
    const sealed = concat(cipher.update(utf8("text")), cipher.final(), cipher.getAuthTag())
    expect(alice.rootKey).toEqual(okm.slice(0, 32))
    expect(encoded.slice(HEADER_SIZE)).toEqual(sealed)
    expect(after.sending).toEqual({ key: hmac(okm.slice(32), 2), index: 1 })
  })

  test("a responder can't send before it has received", async () => {
    await refusal(async () => encrypt((await makePair())[1], utf8("text"), SALT), Misuse)
  })

  test.each([0, 15, 17])("a salt of %d bytes is misuse", async (size) => {
    await refusal(async () => encrypt((await makePair())[0], utf8("text"), new Uint8Array(size)), Misuse)
  })

  test("a chain ends before its index overflows", async () => {
    const [alice] = await makePair()
    const sending = { key: there(alice.sending).key, index: MAX_INDEX - 1 }
    const [last, encoded] = await encrypt({ ...alice, sending }, utf8("last"), SALT)

    expect(Message.parse(encoded).index).toBe(MAX_INDEX - 1)
    await refusal(() => encrypt(last, utf8("one too many"), SALT), Misuse)
  })

  test("a state restored from an old copy never uses a key and nonce twice", async () => {
    const [alice, bob] = await makePair()
    const [, messageKey] = kdfChain(there(alice.sending).key)
    const [[, first], [, second]] = [await send(alice, "before the restore"), await send(alice, "after it")]

    expect([first.ratchetKey, first.index]).toEqual([second.ratchetKey, second.index])
    expect(kdfMessage(messageKey, first.salt)).not.toEqual(kdfMessage(messageKey, second.salt))
    const [after, text] = await receive(bob, second)
    expect(text).toBe("after it")
    await refused(Duplicate, after, first)
  })
})

describe("in order, out of order, with loss", () => {
  test("an empty and a large plaintext survive", async () => {
    const [alice, bob] = await makePair()
    for (const plaintext of [new Uint8Array(), new Uint8Array(64 * 1024)]) {
      const [, encoded] = await encrypt(alice, plaintext, SALT)
      expect((await decrypt(bob, Message.parse(encoded), FRESH, NOW))[1]).toEqual(plaintext)
    }
  })

  test("whatever the order and the loss, each message opens once and as it was sent", async () => {
    const step = fc.record({ isSend: fc.boolean(), side: fc.constantFrom(0, 1), place: fc.nat(99) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const sides = await makeStartedPair()
        const underWay: { to: 0 | 1; text: string; message: Message }[] = []
        const opened: typeof underWay = []
        let sent = 0
        for (const { isSend, side, place } of steps) {
          if (isSend) {
            const text = `${side} says ${sent++}`
            const [after, message] = await send(there(sides[side]), text)
            sides[side] = after
            underWay.push({ to: side === 0 ? 1 : 0, text, message })
          } else if (underWay.length > 0) {
            const [packet] = underWay.splice(place % underWay.length, 1)
            const { to, text, message } = there(packet)
            const [after, plaintext] = await receive(sides[to], message)
            expect(plaintext).toBe(text)
            sides[to] = after
            opened.push(there(packet))
          }
        }
        for (const { to, message } of opened) await refused(RemoteError, sides[to], message)
        for (const { to, text, message } of underWay.reverse()) {
          const [after, plaintext] = await receive(sides[to], message)
          expect(plaintext).toBe(text)
          sides[to] = after
        }
        expect(sides.map((state) => state.skipped.size)).toEqual([0, 0])
      }),
      { numRuns: 60 },
    )
  })

  test("a message of the previous chain arrives after the DH step", async () => {
    let [alice, bob] = await makeStartedPair()
    const [sent, [first, ...late]] = await sendMany(alice, 4)
    ;[bob] = await receive(bob, first)
    ;[alice, bob] = await turn(sent, bob)
    const [, newer] = await send(alice, "newer chain")

    ;[bob] = await receive(bob, newer)
    expect(newer.previousLength).toBe(4)
    expect([...bob.skipped.keys()]).toEqual([1, 2, 3].map((index) => slotOf(first.ratchetKey, index)))
    for (const message of late.reverse()) {
      expect(startsReceivingChain(bob, message)).toBe(false)
      ;[bob] = await receive(bob, message)
    }
    expect(bob.skipped.size).toBe(0)
  })

  test("the first message to arrive may be a later one", async () => {
    const [alice, bob] = await makePair()
    const [, , last] = await sendMany(alice, 3)
    const [after, text] = await receive(bob, last)
    expect([text, after.skipped.size]).toEqual(["2", 2])
    await refused(Duplicate, after, last)
  })

  test("the fresh pair is used only when a receiving chain starts", async () => {
    const [alice, before] = await makeStartedPair()
    const [, messages] = await sendMany(alice, 3)
    let bob = before
    expect(startsReceivingChain(bob, at(messages, 1))).toBe(true)
    ;[bob] = await decrypt(bob, at(messages, 1), FRESH, NOW)
    expect(bob.ours).toBe(FRESH)
    for (const message of [at(messages, 0), at(messages, 2)]) {
      expect(startsReceivingChain(bob, message)).toBe(false)
      ;[bob] = await decrypt(bob, message, await keyPair("never used"), NOW)
      expect(bob.ours).toBe(FRESH)
    }
    expect(startsReceivingChain((await makePair())[1], at(messages, 0))).toBe(true)
  })
})

describe("duplicates", () => {
  test.each([[[0]], [[0, 1, 2]], [[2, 0, 1]]])("a second delivery in the order %j", async (order) => {
    const [alice, before] = await makePair()
    const [, messages] = await sendMany(alice, 3)
    let bob = before
    for (const number of order) [bob] = await receive(bob, at(messages, number))
    for (const number of order) await refused(Duplicate, bob, at(messages, number))
  })

  test("from a former chain it does not open and changes nothing", async () => {
    // Former ratchet keys are not remembered, so it is a forgery to the ratchet; the client knows the envelope.
    let [alice, bob] = await makeStartedPair()
    const [sent, former] = await send(alice, "former chain")
    ;[bob] = await receive(bob, former)
    ;[alice, bob] = await turn(sent, bob)
    ;[bob] = await receive(bob, (await send(alice, "newer chain"))[1])
    await refused(AuthenticationFailed, bob, former)
  })

  test("a message under our own signed prekey is refused", async () => {
    const [alice, before] = await makePair()
    const [sent, message] = await send(alice, "first")
    const [bob] = await receive(before, message)
    const [, reply] = await send(bob, "reply")
    await refused(Duplicate, sent, withHeader(reply, { ratchetKey: SIGNED_PREKEY.public.raw }))
  })
})

/** Alice and Bob, after a message of hers that started a chain. */
async function makeCurrentPair(): Promise<[Ratchet, Ratchet, Message]> {
  const [alice, bob] = await makeStartedPair()
  const [sent, first] = await send(alice, "starts the chain")
  return [sent, (await receive(bob, first))[0], first]
}

/** Return a state whose secrets can't be used: an error that is none of ours shows that work began. */
function untouchable(state: Ratchet): Ratchet {
  const fails = (): never => {
    throw new TypeError("work began")
  }
  const chain = (index: number): Chain => ({
    index,
    get key(): Bytes {
      return fails()
    },
  })
  const ours = new KeyPair(state.ours.public, state.ours.private)
  ours.exchange = fails
  const chains = { sending: chain(there(state.sending).index), receiving: chain(there(state.receiving).index) }
  return { ...state, ...chains, ours }
}

describe("bounds", () => {
  test.each([[MAX_JUMP, true], [MAX_JUMP + 1, false]])("a jump of %d within a chain: %s", async (jump, isOpened) => {
    const [alice, bob] = await makeCurrentPair()
    const [, , last] = await sendMany(alice, jump + 1)
    if (isOpened) expect((await receive(bob, last))[0].skipped.size).toBe(jump)
    else await refused(TooFarAhead, bob, last)
  })

  test.each([[600, 400, true], [600, 401, false], [601, 400, false]])(
    "a jump over a DH step counts both chains: %d and %d, %s",
    async (left, index, isOpened) => {
      let [alice, bob] = await makeCurrentPair()
      ;[alice] = await sendMany(alice, left)
      ;[alice, bob] = await turn(alice, bob)
      const [, , last] = await sendMany(alice, index + 1)
      if (isOpened) expect((await receive(bob, last))[0].skipped.size).toBe(MAX_JUMP)
      else await refused(TooFarAhead, bob, last)
    },
  )

  test("the first jump of a responder is bounded", async () => {
    const [alice, bob] = await makePair()
    const [, messages] = await sendMany(alice, MAX_JUMP + 2)
    await refusal(() => receive(bob, at(messages, -1)), TooFarAhead)
    expect((await receive(bob, at(messages, -2)))[0].skipped.size).toBe(MAX_JUMP)
  })

  test("a forged index or length and a duplicate are refused before any cryptography", async () => {
    const [, bob, first] = await makeCurrentPair()
    const state = untouchable(bob)
    const open = (message: Message): Promise<unknown> => decrypt(state, message, FRESH, NOW)
    for (const index of [MAX_JUMP + 2, 2 ** 31, 2 ** 32 - 1]) {
      await refusal(() => open(withHeader(first, { index })), TooFarAhead)
      await refusal(() => open(withHeader(first, { index, ratchetKey: FORGED })), TooFarAhead)
    }
    const previousLength = 2 ** 32 - 1
    await refusal(() => open(withHeader(first, { previousLength, index: 0, ratchetKey: FORGED })), TooFarAhead)
    await refusal(() => open(first), Duplicate)
    await expect(open(withHeader(first, { index: 1 }))).rejects.toThrow("work began")
  })

  test("skipped keys are bounded, first in first out", async () => {
    let [alice, bob] = await makePair()
    const jumps: (readonly Message[])[] = []
    for (let number = 0; number < 3; number++) {
      const [sent, messages, last] = await sendMany(alice, MAX_JUMP + 1)
      ;[alice, [bob]] = [sent, await receive(bob, last)]
      jumps.push(messages)
      expect(bob.skipped.size).toBe(Math.min((number + 1) * MAX_JUMP, MAX_SKIPPED))
    }
    const [first, second, third] = jumps.map((messages) => [at(messages, 0), at(messages, -2)] as const)
    for (const message of there(first)) await refused(Duplicate, bob, message)
    for (const message of [there(second)[0], there(third)[1]]) [bob] = await receive(bob, message)
    expect(bob.skipped.size).toBe(MAX_SKIPPED - 2)
  })

  test("a skipped key lives thirty days", async () => {
    const [alice, before] = await makePair()
    const [, messages, last] = await sendMany(alice, 2)
    const [bob] = await receive(before, last)
    expect((await receive(bob, at(messages, 0), NOW + SKIPPED_LIFETIME - 1))[1]).toBe("0")
    await refused(Duplicate, bob, at(messages, 0), NOW + SKIPPED_LIFETIME)
  })

  test.each([true, false])("an expired key is dropped by the next message, which skips: %s", async (skips) => {
    const [alice, before] = await makePair()
    const [, messages] = await sendMany(alice, 4)
    const [bob] = await receive(before, at(messages, 1))
    const [after] = await receive(bob, at(messages, skips ? 3 : 2), NOW + SKIPPED_LIFETIME)
    expect([...after.skipped.values()].map((kept) => kept.index)).toEqual(skips ? [2] : [])
  })
})

describe("forgeries", () => {
  const flips: readonly ((message: Message) => Partial<Message>)[] = [
    (message) => ({ sessionId: altered(message.sessionId, 0) as SessionId }),
    (message) => ({ ratchetKey: altered(message.ratchetKey, 0) }),
    (message) => ({ previousLength: message.previousLength ^ 1 }),
    (message) => ({ index: message.index ^ 1 }),
    (message) => ({ salt: altered(message.salt, 0) }),
    (message) => ({ ciphertext: altered(message.ciphertext, 0) }),
    (message) => ({ ciphertext: altered(message.ciphertext, message.ciphertext.length - 1) }),
    (message) => ({ ciphertext: concat(message.ciphertext, Uint8Array.of(0)) }),
    (message) => ({ ciphertext: message.ciphertext.slice(1) }),
  ]

  test.each(["first", "same chain", "new chain", "skipped"])("a flipped field is refused: %s", async (stage) => {
    const [alice, before] = await (stage === "first" ? makePair() : makeStartedPair())
    const [, messages] = await sendMany(alice, 3)
    let bob = before
    if (stage === "same chain") [bob] = await receive(bob, at(messages, 0))
    if (stage === "skipped") [bob] = await receive(bob, at(messages, 1))
    const message = at(messages, stage === "skipped" ? 0 : 2)
    for (const flip of flips) {
      const forged = withHeader(message, flip(message))
      const isOpenedIndex = stage === "skipped" && forged.index !== message.index
      await refused(isOpenedIndex ? Duplicate : AuthenticationFailed, bob, forged)
    }
    expect((await receive(bob, message))[1]).toBe(stage === "skipped" ? "0" : "2")
  })

  test("every flipped bit is refused and changes nothing", async () => {
    const [alice, bob] = await makePair()
    const [, encoded] = await encrypt(alice, utf8("text"), SALT)
    const sessions = { sending: established(bob), archived: [] }
    await leaves(sessions, async () => {
      for (const flipped of bitFlips(encoded)) {
        await refusal(async () => decrypt(bob, Message.parse(flipped), FRESH, NOW), RemoteError)
      }
    })
    expect((await decrypt(bob, Message.parse(encoded), FRESH, NOW))[1]).toEqual(utf8("text"))
  })

  test("a forged ratchet key leaves the old keys working", async () => {
    const [alice, before] = await makeStartedPair()
    const [, messages, last] = await sendMany(alice, 3)
    let [bob] = await receive(before, at(messages, 1))
    await refused(AuthenticationFailed, bob, withHeader(last, { ratchetKey: FORGED }))
    for (const message of [at(messages, 0), last]) [bob] = await receive(bob, message)
    expect(bob.skipped.size).toBe(0)
  })

  test.each([
    ["low order, zero", new Uint8Array(32)],
    ["low order, one", new Uint8Array(32).with(0, 1)],
    ["not reduced", new Uint8Array(32).fill(0xff).with(0, 0xed).with(31, 0x7f)],
    ["top bit", new Uint8Array(32).with(31, 0x80)],
  ])("a bad ratchet key is refused: %s", async (_, ratchetKey) => {
    const [alice, bob] = await makeStartedPair()
    const [, message] = await send(alice, "text")
    await refused(BadKey, bob, withHeader(message, { ratchetKey }))
  })

  test("a signed prekey of low order is refused", async () => {
    await refusal(() => initiator(SECRETS, TO_BOB, TO_ALICE, new PublicKey(new Uint8Array(32)), FRESH), BadKey)
  })

  test("a message that its sender filed under another session is refused", async () => {
    const [alice, bob] = await makeStartedPair()
    const [, message] = await send({ ...alice, sessionId: new Uint8Array(8) as SessionId }, "text")
    await refused(AuthenticationFailed, bob, message)
  })

  test("a message reflected to its sender is refused", async () => {
    const [alice, bob] = await makeStartedPair()
    const [sent, message] = await send(alice, "to bob")
    await refused(AuthenticationFailed, sent, message)
    // The same keys in both directions: only the associated data tells them apart.
    await refused(AuthenticationFailed, { ...bob, receivingAd: bob.sendingAd }, message)
  })

  test("a previous length that lies costs only the liar", async () => {
    let [alice, bob] = await makeStartedPair()
    const [sent, [first, second]] = await sendMany(alice, 2)
    ;[bob] = await receive(bob, first)
    ;[alice, bob] = await turn(sent, bob)
    for (const [previousLength, kept] of [[0, 0], [1, 0], [2, 1], [9, 8]] as const) {
      const [, message] = await send({ ...alice, previousLength }, "newer")
      const [after, text] = await receive(bob, message)
      expect([text, after.skipped.size]).toEqual(["newer", kept])
      if (kept > 0) expect((await receive(after, there(second)))[1]).toBe("1")
    }
  })
})
