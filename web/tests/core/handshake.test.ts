import { createHash, hkdfSync } from "node:crypto"

import fc from "fast-check"
import { describe, expect, test } from "vitest"

import { Writer, concat, fromHex, toHex, utf8 } from "../../src/core/encoding"
import { AuthenticationFailed, BadKey, Malformed, Misuse, UnsupportedVersion } from "../../src/core/errors"
import { HEADER_SIZE, Handshake, Peer, accept, associatedData, encapsulate } from "../../src/core/handshake"
import { x3dhAccept, x3dhInitiate } from "../../src/core/handshake"
import type { PrekeyPrivates } from "../../src/core/handshake"
import { OwnDevice } from "../../src/core/identity"
import type { Device } from "../../src/core/identity"
import * as labels from "../../src/core/labels"
import { Prekey, PrekeyBundle, PrekeyUse } from "../../src/core/prekeys"
import { KemKeyPair, KeyPair, PublicKey, randomBytes } from "../../src/core/primitives"
import { Message, decrypt, encrypt } from "../../src/core/ratchet"
import type { Ratchet } from "../../src/core/ratchet"
import type { Address, Bytes, DeviceId, PrekeyId } from "../../src/core/types"
import { NOW, keyPair, makeDevice, seed } from "./accounts"
import { bundleOf, initiateWith, makePair, person, prekeyIdOf, privatesOf, there } from "./people"
import { altered, refusal } from "./strict"

const [ALICE, BOB] = [await person("alice"), await person("bob")]
const [EPHEMERAL, FIRST, FRESH] = [await keyPair("ephemeral"), await keyPair("first ratchet"), await keyPair("fresh")]
const MALLORY = await keyPair("mallory")
const LOW_ORDER = new PublicKey(new Uint8Array(32))
/** Whether there is a one-time prekey, and a one-time KEM prekey. */
const KINDS = [[true, true], [true, false], [false, true], [false, false]] as const
const zeros = (size: number): Bytes => new Uint8Array(size)
const u32 = (value: number): Bytes => new Writer().u32(value).done()
const SAMPLE: Handshake = {
  ephemeral: EPHEMERAL.public,
  signed: 1 as PrekeyId,
  oneTime: 2 as PrekeyId,
  kem: 3 as PrekeyId,
  usesLastResort: false,
  ciphertext: zeros(1568),
}

async function run(kind: (typeof KINDS)[number]): Promise<readonly [Handshake, Ratchet, Ratchet]> {
  const bundle = bundleOf(BOB, ...kind)
  await bundle.verify(BOB.device.device.signingKey, BOB.device.fingerprint, NOW)
  const [handshake, ours] = await initiateWith(ALICE, BOB, bundle, [EPHEMERAL, FIRST])
  return [handshake, ours, await accept(BOB.device, ALICE.peer, handshake, privatesOf(BOB, handshake))]
}

async function exchange(sender: Ratchet, recipient: Ratchet, text: string): Promise<readonly [Ratchet, Ratchet]> {
  const [sent, encoded] = await encrypt(sender, utf8(text), randomBytes(16))
  const [after, plaintext] = await decrypt(recipient, Message.parse(encoded), await KeyPair.generate(), NOW)
  expect(plaintext).toEqual(utf8(text))
  return [sent, after]
}

function hashByHand(label: Bytes, ...parts: readonly Bytes[]): Bytes {
  const framed = parts.map((part) => concat(u32(part.length), part))
  return new Uint8Array(createHash("sha256").update(concat(Uint8Array.of(label.length), label, ...framed)).digest())
}

