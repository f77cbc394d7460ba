/** The sealed envelope: exact sizes, nothing of the sender outside, every bit bound. */

import { createHmac } from "node:crypto"

import fc from "fast-check"
import { describe, expect, test } from "vitest"

import { Writer, concat, fromHex, toHex, utf8 } from "../../src/core/encoding"
import { CLASSICAL, Envelope, EnvelopeKeys, HYBRID, encodePayload } from "../../src/core/envelope"
import { openEnvelope, parsePayload, sealEnvelope } from "../../src/core/envelope"
import type { Payload } from "../../src/core/envelope"
import { AuthenticationFailed, BadKey, Malformed, Misuse, UnsupportedVersion } from "../../src/core/errors"
import { MAX_RECORD_SIZE } from "../../src/core/identity"
import { BUCKETS } from "../../src/core/padding"
import { EnvelopePrekey } from "../../src/core/prekeys"
import { PublicKey, aeadOpen, aeadSeal, sha256 } from "../../src/core/primitives"
import type { Address, Bytes, DeviceId, PrekeyId } from "../../src/core/types"
import { keyPair, makeDevice, seed } from "./accounts"
import { person } from "./people"
import { altered, raisesOnlyOurErrors, refusal } from "./strict"

const [ALICE, BOB] = [await person("alice"), await person("bob")]
const KEYS = BOB.prekeys.envelope
const EPHEMERAL = await keyPair("ephemeral")
const KEM = await BOB.envelopePrekey.mlkem768.encapsulate()
const MESSAGE = utf8("message".repeat(20))
const ORDINARY: Payload = { sender: ALICE.device.address, device: 1 as DeviceId, record: null, message: MESSAGE }
const FIRST: Payload = { ...ORDINARY, record: ALICE.account.record.encoded }
const HYBRID_HEADER = 38 + 1088
const zeros = (size: number): Bytes => new Uint8Array(size)
const BOTH = [["classical", null], ["hybrid", KEM]] as const

const sealed = (payload: Payload = ORDINARY, kem: readonly [Bytes, Bytes] | null = null): Promise<Bytes> =>
  sealEnvelope(BOB.envelopePrekey, BOB.recipient, payload, EPHEMERAL, kem)

const opened = async (data: Bytes): Promise<Payload> => openEnvelope(Envelope.parse(data), KEYS, BOB.recipient)

/** Derive an envelope's key and nonce from spec/envelope.md with HMAC alone. */
async function keyByTheBook(data: Bytes): Promise<readonly [Bytes, Bytes]> {
  const hmac = (key: Bytes, body: Bytes): Bytes => new Uint8Array(createHmac("sha256", key).update(body).digest())
  const own = BOB.envelopePrekey
  const isHybrid = data[1] === HYBRID
  const ciphertext = data.slice(38, HYBRID_HEADER)
  const kem = isHybrid ? concat(own.mlkem768.raw, ciphertext) : zeros(0)
  const context = concat(data.slice(1, 38), own.x25519.raw, kem, ...BOB.recipient)
  const exchanged = await KEYS.x25519.exchange(new PublicKey(data.slice(6, 38)))
  const secret = concat(exchanged, isHybrid ? await KEYS.mlkem768.decapsulate(ciphertext) : zeros(0))
  const [pseudorandom, info] = [hmac(zeros(32), secret), concat(utf8("halonyx/1 envelope key\0"), context)]
  const first = hmac(pseudorandom, concat(info, Uint8Array.of(1)))
  return [first, hmac(pseudorandom, concat(first, info, Uint8Array.of(2))).slice(0, 12)]
}

const headerOf = (data: Bytes): Bytes => data.slice(0, data[1] === HYBRID ? HYBRID_HEADER : 38)

async function inside(data: Bytes): Promise<Bytes> {
  const header = headerOf(data)
  return aeadOpen(...(await keyByTheBook(data)), data.slice(header.length), header)
}

/** Write something over what lies inside an envelope and seal it again as its sender could. */
async function overwritten(data: Bytes, at: number, value: Bytes): Promise<Bytes> {
  const [header, changed] = [headerOf(data), await inside(data)]
  changed.set(value, at)
  return concat(header, await aeadSeal(...(await keyByTheBook(data)), changed, header))
}

