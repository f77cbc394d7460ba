/** Prekeys: one encoding, a signature that binds device, use, id, expiry and key; a bundle is all or nothing. */

import * as fc from "fast-check"
import { describe, expect, test } from "vitest"

import { Writer, utf8 } from "../../src/core/encoding"
import { BadKey, BadSignature, Malformed, Misuse, UnsupportedVersion } from "../../src/core/errors"
import type { OwnDevice } from "../../src/core/identity"
import {
  EnvelopePrekey,
  KEY_SIZES,
  ONE_TIME_COUNT,
  PREKEY_USES,
  PRIVATE_KEPT_AFTER_EXPIRY,
  Prekey,
  PrekeyBundle,
  PrekeyUse,
  REFILL_BELOW,
  RENEWED_AFTER,
  lifetime,
  signPrekey,
} from "../../src/core/prekeys"
import { KemKeyPair } from "../../src/core/primitives"
import { DAY } from "../../src/core/types"
import type { Address, Bytes, Fingerprint, PrekeyId } from "../../src/core/types"
import { NOW, anyBytes, bytes, keyPair, makeDevice, seed } from "./accounts"
import { bitFlips, raisesOnlyOurErrors, refusal, refusesTruncationsAndTrailingBytes } from "./strict"

const { SIGNED, ENVELOPE, LAST_RESORT, ONE_TIME, ONE_TIME_KEM } = PrekeyUse
const ADDRESS = seed("address") as Address
const [OURS, SECOND] = [await makeDevice(ADDRESS, "bob"), await makeDevice(ADDRESS, "bob", 2)]
const { fingerprint: FINGERPRINT, device: { signingKey: SIGNING_KEY } } = OURS
const EXPIRY = BigInt(NOW) + 1n
const ROLES = { 1: "signed", 2: "envelope", 3: "last-resort", 4: "one-time", 5: "one-time kem" } as const
const SMALL = (await KemKeyPair.fromSeed(768, seed("kem", 64))).public
const X25519 = (await keyPair("prekey")).public

const labelOf = (use: PrekeyUse): Bytes => utf8(`halonyx/1 ${ROLES[use]} prekey`)
const keyOf = (use: PrekeyUse): Bytes => (use === ENVELOPE ? bytes(X25519.raw, SMALL.raw) : seed("key", KEY_SIZES[use]))

function sign(use: PrekeyUse, device: OwnDevice = OURS, expiry = EXPIRY): Promise<Prekey> {
  return signPrekey(device, use, (10 * use) as PrekeyId, expiry, keyOf(use))
}

/** Return a prekey with something else in one place, its signature left as it is. */
function changed(old: Prekey, to: Partial<Prekey>): Prekey {
  const { use = old.use, id = old.id, expiry = old.expiry, key = old.key, signature = old.signature } = to
  return new Prekey(use, id, expiry, key, signature)
}

async function bundleOf(expiries: Partial<Record<PrekeyUse, bigint>> = {}, kem: PrekeyUse = ONE_TIME_KEM) {
  const made = (use: PrekeyUse): Promise<Prekey> => sign(use, OURS, expiries[use])
  return new PrekeyBundle(await made(SIGNED), await made(ENVELOPE), await made(kem), await made(ONE_TIME))
}