describe("the header", () => {
  test("has the layout of table 3", () => {
    const encoded = Handshake.encode({ ...SAMPLE, usesLastResort: true, ciphertext: seed("ct", 1568) })
    const head = concat(fromHex("01110203"), EPHEMERAL.public.raw, fromHex("000000010000000200000003"))
    expect(HEADER_SIZE).toBe(1616)
    expect(encoded).toEqual(concat(head, seed("ct", 1568)))
  })

  test("reads back as written", () => {
    const id = fc.integer({ min: 1, max: 2 ** 32 - 1 }).map((number) => number as PrekeyId)
    const fields = fc.record({ signed: id, oneTime: fc.option(id), kem: id, usesLastResort: fc.boolean() })
    fc.assert(
      fc.property(fields, (changed) => {
        const handshake = { ...SAMPLE, ...changed }
        expect(Handshake.parse(Handshake.encode(handshake))).toEqual(handshake)
      }),
    )
  })

  test("cut, extended or random is refused", async () => {
    const encoded = Handshake.encode(SAMPLE)
    for (let size = 0; size < HEADER_SIZE; size++) {
      await refusal(() => Handshake.parse(encoded.slice(0, size)), Malformed)
    }
    await refusal(() => Handshake.parse(concat(encoded, zeros(1))), Malformed)
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (data) => {
        await refusal(() => Handshake.parse(new Uint8Array(data)), Malformed, UnsupportedVersion)
      }),
    )
  })

  test.each([
    ["version 0", 0, "00", UnsupportedVersion],
    ["version 2", 0, "02", UnsupportedVersion],
    ["another type", 1, "10", Malformed],
    ["suite 0", 2, "00", UnsupportedVersion],
    ["suite 1 is for teaching only", 2, "01", UnsupportedVersion],
    ["suite 3", 2, "03", UnsupportedVersion],
    ["suite 255", 2, "ff", UnsupportedVersion],
    ["unknown flag 4", 3, "05", Malformed],
    ["unknown flag 128", 3, "81", Malformed],
    ["a one-time id its flag denies", 3, "00", Malformed],
    ["ephemeral key with the top bit", 35, "ff", BadKey],
    ["signed prekey 0", 36, "00000000", Malformed],
    ["one-time prekey 0 with its flag", 40, "00000000", Malformed],
    ["kem prekey 0", 44, "00000000", Malformed],
  ])("that breaks a rule is refused: %s", async (_, at, value, kind) => {
    const encoded = Handshake.encode(SAMPLE)
    encoded.set(fromHex(value), at)
    await refusal(() => Handshake.parse(encoded), kind)
  })

  test("with a ciphertext of another size can't be written", async () => {
    await refusal(() => Handshake.encode({ ...SAMPLE, ciphertext: zeros(1567) }), Misuse)
  })

  test.each([
    [null, true, false],
    [null, false, true],
    [1, true, true],
    [1, false, true],
  ])("one one-time key of either kind is enough: %o, last resort %s", (oneTime, usesLastResort, isOneTime) => {
    const handshake = { ...SAMPLE, oneTime: oneTime as PrekeyId | null, usesLastResort }
    expect(Handshake.isOneTime(handshake)).toBe(isOneTime)
  })

  test("the replay key covers what makes a handshake new", () => {
    const others = [
      SAMPLE,
      { ...SAMPLE, signed: 9 as PrekeyId },
      { ...SAMPLE, kem: 9 as PrekeyId },
      { ...SAMPLE, ephemeral: MALLORY.public },
      { ...SAMPLE, ciphertext: seed("ct", 1568) },
    ]
    const replayKey = Handshake.replayKey(Handshake.parse(Handshake.encode(SAMPLE)))
    expect(new Set(others.map((other) => toHex(Handshake.replayKey(other)))).size).toBe(5)
    const parts = [fromHex("0000000100000003"), EPHEMERAL.public.raw, SAMPLE.ciphertext]
    expect(replayKey).toEqual(hashByHand(labels.HANDSHAKE_REPLAY, ...parts))
  })
})