describe("sealing and opening", () => {
  test.each(BOTH)("what is sealed opens: %s", async (_, kem) => {
    const data = await sealed(ORDINARY, kem)
    const envelope = Envelope.parse(data)
    expect(await opened(data)).toEqual(ORDINARY)
    expect(envelope).toMatchObject({ prekey: KEYS.id, ephemeral: EPHEMERAL.public, kemCiphertext: kem?.[0] ?? null })
    expect(concat(envelope.header, envelope.ciphertext)).toEqual(data)
  })

  test("a first contact carries the record", async () => {
    const data = await sealed(FIRST, KEM)
    expect(data).toHaveLength(8192)
    expect(await opened(data)).toEqual(FIRST)
  })

  test.each(BOTH)("the layout is the specified one: %s", async (_, kem) => {
    const data = await sealed(ORDINARY, kem)
    const form = kem === null ? CLASSICAL : HYBRID
    const head = new Writer().u8(1).u8(form).u32(KEYS.id).raw(EPHEMERAL.public.raw).raw(kem?.[0] ?? zeros(0)).done()
    const written = concat(fromHex("012200"), ORDINARY.sender, fromHex("010000008c"), MESSAGE)
    expect(headerOf(data)).toEqual(head)
    expect(await inside(data)).toEqual(concat(written, zeros(data.length - head.length - written.length - 16)))
  })

  test("a record lies between sender and message", async () => {
    const record = ALICE.account.record.encoded
    const start = new Writer().raw(fromHex("012201")).raw(ORDINARY.sender).u8(1).u16(record.length).raw(record).done()
    expect((await inside(await sealed(FIRST, KEM))).slice(0, start.length)).toEqual(start)
  })

  test("an envelope is the smallest bucket that fits", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 64 * 1024 - 38 - 16 - 40 }), async (size) => {
        const data = await sealed({ ...ORDINARY, message: zeros(size) })
        expect(BUCKETS).toContain(data.length)
        expect(data.length === 1024 || 38 + 40 + size + 16 > data.length / 2).toBe(true)
        expect((await opened(data)).message).toHaveLength(size)
      }),
      { numRuns: 30 },
    )
  })

  test("what does not fit 64 KiB is misuse", async () => {
    const largest = 64 * 1024 - 38 - 16 - 40
    expect(await sealed({ ...ORDINARY, message: zeros(largest) })).toHaveLength(64 * 1024)
    for (const size of [largest + 1, 64 * 1024 + 1]) {
      await refusal(() => sealed({ ...ORDINARY, message: zeros(size) }), Misuse)
    }
  })

  test.each<Partial<Payload>>([
    { message: zeros(0) },
    { record: zeros(0) },
    { record: zeros(MAX_RECORD_SIZE + 1) },
    { device: 256 as DeviceId },
    { sender: zeros(31) as Address },
  ])("a payload out of range is misuse: %o", async (fields) => {
    await refusal(() => sealed({ ...ORDINARY, ...fields }, KEM), Misuse)
  })

  test("the relay sees nothing of the sender", async () => {
    const { account, device } = ALICE
    const known = [account.address, device.fingerprint, account.usid, device.identity.public.raw, MESSAGE]
    for (const data of [await sealed(), await sealed(FIRST, KEM)]) {
      for (const field of known) expect(toHex(data)).not.toContain(toHex(field.slice(0, 8)))
    }
  })

  test("two envelopes of one message share only the prekey id", async () => {
    const other = await sealEnvelope(BOB.envelopePrekey, BOB.recipient, ORDINARY, await keyPair("other"), null)
    const [first, second] = [await sealed(), other]
    expect(first.slice(0, 6)).toEqual(second.slice(0, 6))
    expect(first.slice(6, 38)).not.toEqual(second.slice(6, 38))
    expect(first.slice(38)).not.toEqual(second.slice(38))
  })

  test("a prekey of low order is not sealed to", async () => {
    const low = new EnvelopePrekey(1 as PrekeyId, new PublicKey(zeros(32)), BOB.envelopePrekey.mlkem768)
    await refusal(() => sealEnvelope(low, BOB.recipient, ORDINARY, EPHEMERAL, null), BadKey)
  })

  test("envelope keys give the public prekey", () => {
    expect(KEYS.public).toEqual(BOB.envelopePrekey)
  })
})