describe.each(PREKEY_USES)("a prekey of use %i", (use) => {
  test("reads back, verifies, and is laid out and signed as specified", async () => {
    const prekey = await sign(use)
    const numbers = new Writer().u8(use).u32(10 * use).u64(EXPIRY).done()
    expect(Prekey.parse(prekey.encode())).toEqual(prekey)
    expect(prekey.encode()).toEqual(bytes(1, 2, numbers, prekey.key, prekey.signature))
    await prekey.verify(SIGNING_KEY, FINGERPRINT)
    await SIGNING_KEY.verify(labelOf(use), bytes(FINGERPRINT, numbers, prekey.key), prekey.signature)
  })

  test("refuses every truncation and every trailing byte", async () => {
    await refusesTruncationsAndTrailingBytes((data) => Prekey.parse(data), (await sign(use)).encode())
  })

  test("does not verify as another, nor under another's label", async () => {
    const prekey = await sign(use)
    const body = bytes(FINGERPRINT, prekey.encode().slice(2, -64))
    for (const other of PREKEY_USES.filter((other) => other !== use)) {
      if (KEY_SIZES[other] === KEY_SIZES[use]) {
        await refusal(() => changed(prekey, { use: other }).verify(SIGNING_KEY, FINGERPRINT), BadSignature)
      }
      const signature = await OURS.signing.sign(labelOf(other), body)
      await refusal(() => changed(prekey, { signature }).verify(SIGNING_KEY, FINGERPRINT), BadSignature)
    }
  })

  test("is bound to its device, id, expiry and key", async () => {
    const prekey = await sign(use)
    await refusal(() => prekey.verify(SECOND.device.signingKey, FINGERPRINT), BadSignature)
    await refusal(() => prekey.verify(SIGNING_KEY, SECOND.fingerprint), BadSignature)
    const foreign = await sign(use, SECOND)
    await refusal(() => foreign.verify(SIGNING_KEY, FINGERPRINT), BadSignature)
    const key = prekey.key.slice().reverse()
    for (const more of [{ id: 1 as PrekeyId }, { expiry: EXPIRY + 1n }, { key }]) {
      await refusal(() => changed(prekey, more).verify(SIGNING_KEY, FINGERPRINT), BadSignature)
    }
  })

  test("with a key of another size is misuse", async () => {
    const wrong = new Uint8Array(KEY_SIZES[use] + 1)
    await refusal(() => signPrekey(OURS, use, 1 as PrekeyId, EXPIRY, wrong), Misuse)
    expect(() => new Prekey(use, 1 as PrekeyId, EXPIRY, wrong, new Uint8Array(64)).encode()).toThrow(Misuse)
  })
})

describe("the parser", () => {
  test("lets no flipped bit verify", async () => {
    const open = async (data: Bytes): Promise<true> => {
      await Prekey.parse(data).verify(SIGNING_KEY, FINGERPRINT)
      return true
    }
    for (const flipped of bitFlips((await sign(ONE_TIME)).encode())) {
      expect(await raisesOnlyOurErrors(open, flipped)).toBeNull()
    }
  })

  test("refuses another version, type or use, and id 0", async () => {
    const encoded = (await sign(SIGNED)).encode()
    const put = (at: number, ...field: readonly number[]): Bytes =>
      bytes(encoded.slice(0, at), ...field, encoded.slice(at + field.length))
    expect(() => Prekey.parse(put(0, 2))).toThrow(UnsupportedVersion)
    for (const wrong of [put(1, 1), put(2, 0), put(2, 6), put(2, 255), put(3, 0, 0, 0, 0)]) {
      expect(() => Prekey.parse(wrong)).toThrow(Malformed)
    }
  })

  test("gives back whatever was encoded, the largest times too, and encodes whatever it takes", async () => {
    const ids = fc.integer({ min: 1, max: 2 ** 32 - 1 }).map((id) => id as PrekeyId)
    const times = fc.bigInt(0n, 2n ** 64n - 1n)
    fc.assert(
      fc.property(fc.constantFrom(...PREKEY_USES), ids, times, anyBytes(64), (use, id, expiry, signature) => {
        const prekey = new Prekey(use, id, expiry, keyOf(use), signature)
        expect(Prekey.parse(prekey.encode())).toEqual(prekey)
      }),
    )
    const almost = anyBytes(108).map((rest) => bytes(1, 2, 1, rest))
    await fc.assert(
      fc.asyncProperty(fc.oneof(anyBytes(0, 150), almost), async (data) => {
        const parsed = await raisesOnlyOurErrors((tried) => Prekey.parse(tried), data)
        if (parsed instanceof Prekey) expect(parsed.encode()).toEqual(data)
        else expect(parsed).toBeNull()
      }),
    )
  })
})