describe("agreement", () => {
  test.each(KINDS)("both sides agree and talk: one-time %s, KEM one-time %s", async (...kind) => {
    const [handshake, alice, bob] = await run(kind)
    expect(handshake.oneTime).toBe(kind[0] ? prekeyIdOf(PrekeyUse.ONE_TIME) : null)
    expect(handshake.usesLastResort).toBe(!kind[1])
    expect(alice.sessionId).toEqual(bob.sessionId)
    expect([alice.sendingAd, alice.receivingAd]).toEqual([bob.receivingAd, bob.sendingAd])
    expect(alice.sendingAd).not.toEqual(alice.receivingAd)
    let [ours, theirs] = await exchange(alice, bob, "hello")
    ;[theirs, ours] = await exchange(theirs, ours, "hello back")
    await exchange(ours, theirs, "and again")
  })

  test.each(KINDS)("the secrets are the formula of the specification: %s, %s", async (...kind) => {
    const [handshake, , theirs] = await run(kind)
    const { signed, oneTime, kem } = privatesOf(BOB, handshake)
    const exchanged = [
      await ALICE.device.identity.exchange(signed.public),
      await EPHEMERAL.exchange(BOB.device.identity.public),
      await EPHEMERAL.exchange(signed.public),
      oneTime === null ? zeros(0) : await EPHEMERAL.exchange(oneTime.public),
    ]
    const ikm = concat(zeros(32).fill(0xff), ...exchanged, await kem.decapsulate(handshake.ciphertext))
    const alice = [ALICE.device.address, Uint8Array.of(1), ALICE.device.fingerprint]
    const bob = [BOB.device.address, Uint8Array.of(1), BOB.device.fingerprint]
    const use = kind[1] ? 5 : 3
    const transcript = hashByHand(
      labels.HANDSHAKE_TRANSCRIPT,
      ...[Uint8Array.of(2), ...alice, ...bob, EPHEMERAL.public.raw],
      concat(u32(10), signed.public.raw),
      oneTime === null ? zeros(0) : concat(fromHex("0100000028"), oneTime.public.raw),
      concat(Uint8Array.of(use), u32(10 * use), kem.public.raw),
      handshake.ciphertext,
    )
    const hkdf = (secret: Bytes, label: Bytes, context: Bytes, size: number): Bytes =>
      new Uint8Array(hkdfSync("sha256", secret, zeros(32), concat(label, zeros(1), context), size))
    const okm = hkdf(ikm, labels.PQXDH_SECRET, transcript, 96)
    expect(theirs.rootKey).toEqual(okm.slice(0, 32))
    expect(theirs.sessionId).toEqual(hkdf(okm.slice(64), labels.SESSION_ID, zeros(0), 8))
    expect(theirs.receivingAd).toEqual(hashByHand(labels.ASSOCIATED_DATA, Uint8Array.of(2), ...alice, ...bob))
    expect(theirs.sendingAd).toEqual(hashByHand(labels.ASSOCIATED_DATA, Uint8Array.of(2), ...bob, ...alice))
  })

  test("two handshakes from the same keys differ", async () => {
    const [first, second] = [await run(KINDS[0]), await run(KINDS[0])]
    expect(first[0].ciphertext).not.toEqual(second[0].ciphertext)
    expect(first[1].sessionId).not.toEqual(second[1].sessionId)
  })
})

const ownWith = (own: OwnDevice, fields: Partial<Device>): OwnDevice =>
  new OwnDevice(own.address, { ...own.device, ...fields }, own.identity, own.signing)
const peerWith = (peer: Peer, fields: Partial<Device>): Peer => new Peer(peer.address, { ...peer.device, ...fields })
const MALLORYS_KEM = await KemKeyPair.fromSeed(1024, seed("mallory", 64))
const OTHER_ADDRESS = seed("mallory") as Address

