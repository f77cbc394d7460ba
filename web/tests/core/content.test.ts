import fc from "fast-check"
import { describe, expect, test } from "vitest"

import { CRITICAL, MAX_BODY_SIZE, MAX_COUNTERS, MAX_EXTENSIONS, MAX_EXTENSION_SIZE } from "../../src/core/content"
import { Content, Extension, Kind, MAX_IDS, MAX_TEXT_SIZE, Resend } from "../../src/core/content"
import { counterOf, encodeIds, isCounted, parseIds, parseText } from "../../src/core/content"
import { Writer, concat, fromHex, sameBytes, utf8 } from "../../src/core/encoding"
import { Malformed, Misuse, UnsupportedVersion } from "../../src/core/errors"
import { Reason, State } from "../../src/core/file_offer"
import type { Bytes, ConversationId, MessageId, SessionId } from "../../src/core/types"
import { NOW, seed } from "./accounts"
import { bitFlips, raisesOnlyOurErrors, refusal, refusesTruncationsAndTrailingBytes } from "./strict"

const messageId = (name: string): MessageId => seed(`message ${name}`, 16) as MessageId
const SESSION = seed("session", 8) as SessionId
const PROFILE_KEY = seed("profile")
const FULL: Content = {
  kind: Kind.TEXT,
  messageId: messageId("first"),
  counter: 1n,
  sent: BigInt(NOW),
  conversation: seed("conversation", 16) as ConversationId,
  senderRecord: { version: 7, hash: seed("sender's record") },
  recipientRecord: { version: 9, hash: seed("recipient's record") },
  body: utf8("hello"),
  replyTo: messageId("earlier"),
  expiresAfter: 3600,
  extensions: new Map([[Extension.PROFILE_KEY, PROFILE_KEY]]),
}
const BARE: Content = { ...FULL, replyTo: null, expiresAfter: null, extensions: new Map() }

// Where the fields of a content without optional fields lie.
const [FLAGS_AT, ID_AT, BODY_AT] = [2, 3, 123]
const EXTENSIONS_AT = BODY_AT + 4 + BARE.body.length
const zeros = (size: number): Bytes => new Uint8Array(size)

/** Return a text message with these extensions written as they are given. */
function withExtensions(extensions: readonly (readonly [number, Bytes])[], count = extensions.length): Bytes {
  const writer = new Writer().raw(Content.encode(BARE).slice(0, EXTENSIONS_AT)).u8(count)
  for (const [type, value] of extensions) writer.u16(type).u16(value.length).raw(value)
  return writer.done()
}

function ofKind(kind: number, body: Bytes): Bytes {
  return new Writer().raw(Content.encode(BARE).slice(0, BODY_AT).with(1, kind)).u32(body.length).raw(body).u8(0).done()
}