describe("an envelope prekey", () => {
  test("is two keys", async () => {
    const { id, x25519, mlkem768 } = EnvelopePrekey.of(await sign(ENVELOPE))
    expect([id, x25519.raw, mlkem768.raw]).toEqual([20, X25519.raw, SMALL.raw])
  })

  test("is not made of another use, nor of keys that are not canonical", async () => {
    for (const use of [SIGNED, LAST_RESORT, ONE_TIME, ONE_TIME_KEM]) {
      const prekey = await sign(use)
      expect(() => EnvelopePrekey.of(prekey)).toThrow(BadSignature)
    }
    const prekey = await sign(ENVELOPE)
    const ones = (size: number): Bytes => new Uint8Array(size).fill(255)
    for (const key of [bytes(ones(32), SMALL.raw), bytes(X25519.raw, ones(1184))]) {
      expect(() => EnvelopePrekey.of(changed(prekey, { key }))).toThrow(BadKey)
    }
  })
})

describe("a bundle", () => {
  const verify = (bundle: PrekeyBundle, fingerprint: Fingerprint = FINGERPRINT): Promise<void> =>
    bundle.verify(SIGNING_KEY, fingerprint, NOW)
  const withOne = (old: PrekeyBundle, place: "signed" | "envelope" | "kem" | "oneTime", prekey: Prekey) => {
    const at = (name: typeof place): Prekey => (name === place ? prekey : (old[name] ?? prekey))
    return new PrekeyBundle(at("signed"), at("envelope"), at("kem"), at("oneTime"))
  }

  test("verifies with and without one-time keys", async () => {
    await verify(await bundleOf())
    const { signed, envelope, kem } = await bundleOf({}, LAST_RESORT)
    await verify(new PrekeyBundle(signed, envelope, kem, null))
  })

  test.each([
    ["signed", SIGNED],
    ["envelope", ENVELOPE],
    ["kem", ONE_TIME_KEM],
    ["kem", LAST_RESORT],
    ["oneTime", ONE_TIME],
  ] as const)("is refused for one signature that fails: %s, use %i", async (place, use) => {
    const bundle = withOne(await bundleOf(), place, await sign(use, SECOND))
    expect((await refusal(() => verify(bundle), BadSignature)).message).toMatch("verify")
  })

  test.each([
    ["signed", ONE_TIME],
    ["envelope", SIGNED],
    ["kem", ENVELOPE],
    ["oneTime", SIGNED],
    ["oneTime", ONE_TIME_KEM],
  ] as const)("is refused for a prekey in the wrong place: %s, use %i", async (place, use) => {
    const bundle = withOne(await bundleOf(), place, await sign(use))
    expect((await refusal(() => verify(bundle), BadSignature)).message).toMatch("place")
  })

  test.each(PREKEY_USES)("is refused for an expired prekey of use %i", async (use) => {
    const kem = use === LAST_RESORT ? LAST_RESORT : ONE_TIME_KEM
    await verify(await bundleOf({ [use]: EXPIRY }, kem))
    for (const expiry of [BigInt(NOW), BigInt(NOW) - 1n, 0n]) {
      const bundle = await bundleOf({ [use]: expiry }, kem)
      expect((await refusal(() => verify(bundle), BadSignature)).message).toMatch("expired")
    }
  })

  test("of another device is refused", async () => {
    const bundle = await bundleOf()
    await refusal(() => verify(bundle, SECOND.fingerprint), BadSignature)
  })
})

test("lifetimes and counts are the specified ones", () => {
  expect(PREKEY_USES.map((use) => lifetime(use) / DAY)).toEqual([30, 30, 30, 90, 90])
  expect([RENEWED_AFTER / DAY, PRIVATE_KEPT_AFTER_EXPIRY / DAY]).toEqual([7, 45])
  expect([ONE_TIME_COUNT, REFILL_BELOW]).toEqual([100, 20])
})