type Accepting = readonly [OwnDevice, Peer, Handshake, PrekeyPrivates]
// What the responder takes part in, with one thing swapped on the way. Where the X25519 inputs stay the same, only the
// transcript notices.
const SWAPS: Readonly<Record<string, (us: OwnDevice, them: Peer, h: Handshake, p: PrekeyPrivates) => Accepting>> = {
  "initiator's address": (us, them, h, p) => [us, new Peer(OTHER_ADDRESS, them.device), h, p],
  "initiator's device id": (us, them, h, p) => [us, peerWith(them, { id: 2 as DeviceId }), h, p],
  "initiator's fingerprint": (us, them, h, p) => [us, peerWith(them, { created: 1n }), h, p],
  "initiator's identity key": (us, them, h, p) => [us, peerWith(them, { identityKey: MALLORY.public }), h, p],
  "our address": (us, them, h, p) => [new OwnDevice(OTHER_ADDRESS, us.device, us.identity, us.signing), them, h, p],
  "our device id": (us, them, h, p) => [ownWith(us, { id: 2 as DeviceId }), them, h, p],
  "our fingerprint": (us, them, h, p) => [ownWith(us, { created: 1n }), them, h, p],
  "our identity key": (us, them, h, p) => [new OwnDevice(us.address, us.device, MALLORY, us.signing), them, h, p],
  "both sides": (us, them, h, p) => [
    new OwnDevice(them.address, them.device, us.identity, us.signing),
    new Peer(us.address, us.device),
    h,
    p,
  ],
  "ephemeral key": (us, them, h, p) => [us, them, { ...h, ephemeral: MALLORY.public }, p],
  "signed prekey id": (us, them, h, p) => [us, them, { ...h, signed: 11 as PrekeyId }, p],
  "signed prekey": (us, them, h, p) => [us, them, h, { ...p, signed: MALLORY }],
  "one-time prekey id": (us, them, h, p) => [us, them, { ...h, oneTime: 41 as PrekeyId }, p],
  "one-time prekey": (us, them, h, p) => [us, them, h, { ...p, oneTime: MALLORY }],
  "one-time prekey left out": (us, them, h, p) => [us, them, { ...h, oneTime: null }, { ...p, oneTime: null }],
  "one-time and signed prekey": (us, them, h, p) => {
    return [us, them, h, { ...p, signed: there(p.oneTime), oneTime: p.signed }]
  },
  "kem prekey id": (us, them, h, p) => [us, them, { ...h, kem: 51 as PrekeyId }, p],
  "kem prekey": (us, them, h, p) => [us, them, h, { ...p, kem: MALLORYS_KEM }],
  "kem kind": (us, them, h, p) => [us, them, { ...h, usesLastResort: !h.usesLastResort }, p],
  ciphertext: (us, them, h, p) => [us, them, { ...h, ciphertext: altered(h.ciphertext, 0) }, p],
}

describe("what is swapped on the way", () => {
  test.each(Object.keys(SWAPS))("ends the agreement: %s", async (swapped) => {
    const [handshake, ours, theirs] = await run(KINDS[0])
    const [, encoded] = await encrypt(ours, utf8("hello"), zeros(16))
    const message = Message.parse(encoded)
    const swap = there(SWAPS[swapped])
    const wrong = await accept(...swap(BOB.device, ALICE.peer, handshake, privatesOf(BOB, handshake)))

    expect(wrong.sessionId).not.toEqual(theirs.sessionId)
    expect(wrong.rootKey).not.toEqual(theirs.rootKey)
    // The session id alone would refuse it: with the right one, the keys do.
    await refusal(() => decrypt(wrong, message, FRESH, NOW), AuthenticationFailed)
    await refusal(() => decrypt({ ...wrong, sessionId: theirs.sessionId }, message, FRESH, NOW), AuthenticationFailed)
    expect((await decrypt(theirs, message, FRESH, NOW))[1]).toEqual(utf8("hello"))
  })

  const names = ["initiator's address", "our address", "initiator's device id", "our device id"]
  test.each(names)("each direction is bound to both names: %s", async (swapped) => {
    // Even with the right keys, a message under other names does not open: the associated data differs.
    const [handshake, ours, theirs] = await run(KINDS[0])
    const swap = there(SWAPS[swapped])
    const wrong = await accept(...swap(BOB.device, ALICE.peer, handshake, privatesOf(BOB, handshake)))
    const all = [theirs.sendingAd, theirs.receivingAd, wrong.sendingAd, wrong.receivingAd]
    expect(new Set(all.map(toHex)).size).toBe(4)
    const [, encoded] = await encrypt(ours, utf8("hello"), zeros(16))
    const mixed = { ...theirs, receivingAd: wrong.receivingAd }
    await refusal(() => decrypt(mixed, Message.parse(encoded), FRESH, NOW), AuthenticationFailed)
  })

  test("the associated data names sender and recipient in this order", async () => {
    const address = seed("address") as Address
    const first = new Peer(address, (await makeDevice(address, "alice")).device)
    const second = new Peer(address, (await makeDevice(address, "alice", 2)).device)
    const peers = [first, second, new Peer(seed("another") as Address, first.device), peerWith(first, { created: 1n })]
    const values = peers.flatMap((sender) => peers.map((recipient) => toHex(associatedData(sender, recipient))))
    expect(new Set(values).size).toBe(16)
  })
})