describe("what is altered or meant for another", () => {
  const refusals = [AuthenticationFailed, BadKey, Malformed, UnsupportedVersion]

  test("every flipped byte of a classical envelope is refused", async () => {
    const data = await sealed()
    for (let at = 0; at < data.length; at++) await refusal(() => opened(altered(data, at, 1 << at % 8)), ...refusals)
  })

  test("every flipped bit before the ciphertext is refused", async () => {
    const data = await sealed()
    for (let bit = 0; bit < 38 * 8; bit++) {
      await refusal(() => opened(altered(data, bit >> 3, 1 << (bit & 7))), ...refusals)
    }
  })

  test("a flipped bit anywhere in a hybrid first contact is refused", async () => {
    const data = await sealed(FIRST, KEM)
    await fc.assert(
      fc.asyncProperty(fc.nat(data.length * 8 - 1), async (bit) => {
        await refusal(() => opened(altered(data, bit >> 3, 1 << (bit & 7))), ...refusals)
      }),
      { numRuns: 300 },
    )
  })

  test.each([38, 600, HYBRID_HEADER - 1])("an altered ML-KEM ciphertext fails to authenticate: %d", async (at) => {
    const data = await sealed(FIRST, KEM)
    await refusal(() => opened(altered(data, at)), AuthenticationFailed)
  })

  test("it opens for one address, device and prekey only", async () => {
    const envelope = Envelope.parse(await sealed())
    const second = await makeDevice(BOB.device.address, "bob", 2)
    const other = new EnvelopeKeys(KEYS.id, await keyPair("other"), KEYS.mlkem768)
    for (const [keys, recipient] of [
      [KEYS, [ALICE.device.address, BOB.device.fingerprint]],
      [KEYS, [BOB.device.address, second.fingerprint]],
      [other, BOB.recipient],
      [ALICE.prekeys.envelope, BOB.recipient],
    ] as const) {
      await refusal(() => openEnvelope(envelope, keys, recipient), AuthenticationFailed)
    }
  })

  test("a hybrid envelope is bound to the ML-KEM key and its secret", async () => {
    const envelope = Envelope.parse(await sealed(ORDINARY, KEM))
    const other = new EnvelopeKeys(KEYS.id, KEYS.x25519, ALICE.prekeys.envelope.mlkem768)
    await refusal(() => openEnvelope(envelope, other, BOB.recipient), AuthenticationFailed)
    await refusal(async () => opened(await sealed(ORDINARY, [KEM[0], zeros(32)])), AuthenticationFailed)
  })

  test("a first contact in a classical envelope is refused", async () => {
    const refused = await refusal(async () => opened(await sealed(FIRST, null)), Malformed)
    expect(refused.message).toMatch("hybrid")
  })
})

describe("parsing", () => {
  test.each([0, 1, 1023, 1025, 1536, 2047, 128 * 1024])("%d bytes are no bucket", async (size) => {
    const data = concat(fromHex("0120"), zeros(size)).slice(0, size)
    expect((await refusal(() => Envelope.parse(data), Malformed)).message).toMatch("bucket")
  })

  test("every truncation is no bucket", async () => {
    const data = await sealed()
    for (let size = 0; size < data.length; size++) await refusal(() => Envelope.parse(data.slice(0, size)), Malformed)
    await refusal(() => Envelope.parse(concat(data, zeros(1))), Malformed)
  })

  test.each([0, 2, 255])("version %d is unsupported", async (version) => {
    const data = await sealed()
    await refusal(() => Envelope.parse(data.with(0, version)), UnsupportedVersion)
  })

  test.each([0, 0x1f, 0x22, 0xff])("form %d is malformed", async (form) => {
    const data = await sealed()
    expect((await refusal(() => Envelope.parse(data.with(1, form)), Malformed)).message).toMatch("form")
  })

  test("a hybrid envelope does not fit the smallest bucket", async () => {
    const data = concat(fromHex("0121"), zeros(1022))
    expect((await refusal(() => Envelope.parse(data), Malformed)).message).toMatch("hybrid")
  })

  test("bad ephemeral keys are refused", async () => {
    const data = await sealed()
    const over = zeros(32).fill(0xff).with(0, 0xed).with(31, 0x7f)
    await refusal(() => Envelope.parse(concat(data.slice(0, 6), over, data.slice(38))), BadKey)
    await refusal(() => opened(concat(data.slice(0, 6), zeros(32), data.slice(38))), BadKey)
  })

  test("random envelopes are refused", async () => {
    const size = fc.constantFrom(...BUCKETS.slice(0, 3))
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(CLASSICAL, HYBRID), fc.uint8Array({ maxLength: 64 }), size, async (form, start, length) => {
        const noise = Array.from({ length: length / 32 }, (_, at) => sha256(concat(start, Uint8Array.of(at))))
        const data = concat(Uint8Array.of(1, form), start, ...noise).slice(0, length)
        expect(await raisesOnlyOurErrors(opened, data)).toBeNull()
      }),
    )
  })
})