describe("content", () => {
  test.each([["every field", FULL], ["no optional field", BARE]])("reads back strictly: %s", async (_, content) => {
    expect(Content.parse(Content.encode(content))).toEqual(content)
    await refusesTruncationsAndTrailingBytes((data) => Content.parse(data), Content.encode(content))
  })

  test("has the layout of the specification", () => {
    const names = new Writer().u32(7).raw(seed("sender's record")).u32(9).raw(seed("recipient's record")).done()
    const times = fromHex("0000000000000001" + NOW.toString(16).padStart(16, "0"))
    const fixed = concat(FULL.messageId, times, FULL.conversation, names)
    const hello = concat(fromHex("00000005"), utf8("hello"))
    const options = concat(messageId("earlier"), fromHex("00000e10"))
    expect(Content.encode(FULL)).toEqual(
      concat(fromHex("010103"), fixed, options, hello, fromHex("0100010020"), PROFILE_KEY),
    )
    expect(Content.encode(BARE)).toEqual(concat(fromHex("010100"), fixed, hello, fromHex("00")))
  })

  test("reads back whatever it holds", () => {
    const bytes = (size: number): fc.Arbitrary<Bytes> => fc.uint8Array({ minLength: size, maxLength: size }).map(copy)
    const u64 = fc.bigInt(0n, 2n ** 64n - 1n)
    const record = fc.record({ version: fc.nat(2 ** 32 - 1), hash: bytes(32) })
    const contents: fc.Arbitrary<Content> = fc.record({
      kind: fc.constant(Kind.TEXT),
      messageId: bytes(16).map((id) => id as MessageId),
      counter: u64,
      sent: u64,
      conversation: bytes(16).map((id) => id as ConversationId),
      senderRecord: record,
      recipientRecord: record,
      body: fc.string({ minLength: 1, unit: "grapheme" }).map(utf8),
      replyTo: fc.option(bytes(16).filter((id) => id.some((byte) => byte > 0)).map((id) => id as MessageId)),
      expiresAfter: fc.option(fc.integer({ min: 1, max: 2 ** 32 - 1 })),
      extensions: fc.array(bytes(32), { maxLength: 1 }).map((keys) => new Map(keys.map((key) => [1, key] as const))),
    })
    fc.assert(
      fc.property(contents, (content) => {
        expect(Content.parse(Content.encode(content))).toEqual(content)
        expect(counterOf(Content.encode(content))).toBe(content.counter)
      }),
    )
  })

  test("whatever parses encodes back", async () => {
    const tails = fc.uint8Array({ maxLength: 60 }).map(copy)
    const whole = fc.oneof(tails, tails.map((tail) => concat(Content.encode(BARE).slice(0, BODY_AT), tail)))
    await fc.assert(
      fc.asyncProperty(whole, async (data) => {
        const encoded = await raisesOnlyOurErrors((given) => Content.encode(Content.parse(given)), data)
        if (encoded !== null) expect(encoded).toEqual(data)
      }),
    )
  })

  test("with a flipped bit is another one or refused", async () => {
    for (const flipped of bitFlips(Content.encode(FULL))) {
      await raisesOnlyOurErrors((data) => {
        const content = Content.parse(data)
        // Else an extension turned into an unknown one.
        expect(sameBytes(Content.encode(content), flipped) || content.extensions.size === 0).toBe(true)
      }, flipped)
    }
  })

  test.each([0, 2, 255])("of version %d is unsupported", async (version) => {
    const data = Content.encode(BARE).with(0, version)
    await refusal(() => Content.parse(data), UnsupportedVersion)
    await refusal(() => counterOf(data), UnsupportedVersion)
  })

  test.each([0, 6, 7, 8, 9, 10, 12, 255])("of the kind %d is unsupported, and still counts", async (kind) => {
    const data = ofKind(kind, utf8("hello"))
    await refusal(() => Content.parse(data), UnsupportedVersion)
    expect(counterOf(data)).toBe(1n)
    await refusal(() => counterOf(data.slice(0, 26)), Malformed)
  })

  test.each([0x04, 0x10, 0x80, 0xff])("with the unknown flag %d is malformed", async (flags) => {
    await refusal(() => Content.parse(Content.encode(BARE).with(FLAGS_AT, flags)), Malformed)
  })

  test.each([
    [1, zeros(16)],
    [2, zeros(4)],
    [3, concat(zeros(16), fromHex("01010101"))],
    [3, concat(seed("id", 16), zeros(4))],
  ])("with the flags %d and a field that is zero is malformed", async (flags, field) => {
    const data = Content.encode(BARE)
    const wrong = concat(data.slice(0, FLAGS_AT), Uint8Array.of(flags), data.slice(ID_AT, BODY_AT), field, data.slice(BODY_AT))
    expect((await refusal(() => Content.parse(wrong), Malformed)).message).toMatch("zero")
  })

  test("with a body over its cap is refused on both sides", async () => {
    await refusal(() => Content.parse(ofKind(Kind.TEXT, zeros(MAX_BODY_SIZE + 1))), Malformed)
    await refusal(() => Content.parse(concat(Content.encode(BARE).slice(0, BODY_AT), fromHex("ffffffff"))), Malformed)
    await refusal(() => Content.encode({ ...BARE, body: zeros(MAX_BODY_SIZE + 1) }), Misuse)
  })

  test.each<Partial<Content>>([
    { messageId: zeros(5) as MessageId },
    { conversation: zeros(17) as ConversationId },
    { counter: -1n },
    { counter: 2n ** 64n },
    { senderRecord: { version: 2 ** 32, hash: zeros(32) } },
    { recipientRecord: { version: 1, hash: zeros(31) } },
    { replyTo: zeros(15) as MessageId },
    { expiresAfter: 0 },
    { expiresAfter: 2 ** 32 },
    { extensions: new Map([[Extension.PROFILE_KEY, zeros(MAX_EXTENSION_SIZE + 1)]]) },
  ])("with a field out of its range is misuse: %o", async (fields) => {
    await refusal(() => Content.encode({ ...BARE, ...fields }), Misuse)
  })
})