describe("refusals", () => {
  test("a one-time key that is missing or unasked for is misuse", async () => {
    const [[withOne], [without]] = [await run(KINDS[0]), await run(KINDS[2])]
    const [missing, extra] = [privatesOf(BOB, withOne), privatesOf(BOB, without)]
    await refusal(() => accept(BOB.device, ALICE.peer, withOne, { ...missing, oneTime: null }), Misuse)
    await refusal(() => accept(BOB.device, ALICE.peer, without, { ...extra, oneTime: MALLORY }), Misuse)
  })

  const withKey = (prekey: Prekey, key: Bytes): Prekey => new Prekey(prekey.use, prekey.id, prekey.expiry, key, zeros(64))

  test.each([
    ["low order", LOW_ORDER.raw],
    ["not canonical", zeros(32).fill(0xff)],
  ])("a bad key in a bundle is refused: %s", async (_, key) => {
    const { signed, envelope, kem, oneTime } = bundleOf(BOB)
    for (const bundle of [
      new PrekeyBundle(withKey(signed, key), envelope, kem, oneTime),
      new PrekeyBundle(signed, envelope, kem, withKey(there(oneTime), key)),
    ]) {
      await refusal(() => initiateWith(ALICE, BOB, bundle), BadKey)
    }
  })

  test("an identity key of low order in a record is refused", async () => {
    const theirs = { ...BOB, peer: peerWith(BOB.peer, { identityKey: LOW_ORDER }) }
    await refusal(() => initiateWith(ALICE, theirs, bundleOf(BOB)), BadKey)
  })

  test("a non-canonical KEM key is refused", async () => {
    const { signed, envelope, kem, oneTime } = bundleOf(BOB)
    const bundle = new PrekeyBundle(signed, envelope, withKey(kem, zeros(1568).fill(0xff)), oneTime)
    await refusal(() => encapsulate(bundle), BadKey)
  })

  test("a low-order key of an initiator is refused", async () => {
    const [handshake] = await makePair(ALICE, BOB)
    const privates = privatesOf(BOB, handshake)
    await refusal(() => accept(BOB.device, peerWith(ALICE.peer, { identityKey: LOW_ORDER }), handshake, privates), BadKey)
    await refusal(() => accept(BOB.device, ALICE.peer, { ...handshake, ephemeral: LOW_ORDER }, privates), BadKey)
  })
})

describe("suite 1, plain X3DH", () => {
  test.each([true, false])("agrees, with a one-time prekey: %s", async (hasOneTime) => {
    const [ours, theirs, signed] = [await keyPair("alice"), await keyPair("bob"), await keyPair("signed")]
    const oneTime = hasOneTime ? await keyPair("one-time") : null
    const initiated = await x3dhInitiate(ours, EPHEMERAL, theirs.public, signed.public, oneTime?.public ?? null)

    expect(await x3dhAccept(theirs, signed, oneTime, ours.public, EPHEMERAL.public)).toEqual(initiated)
    expect(initiated[0]).toHaveLength(32)
    expect(initiated[1]).toEqual(concat(ours.public.raw, theirs.public.raw))
    const without = await x3dhInitiate(ours, EPHEMERAL, theirs.public, signed.public, null)
    expect(toHex(without[0]) !== toHex(initiated[0])).toBe(hasOneTime)
  })

  test("refuses keys of low order", async () => {
    const [ours, theirs, signed] = [await keyPair("alice"), await keyPair("bob"), await keyPair("signed")]
    await refusal(() => x3dhInitiate(ours, EPHEMERAL, theirs.public, signed.public, LOW_ORDER), BadKey)
    await refusal(() => x3dhAccept(theirs, signed, null, LOW_ORDER, EPHEMERAL.public), BadKey)
  })
})
