/** Our wrappers: what the libraries accept and the specification forbids is refused, and nothing else is. */

import { createHash, createHmac } from "node:crypto"

import * as fc from "fast-check"
import { afterEach, describe, expect, test } from "vitest"

import { fromHex, toHex, utf8 } from "../../src/core/encoding"
import { AuthenticationFailed, BadKey, BadSignature, Malformed, Misuse } from "../../src/core/errors"
import { noble, postQuantum, usePostQuantum } from "../../src/core/post_quantum"
import {
  KemKeyPair,
  KemPublicKey,
  KeyPair,
  PostQuantumSigningKey,
  PostQuantumVerifyKey,
  PublicKey,
  SigningKey,
  VerifyKey,
  aeadKey,
  aeadOpen,
  aeadSeal,
  equal,
  hkdf,
  hkdfExpand,
  hmacSha256,
  randomBytes,
  sha256,
  sha512,
} from "../../src/core/primitives"
import type { Bytes } from "../../src/core/types"
import { anyBytes, bytes, keyPair, seed, signingKey } from "./accounts"
import { altered, bitFlips, raisesOnlyOurErrors, refusal } from "./strict"

const FIELD_PRIME = 2n ** 255n - 19n
const ORDER_8_Y = littleEndian("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
const [KEY, NONCE, NONE] = [seed("aes key"), seed("nonce", 12), new Uint8Array()]
const LABEL = utf8("halonyx/1 test")
const BODY = utf8("body")

function littleEndian(hex: string): bigint {
  return BigInt(`0x${toHex(fromHex(hex).reverse())}`)
}

/** Write a number as a key is written: 32 bytes, the lowest first. */
function keyOf(value: bigint): Bytes {
  return fromHex(value.toString(16).padStart(64, "0")).reverse()
}

describe("hashes and key derivation", () => {
  test("are those of Node", () => {
    fc.assert(
      fc.property(anyBytes(0, 200), anyBytes(0, 80), (data, key) => {
        expect(toHex(sha256(data))).toBe(createHash("sha256").update(data).digest("hex"))
        expect(toHex(sha512(data))).toBe(createHash("sha512").update(data).digest("hex"))
        expect(toHex(hmacSha256(key, data))).toBe(createHmac("sha256", key).update(data).digest("hex"))
      }),
    )
  })

  const range = (first: number, count: number): Bytes => Uint8Array.from({ length: count }, (_, at) => first + at)
  test.each([
    [
      "1",
      [new Uint8Array(22).fill(0x0b), range(0xf0, 10), 42, range(0, 13)],
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ],
    [
      "2",
      [range(0, 80), range(0xb0, 80), 82, range(0x60, 80)],
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09" +
        "b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ],
    [
      "3",
      [new Uint8Array(22).fill(0x0b), NONE, 42, NONE],
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ],
  ] as const)("HKDF gives RFC 5869 test case %s", (_, [ikm, info, size, salt], expected) => {
    expect(toHex(hkdf(ikm, info, size, salt))).toBe(expected)
  })

  test.each([-1, 0, 8161])("HKDF of %i bytes is misuse", (size) => {
    expect(hkdf(KEY, NONE, 8160, NONE).length).toBe(8160)
    expect(() => hkdf(KEY, NONE, size, NONE)).toThrow(Misuse)
  })

  test("HKDF-Expand is the second half of HKDF", () => {
    const prk = hmacSha256(new Uint8Array(32), KEY)
    for (const size of [1, 32, 76, 8160]) expect(hkdfExpand(prk, NONE, size)).toEqual(hkdf(KEY, NONE, size, NONE))
    for (const size of [-1, 0, 8161]) expect(() => hkdfExpand(prk, NONE, size)).toThrow(Misuse)
    expect(() => hkdfExpand(prk.slice(1), NONE, 32)).toThrow(Misuse)
  })

  test("equal compares all", () => {
    expect(equal(utf8("same"), utf8("same"))).toBe(true)
    for (const other of ["sane", "same ", "sam", "", "Same"]) expect(equal(utf8("same"), utf8(other))).toBe(false)
  })

  test("random bytes are fresh and of the size asked for", () => {
    expect(randomBytes(32).length).toBe(32)
    expect(randomBytes(32)).not.toEqual(randomBytes(32))
  })
})

describe("AES-256-GCM", () => {
  test("round trips and adds a tag", async () => {
    await fc.assert(
      fc.asyncProperty(anyBytes(0, 100), anyBytes(0, 30), async (plaintext, data) => {
        const sealed = await aeadSeal(KEY, NONCE, plaintext, data)
        expect(sealed.length).toBe(plaintext.length + 16)
        expect(await aeadOpen(KEY, NONCE, sealed, data)).toEqual(plaintext)
        expect(await aeadOpen(await aeadKey(KEY), NONCE, sealed, data)).toEqual(plaintext)
      }),
    )
  })

  test("refuses every flipped bit of every input", async () => {
    const sealed = await aeadSeal(KEY, NONCE, BODY, LABEL)
    const open = (key: Bytes, nonce: Bytes, ciphertext: Bytes, data: Bytes) => () =>
      aeadOpen(key, nonce, ciphertext, data)
    for (const flipped of bitFlips(KEY)) await refusal(open(flipped, NONCE, sealed, LABEL), AuthenticationFailed)
    for (const flipped of bitFlips(NONCE)) await refusal(open(KEY, flipped, sealed, LABEL), AuthenticationFailed)
    for (const flipped of bitFlips(sealed)) await refusal(open(KEY, NONCE, flipped, LABEL), AuthenticationFailed)
    for (const flipped of bitFlips(LABEL)) await refusal(open(KEY, NONCE, sealed, flipped), AuthenticationFailed)
  })

  test("refuses what is shorter than a tag", async () => {
    for (let size = 0; size < 16; size++) {
      await refusal(() => aeadOpen(KEY, NONCE, new Uint8Array(size), NONE), AuthenticationFailed)
    }
  })

  test.each([0, 8, 11, 13, 16])("a nonce of %i bytes is misuse", async (size) => {
    await refusal(() => aeadSeal(KEY, new Uint8Array(size), NONE, NONE), Misuse)
    await refusal(() => aeadOpen(KEY, new Uint8Array(size), new Uint8Array(16), NONE), Misuse)
  })

  test.each([0, 16, 24, 31, 33])("a key of %i bytes is misuse", async (size) => {
    await refusal(() => aeadSeal(new Uint8Array(size), NONCE, NONE, NONE), Misuse)
    await refusal(() => aeadOpen(new Uint8Array(size), NONCE, new Uint8Array(16), NONE), Misuse)
    await refusal(() => aeadKey(new Uint8Array(size)), Misuse)
  })

  test("an imported key can't be read out", async () => {
    expect((await aeadKey(KEY)).extractable).toBe(false)
  })
})

test.each([0, 31, 33])("keys of %i bytes are malformed", async (size) => {
  const raw = new Uint8Array(size)
  await refusal(() => new PublicKey(raw), Malformed)
  await refusal(() => KeyPair.fromPrivate(raw), Malformed)
  await refusal(() => new VerifyKey(raw), Malformed)
  await refusal(() => SigningKey.fromSeed(raw), Malformed)
  await refusal(() => PostQuantumSigningKey.fromSeed(raw), Malformed)
})

describe("X25519", () => {
  test.each([
    [
      "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
      "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ],
    [
      "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
      "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a413", // the RFC's ends in 93: a bit to be masked
      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ],
    [
      "0900000000000000000000000000000000000000000000000000000000000000",
      "0900000000000000000000000000000000000000000000000000000000000000",
      "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
    ],
  ])("gives RFC 7748, scalar %s", async (scalar, u, expected) => {
    const ours = await KeyPair.fromPrivate(fromHex(scalar))
    expect(toHex(await ours.exchange(new PublicKey(fromHex(u))))).toBe(expected)
  })

  test("one encoding for a key: the RFC's with its top bit set is bad", () => {
    const raw = fromHex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")
    expect(() => new PublicKey(raw)).toThrow(BadKey)
  })

  test.each([0n, 1n, 18n, 2n ** 255n - FIELD_PRIME, 2n ** 255n - FIELD_PRIME + 9n, 2n ** 256n - 1n - FIELD_PRIME])(
    "2^255-19 + %d is not canonical",
    (more) => {
      expect(() => new PublicKey(keyOf(FIELD_PRIME + more))).toThrow(BadKey)
    },
  )

  test("a key is taken exactly when canonical", () => {
    for (const u of [9n, FIELD_PRIME - 2n, FIELD_PRIME - 1n, FIELD_PRIME - 1n - 2n ** 200n]) {
      expect(new PublicKey(keyOf(u)).raw).toEqual(keyOf(u))
    }
    const high = fc.tuple(anyBytes(31), fc.constantFrom(0, 0x7f, 0x80, 0xff)).map(([low, top]) => bytes(low, top))
    fc.assert(
      fc.property(fc.oneof(anyBytes(32), high), (raw) => {
        if (littleEndian(toHex(raw)) < FIELD_PRIME) expect(new PublicKey(raw).raw).toEqual(raw)
        else expect(() => new PublicKey(raw)).toThrow(BadKey)
      }),
    )
  })

  test.each([
    toHex(keyOf(0n)),
    toHex(keyOf(1n)),
    toHex(keyOf(FIELD_PRIME - 1n)),
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  ])("an all-zero shared secret with %s is a bad key", async (raw) => {
    const ours = await keyPair("ours")
    await refusal(() => ours.exchange(new PublicKey(fromHex(raw))), BadKey)
  })

  test("both sides of an exchange agree, and their keys can't be read out", async () => {
    const [ours, theirs] = [await keyPair("ours"), await KeyPair.generate()]
    expect(await ours.exchange(theirs.public)).toEqual(await theirs.exchange(ours.public))
    expect(await ours.exchange(theirs.public)).not.toEqual(await ours.exchange(ours.public))
    expect([ours.private.extractable, theirs.private.extractable]).toEqual([false, false])
    expect((await KeyPair.generate()).public).not.toEqual(theirs.public)
  })
})

describe("Ed25519", () => {
  test.each([
    [
      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe" +
        "24655141438e7a100b",
    ],
    [
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302a" +
        "eeb00d291612bb0c00",
    ],
    [
      "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
      "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed2" +
        "8dc027beceea1ec40a",
    ],
  ])("gives RFC 8032, seed %s", async (secret, publicKey, message, expected) => {
    const key = await SigningKey.fromSeed(fromHex(secret))
    expect(toHex(key.public.raw)).toBe(publicKey)
    // The wrapper's message is label ‖ 0x00 ‖ body, so signing is compared below the label.
    const signature = await crypto.subtle.sign("Ed25519", key.private, fromHex(message))
    expect(toHex(new Uint8Array(signature))).toBe(expected)
  })

  const spellings = [0n, 1n, FIELD_PRIME - 1n, FIELD_PRIME, FIELD_PRIME + 1n, ORDER_8_Y, FIELD_PRIME - ORDER_8_Y]
  const withSign = (y: bigint): bigint => y | (1n << 255n)
  test.each([...spellings, FIELD_PRIME + 2n, FIELD_PRIME + 18n].flatMap((y) => [y, withSign(y)]))(
    "y = %d is of small order or not canonical",
    (y) => {
      expect(() => new VerifyKey(keyOf(y))).toThrow(BadKey)
    },
  )

  test("without our check one signature would fit many messages", async () => {
    const identity = keyOf(1n)
    const loaded = await crypto.subtle.importKey("raw", identity, "Ed25519", false, ["verify"])
    const forged = bytes(identity, new Uint8Array(32))
    expect(await crypto.subtle.verify("Ed25519", loaded, forged, utf8("any message at all"))).toBe(true)
    expect(() => new VerifyKey(identity)).toThrow(BadKey)
  })

  test("a signature covers label and body, joined by a zero byte", async () => {
    const [key, stranger] = [await signingKey("ours"), await SigningKey.generate()]
    const signature = await key.sign(LABEL, BODY)
    await key.public.verify(LABEL, BODY, signature)
    expect(signature.length).toBe(64)
    const below = await crypto.subtle.sign("Ed25519", key.private, bytes(LABEL, 0, BODY))
    expect(signature).toEqual(new Uint8Array(below))
    const labels = [bytes(LABEL, 0x73), LABEL.slice(0, -1), NONE]
    const others = [...labels.map((label) => [label, BODY] as const), [LABEL, utf8("bodY")], [LABEL, NONE]] as const
    for (const [label, body] of others) await refusal(() => key.public.verify(label, body, signature), BadSignature)
    await refusal(() => stranger.public.verify(LABEL, BODY, signature), BadSignature)
    expect([key.private.extractable, stranger.private.extractable]).toEqual([false, false])
  })

  test("a signature is refused with any bit flipped and with any other size", async () => {
    const key = await signingKey("ours")
    const signature = await key.sign(LABEL, BODY)
    const sizes = [NONE, signature.slice(1), signature.slice(0, 63), bytes(signature, 0)]
    for (const wrong of [...bitFlips(signature), ...sizes]) {
      await refusal(() => key.public.verify(LABEL, BODY, wrong), BadSignature)
    }
  })

  test("a key that is no point verifies nothing", async () => {
    const noPoint = new VerifyKey(keyOf(2n)) // y = 2 is on no point of the curve
    await refusal(() => noPoint.verify(LABEL, BODY, new Uint8Array(64)), BadSignature)
  })

  test("random keys raise only our errors", async () => {
    await fc.assert(
      fc.asyncProperty(anyBytes(32), async (raw) => {
        await refusal(() => new VerifyKey(raw).verify(LABEL, BODY, new Uint8Array(64)), BadKey, BadSignature)
        const exchange = async (): Promise<Bytes> => (await KeyPair.fromPrivate(raw)).exchange(new PublicKey(raw))
        await raisesOnlyOurErrors(exchange, raw)
      }),
    )
  })
})

describe("ML-DSA-65", () => {
  test("signs the body with the label as context, afresh each time", async () => {
    const key = await PostQuantumSigningKey.fromSeed(seed("mldsa"))
    const signature = await key.sign(LABEL, BODY)
    await key.public.verify(LABEL, BODY, signature)
    expect([signature.length, key.public.raw.length]).toEqual([3309, 1952])
    expect(await key.sign(LABEL, BODY)).not.toEqual(signature)
    const labels = [bytes(LABEL, 0x73), LABEL.slice(0, -1), NONE]
    const bodies = [[LABEL, utf8("bodY")], [NONE, bytes(LABEL, 0, BODY)]] as const
    const others = [...labels.map((label) => [label, BODY] as const), ...bodies]
    for (const [label, body] of others) await refusal(() => key.public.verify(label, body, signature), BadSignature)
    const stranger = await PostQuantumSigningKey.fromSeed(seed("another"))
    await refusal(() => stranger.public.verify(LABEL, BODY, signature), BadSignature)
  })

  test("a signature is refused with a bit flipped and with any other size", async () => {
    const key = await PostQuantumSigningKey.fromSeed(seed("mldsa"))
    const signature = await key.sign(LABEL, BODY)
    const flipped = [0, 31, 32, 1600, 3247, 3308].map((at) => altered(signature, at))
    const sizes = [NONE, signature.slice(0, -1), bytes(signature, 0)]
    for (const wrong of [...flipped, ...sizes, new Uint8Array(3309), new Uint8Array(3309).fill(255)]) {
      await refusal(() => key.public.verify(LABEL, BODY, wrong), BadSignature)
    }
  })

  test.each([0, 1312, 1951, 1953])("a key of %i bytes is malformed", (size) => {
    expect(() => new PostQuantumVerifyKey(new Uint8Array(size))).toThrow(Malformed)
  })
})

describe.each([768, 1024] as const)("ML-KEM-%i", (bits) => {
  const [publicSize, ciphertextSize] = bits === 768 ? [1184, 1088] : [1568, 1568]

  test("encapsulates freshly and decapsulates", async () => {
    const pair = await KemKeyPair.generate(bits)
    const [[first, secret], [second, other]] = [await pair.public.encapsulate(), await pair.public.encapsulate()]
    expect(await pair.decapsulate(first)).toEqual(secret)
    expect(await pair.decapsulate(second)).toEqual(other)
    expect(first).not.toEqual(second)
    expect([secret.length, first.length, pair.public.raw.length]).toEqual([32, ciphertextSize, publicSize])
  })

  test("pairs store and load", async () => {
    const pair = await KemKeyPair.generate(bits)
    const again = await KemKeyPair.fromSeed(bits, pair.seed())
    const [ciphertext, secret] = await pair.public.encapsulate()
    expect(again.public).toEqual(pair.public)
    expect(await again.decapsulate(ciphertext)).toEqual(secret)
    expect(pair.seed().length).toBe(64)
  })

  test("an altered ciphertext gives another secret and no error", async () => {
    const pair = await KemKeyPair.fromSeed(bits, seed("kem", 64))
    const [ciphertext, secret] = await pair.public.encapsulate()
    for (const at of [0, 500, ciphertextSize - 1]) {
      const rejected = await pair.decapsulate(altered(ciphertext, at))
      expect(rejected).not.toEqual(secret)
      expect(await pair.decapsulate(altered(ciphertext, at))).toEqual(rejected)
    }
  })

  test("seeds, keys and ciphertexts of another size are malformed", async () => {
    for (const size of [0, 32, 63, 65]) await refusal(() => KemKeyPair.fromSeed(bits, new Uint8Array(size)), Malformed)
    for (const size of [0, 800, publicSize - 1, publicSize + 1]) {
      expect(() => KemPublicKey.load(new Uint8Array(size))).toThrow(Malformed)
    }
    const pair = await KemKeyPair.fromSeed(bits, seed("kem", 64))
    for (const size of [0, ciphertextSize - 1, ciphertextSize + 1, bits === 768 ? 1568 : 1088]) {
      await refusal(() => pair.decapsulate(new Uint8Array(size)), Malformed)
    }
  })

  test("a coefficient of the modulus or more makes a key bad, wherever it stands", () => {
    const zeros = new Uint8Array(publicSize)
    const withAt = (at: number, ...three: readonly number[]): Bytes => {
      const raw = zeros.slice()
      raw.set(three, at)
      return raw
    }
    expect(KemPublicKey.load(zeros).raw).toEqual(zeros)
    for (const at of [0, 300, publicSize - 35]) {
      for (const three of [[0xff, 0xff, 0xff], [0x01, 0x0d, 0x00], [0x00, 0x10, 0xd0]]) {
        expect(() => KemPublicKey.load(withAt(at, ...three))).toThrow(BadKey) // 0xd01 = 3,329 = q, in each half
      }
      for (const three of [[0x00, 0x0d, 0x00], [0x00, 0x00, 0xd0]]) KemPublicKey.load(withAt(at, ...three))
    }
    KemPublicKey.load(withAt(publicSize - 32, 0xff, 0xff, 0xff)) // the seed behind the coefficients is any bytes
  })
})

describe("who computes the post-quantum algorithms", () => {
  afterEach(() => {
    usePostQuantum(null)
  })

  test("noble, where WebCrypto has none", async () => {
    const isNative = "encapsulateBits" in crypto.subtle
    expect((await postQuantum()) === noble).toBe(!isNative)
  })

  test("can be chosen, and asking again gives the same", async () => {
    usePostQuantum(noble)
    expect(await postQuantum()).toBe(noble)
    usePostQuantum(null)
    expect(postQuantum()).toBe(postQuantum())
  })
})