test("texts and files have a counter, and nothing else has", () => {
  expect(Object.values(Kind).filter(isCounted)).toEqual([Kind.TEXT, Kind.FILE])
})

describe("bodies", () => {
  test.each([
    [Kind.TEXT, utf8("x")],
    [Kind.TEXT, zeros(MAX_TEXT_SIZE).fill(0x78)],
    [Kind.TEXT, utf8("grüße, 你好 👋")],
    [Kind.RECEIPT, encodeIds([messageId("a")])],
    [Kind.CONTROL, zeros(0)],
    [Kind.RESEND, Resend.encode({ resets: SESSION, counters: [1n, 2n] })],
    [Kind.FILE_STATE, concat(zeros(16), Uint8Array.of(State.DONE, Reason.NONE))],
  ])("the kind %d takes its body", (kind, body) => {
    expect(Content.parse(ofKind(kind, body))).toMatchObject({ kind, body })
  })

  test.each([
    [Kind.TEXT, zeros(0)],
    [Kind.TEXT, zeros(MAX_TEXT_SIZE + 1).fill(0x78)],
    [Kind.TEXT, fromHex("ff")],
    [Kind.TEXT, fromHex("eda080")],
    [Kind.TEXT, fromHex("c080")],
    [Kind.RECEIPT, zeros(0)],
    [Kind.RECEIPT, zeros(15)],
    [Kind.RECEIPT, zeros(17)],
    [Kind.RECEIPT, zeros(16 * (MAX_IDS + 1))],
    [Kind.CONTROL, utf8("x")],
    [Kind.RESEND, zeros(0)],
    [Kind.FILE, Uint8Array.of(1)],
    [Kind.FILE_STATE, zeros(18)],
  ])("the kind %d refuses another", async (kind, body) => {
    await refusal(() => Content.parse(ofKind(kind, body)), Malformed)
  })

  test("a receipt names 1 to 64 messages", async () => {
    for (const count of [1, 2, MAX_IDS]) {
      const ids = Array.from({ length: count }, (_, number) => messageId(String(number)))
      expect(parseIds(encodeIds(ids))).toEqual(ids)
    }
    for (const count of [0, MAX_IDS + 1]) {
      await refusal(() => encodeIds(new Array<MessageId>(count).fill(messageId("a"))), Misuse)
    }
  })

  test("texts are UTF-8, and nothing of them is dropped", async () => {
    const written = fc.oneof(fc.uint8Array({ maxLength: 60 }).map(copy), fc.string({ unit: "binary" }).map(utf8))
    await fc.assert(
      fc.asyncProperty(written, async (body) => {
        const text = await raisesOnlyOurErrors(parseText, body)
        if (typeof text === "string") expect(utf8(text)).toEqual(body)
      }),
    )
    expect(parseText(fromHex("efbbbf41"))).toBe("\uFEFFA")
  })
})