describe("a payload that its sender made wrong", () => {
  test.each([
    ["version", 0, "02", UnsupportedVersion],
    ["type", 1, "23", Malformed],
    ["unknown flag", 2, "02", Malformed],
    ["high flag", 2, "80", Malformed],
    ["device 0", 35, "00", Malformed],
    ["empty message", 36, "00000000", Malformed],
    ["message over its cap", 36, "00010001", Malformed],
    ["message length 2^32-1", 36, "ffffffff", Malformed],
    ["first padding byte", 40 + 140, "01", Malformed],
    ["last padding byte", 1024 - 38 - 16 - 1, "01", Malformed],
  ])("%s", async (_, at, value, kind) => {
    expect(await opened(await overwritten(await sealed(), 0, zeros(0)))).toEqual(ORDINARY)
    await refusal(async () => opened(await overwritten(await sealed(), at, fromHex(value))), kind)
  })

  test.each(["02", "03", "81", "ff"])("unknown flags before a whole record: %s", async (flags) => {
    const data = await overwritten(await sealed(FIRST, KEM), 2, fromHex(flags))
    expect((await refusal(() => opened(data), Malformed)).message).toMatch("flag")
  })

  test.each([0, MAX_RECORD_SIZE + 1, 0xffff])("a record of %d bytes", async (size) => {
    const data = await overwritten(await sealed(FIRST, KEM), 36, new Writer().u16(size).done())
    expect((await refusal(() => opened(data), Malformed)).message).toMatch("outside")
  })

  test.each([["plain", ORDINARY], ["record", { ...FIRST, record: seed("record", 300) }]])("strict: %s", async (_, payload) => {
    const encoded = encodePayload(payload)
    for (let size = 0; size < encoded.length; size++) {
      await refusal(() => parsePayload(encoded.slice(0, size)), Malformed)
    }
    for (let value = 1; value < 256; value++) {
      const padded = concat(encoded, Uint8Array.of(value))
      expect((await refusal(() => parsePayload(padded), Malformed)).message).toMatch("padding")
    }
    expect(parsePayload(concat(encoded, zeros(100)))).toEqual(payload)
  })

  test("any other payload round-trips", async () => {
    const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Bytes> =>
      fc.uint8Array({ minLength, maxLength }).map((data) => new Uint8Array(data))
    const payloads: fc.Arbitrary<Payload> = fc.record({
      sender: bytes(32, 32).map((address) => address as Address),
      device: fc.integer({ min: 1, max: 255 }).map((id) => id as DeviceId),
      record: fc.option(bytes(1, 200)),
      message: bytes(1, 200),
    })
    await fc.assert(
      fc.asyncProperty(payloads, async (payload) => {
        expect(await opened(await sealed(payload, KEM))).toEqual(payload)
      }),
    )
  })

  test("one that parses encodes back", async () => {
    const tails = fc.uint8Array({ maxLength: 120 }).map((data) => new Uint8Array(data))
    await fc.assert(
      fc.asyncProperty(fc.oneof(tails, tails.map((tail) => concat(fromHex("012200"), tail))), async (data) => {
        const encoded = await raisesOnlyOurErrors((given) => encodePayload(parsePayload(given)), data)
        if (encoded instanceof Uint8Array) {
          expect(data.slice(0, encoded.length)).toEqual(encoded)
          expect(data.slice(encoded.length)).toEqual(zeros(data.length - encoded.length))
        }
      }),
    )
  })
})