describe("resend requests", () => {
  const resets = fc.option(fc.uint8Array({ minLength: 8, maxLength: 8 }).map((id) => copy(id) as SessionId))
  const counters = fc.uniqueArray(fc.bigInt(0n, 2n ** 64n - 1n), { maxLength: 20 })
  const ascending = counters.map((found) => found.sort((first, second) => (first < second ? -1 : 1)))

  test("read back", () => {
    fc.assert(
      fc.property(fc.record({ resets, counters: ascending }), (resend) => {
        expect(Resend.parse(Resend.encode(resend))).toEqual(resend)
      }),
    )
  })

  test("that parse encode back", async () => {
    const tails = fc.uint8Array({ maxLength: 40 }).map(copy)
    const whole = fc.oneof(tails, tails.map((tail) => concat(Uint8Array.of(1), SESSION, tail)))
    await fc.assert(
      fc.asyncProperty(whole, async (data) => {
        const encoded = await raisesOnlyOurErrors((given) => Resend.encode(Resend.parse(given)), data)
        if (encoded !== null) expect(encoded).toEqual(data)
      }),
    )
  })

  test.each<Resend>([
    { resets: SESSION, counters: [3n, 5n] },
    { resets: null, counters: [0n] },
    { resets: null, counters: [] },
    { resets: SESSION, counters: [] },
  ])("are parsed strictly: %o", async (resend) => {
    await refusesTruncationsAndTrailingBytes((data) => Resend.parse(data), Resend.encode(resend))
  })

  test("have the layout of the specification", () => {
    const counted = fromHex("000200000000000000030000000000000005")
    const encoded = Resend.encode({ resets: SESSION, counters: [3n, 5n] })
    expect(encoded).toEqual(concat(Uint8Array.of(1), SESSION, counted))
    expect(Resend.encode({ resets: null, counters: [] })).toEqual(zeros(11))
  })

  test.each([[[2n, 1n]], [[1n, 1n]], [[0n, 0n]]])("have ascending counters, not %o", async (wrong) => {
    await refusal(() => Resend.parse(Resend.encode({ resets: null, counters: wrong })), Malformed)
  })

  test("are bounded and contradict no flag", async () => {
    const counted = (count: number): Resend => ({ resets: null, counters: Array.from({ length: count }, (_, at) => BigInt(at)) })
    expect(Resend.parse(Resend.encode(counted(MAX_COUNTERS)))).toEqual(counted(MAX_COUNTERS))
    await refusal(() => Resend.parse(Resend.encode(counted(MAX_COUNTERS + 1))), Malformed)
    for (const flag of [0, 2]) {
      await refusal(() => Resend.parse(concat(Uint8Array.of(flag), SESSION, zeros(2))), Malformed)
    }
  })
})

describe("extensions", () => {
  test("that are unknown are dropped unless critical", async () => {
    const profile = [Extension.PROFILE_KEY, PROFILE_KEY] as const
    const parsed = Content.parse(withExtensions([profile, [2, utf8("later")], [CRITICAL - 1, zeros(0)]]))
    expect(parsed.extensions).toEqual(new Map([profile]))
    for (const type of [CRITICAL, CRITICAL | Extension.PROFILE_KEY, 0xffff]) {
      await refusal(() => Content.parse(withExtensions([profile, [type, zeros(0)]])), UnsupportedVersion)
    }
  })

  test("ascend", async () => {
    for (const types of [[1, 1], [2, 1], [0, 0]]) {
      await refusal(() => Content.parse(withExtensions(types.map((type) => [type, zeros(32)]))), Malformed)
    }
    expect(Content.parse(withExtensions([[0, zeros(0)]])).extensions.size).toBe(0)
  })

  test("are bounded", async () => {
    const most = Array.from({ length: MAX_EXTENSIONS }, (_, at) => [at + 100, zeros(0)] as const)
    expect(Content.parse(withExtensions(most)).extensions.size).toBe(0)
    await refusal(() => Content.parse(withExtensions([...most, [200, zeros(0)]])), Malformed)
    expect(Content.parse(withExtensions([[100, zeros(MAX_EXTENSION_SIZE)]])).extensions.size).toBe(0)
    await refusal(() => Content.parse(withExtensions([[100, zeros(MAX_EXTENSION_SIZE + 1)]])), Malformed)
    await refusal(() => Content.parse(withExtensions([[100, zeros(0)]], 2)), Malformed)
  })

  test.each([0, 31, 33])("a profile key of %d bytes is malformed", async (size) => {
    await refusal(() => Content.parse(withExtensions([[Extension.PROFILE_KEY, zeros(size)]])), Malformed)
  })
})

function copy(data: Uint8Array): Bytes {
  return new Uint8Array(data)
}
