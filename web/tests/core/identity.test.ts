/** Account records: one encoding, two signatures, a USID that the keys give, a version that never goes back. */

import { createHash } from "node:crypto"

import * as fc from "fast-check"
import { describe, expect, test } from "vitest"

import { Writer, concat, fromHex, toHex, utf8 } from "../../src/core/encoding"
import {
  BadKey,
  BadSignature,
  Malformed,
  Misuse,
  RemoteError,
  StaleDirectory,
  UnsupportedVersion,
  UntrustedIdentity,
} from "../../src/core/errors"
import {
  AccountRecord,
  MAX_RECORD_SIZE,
  accountFingerprint,
  addressOf,
  checkRecord,
  deviceFingerprint,
  makeRecord,
  nextVersion,
  usidOf,
} from "../../src/core/identity"
import type { Device } from "../../src/core/identity"
import * as labels from "../../src/core/labels"
import type { AccountKeys } from "../../src/core/recovery"
import type { Bytes, DeviceId, Millis, Usid } from "../../src/core/types"
import { LONGEST_ORIGIN, NOW, ORIGIN, anyBytes, bytes, keyPair } from "./accounts"
import { makeAccount, makeDevice, seed, signingKey } from "./accounts"
import { altered, bitFlips, raisesOnlyOurErrors, refusal, refusesTruncationsAndTrailingBytes } from "./strict"

const VERSION = 1_780_000_000
const ALICE = await makeAccount("alice", VERSION, 2)
const [BOB, MALLORY] = [await makeAccount("bob"), await makeAccount("mallory")]
const { keys: KEYS, record: RECORD } = ALICE
const ENCODED = RECORD.encoded
const DEVICES = ALICE.devices.map((own) => own.device)
const FIRST = deviceOf(0)
const NON_CANONICAL = fromHex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f") // 2^255-19

// Where each field of a record lies, as spec/identity.md tabulates it.
const [VERSION_AT, SALT_AT, ED25519_AT, MLDSA65_AT, ORIGINS_AT] = [2, 14, 46, 78, 2030]
const DEVICES_AT = ORIGINS_AT + 1 + 1 + ORIGIN.length
const DEVICE_SIZE = 1 + 1 + 8 + 32 + 32
const SIGNATURES_SIZE = 64 + 3309
const BODY = ENCODED.slice(0, -SIGNATURES_SIZE)

function deviceOf(at: number): Device {
  const device = DEVICES[at]
  if (device === undefined) throw new Error("no such device")
  return device
}

/** Sign any bytes as a record, so that a test meets the check it means and not a signature. */
async function resign(body: Bytes, keys: AccountKeys = KEYS, label: Bytes = labels.ACCOUNT_RECORD): Promise<Bytes> {
  return concat(body, await keys.ed25519.sign(label, body), await keys.mldsa65.sign(label, body))
}

/** Return a record with a field replaced and both signatures made anew. */
function replaced(at: number, field: Bytes): Promise<Bytes> {
  return resign(bytes(BODY.slice(0, at), field, BODY.slice(at + field.length)))
}

function bodyOf(origins: readonly string[], devices: readonly Bytes[]): Bytes {
  const writer = new Writer().raw(ENCODED.slice(0, ORIGINS_AT)).u8(origins.length)
  for (const origin of origins) writer.sized(utf8(origin), 1, 255)
  return writer.u8(devices.length).raw(concat(...devices)).done()
}

function deviceBytes(number: number, flags = 0): Bytes {
  const writer = new Writer().u8(number).u8(flags).u64(FIRST.created)
  return writer.raw(FIRST.identityKey.raw).raw(FIRST.signingKey.raw).done()
}

function recordOf(version: number, origin = ORIGIN): Promise<AccountRecord> {
  return makeRecord(KEYS, version, BigInt(NOW), [origin], DEVICES)
}

describe("a record", () => {
  test("reads back as it was made", async () => {
    const record = await AccountRecord.parse(ENCODED)
    expect(record).toEqual(RECORD)
    expect([record.version, record.created, record.origins]).toEqual([VERSION, BigInt(NOW), [ORIGIN]])
    expect(record.devices).toEqual(DEVICES)
    expect([record.ed25519, record.mldsa65]).toEqual([KEYS.ed25519.public, KEYS.mldsa65.public])
    expect(record.salt).toEqual(KEYS.salt)
  })

  test("is laid out as specified", () => {
    expect(toHex(ENCODED.slice(0, SALT_AT))).toBe(`01016a18a5000000019e70448800`)
    expect(ENCODED.slice(SALT_AT, ED25519_AT)).toEqual(KEYS.salt)
    expect(ENCODED.slice(ED25519_AT, MLDSA65_AT)).toEqual(KEYS.ed25519.public.raw)
    expect(ENCODED.slice(MLDSA65_AT, ORIGINS_AT)).toEqual(KEYS.mldsa65.public.raw)
    expect(ENCODED.slice(ORIGINS_AT, DEVICES_AT)).toEqual(bytes(1, ORIGIN.length, utf8(ORIGIN)))
    expect(ENCODED.slice(DEVICES_AT, DEVICES_AT + 1 + DEVICE_SIZE)).toEqual(bytes(2, deviceBytes(1)))
    expect(ENCODED.length).toBe(DEVICES_AT + 1 + 2 * DEVICE_SIZE + SIGNATURES_SIZE)
  })

  test("names itself by hashes of its keys", () => {
    const keys = [RECORD.ed25519.raw, RECORD.mldsa65.raw]
    expect(RECORD.fingerprint).toEqual(labels.hashOf(utf8("halonyx/1 account fingerprint"), ...keys))
    expect(RECORD.fingerprint).toEqual(accountFingerprint(RECORD.ed25519, RECORD.mldsa65))
    expect(RECORD.usid).toEqual(labels.hashOf(utf8("halonyx/1 usid"), RECORD.fingerprint, RECORD.salt))
    expect(RECORD.usid).toEqual(usidOf(KEYS))
    expect(toHex(RECORD.address)).toBe(createHash("sha256").update(RECORD.usid).digest("hex"))
    expect(RECORD.address).toEqual(addressOf(RECORD.usid))
    expect(RECORD.hash).toEqual(labels.hashOf(utf8("halonyx/1 record hash"), ENCODED))
  })

  test("finds its devices by id", () => {
    expect(RECORD.device(2 as DeviceId)).toEqual(DEVICES[1])
    expect(RECORD.device(3 as DeviceId)).toBeUndefined()
  })

  test("of the largest size has eight devices and three of the longest origins", async () => {
    const numbers = [248, 249, 250, 251, 252, 253, 254, 255]
    const devices = await Promise.all(numbers.map((number) => makeDevice(ALICE.address, "many", number)))
    const origins = [LONGEST_ORIGIN, LONGEST_ORIGIN, LONGEST_ORIGIN]
    const record = await makeRecord(KEYS, 2 ** 32 - 1, 2n ** 64n - 1n, origins, devices.map((own) => own.device))
    expect(record.encoded.length).toBe(MAX_RECORD_SIZE)
    expect(record.created).toBe(2n ** 64n - 1n)
    expect((await refusal(() => AccountRecord.parse(new Uint8Array(MAX_RECORD_SIZE + 1)), Malformed)).message).toMatch(
      "at most",
    )
  })

  test("that is made parses, and encodes back but for its random signature", async () => {
    const origins = fc.array(fc.constantFrom(ORIGIN, "http://localhost:3000", "https://[::1]:8443"), {
      minLength: 1,
      maxLength: 3,
    })
    const ids = fc.uniqueArray(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 8 })
    const versions = fc.integer({ min: 1, max: 2 ** 32 - 1 })
    await fc.assert(
      fc.asyncProperty(versions, fc.bigInt(0n, 2n ** 64n - 1n), origins, ids, async (version, created, there, any) => {
        const ascending = any.toSorted((first, second) => first - second)
        const devices = ascending.map((id) => ({ ...FIRST, id: id as DeviceId, created }))
        const record = await makeRecord(KEYS, version, created, there, devices)
        const parsed = await AccountRecord.parse(record.encoded)
        expect([parsed.version, parsed.created, parsed.origins]).toEqual([version, created, there])
        expect(parsed.devices).toEqual(devices)
        const again = await makeRecord(KEYS, parsed.version, parsed.created, parsed.origins, parsed.devices)
        expect(again.encoded.slice(0, -3309)).toEqual(record.encoded.slice(0, -3309))
      }),
      { numRuns: 6 },
    )
  })
})

describe("the parser", () => {
  test("refuses every truncation and every trailing byte", async () => {
    await refusesTruncationsAndTrailingBytes((data) => AccountRecord.parse(data), ENCODED)
  })

  test("checks both signatures, and their label", async () => {
    const stranger = (await resign(BODY, MALLORY.keys)).slice(BODY.length)
    const login = (await resign(BODY, KEYS, labels.DEVICE_LOGIN)).slice(BODY.length)
    const own = ENCODED.slice(BODY.length)
    for (const signatures of [stranger, login]) {
      const first = bytes(BODY, signatures.slice(0, 64), own.slice(64))
      const second = bytes(BODY, own.slice(0, 64), signatures.slice(64))
      expect((await refusal(() => AccountRecord.parse(first), BadSignature)).message).toMatch("Ed25519")
      expect((await refusal(() => AccountRecord.parse(second), BadSignature)).message).toMatch("ML-DSA")
    }
  })

  test("notices a change in every byte, and in every bit around the keys", async () => {
    const refused = [BadSignature, BadKey, Malformed, UnsupportedVersion] as const
    for (let at = 0; at < ENCODED.length - 3309; at++) {
      await refusal(() => AccountRecord.parse(altered(ENCODED, at)), ...refused)
    }
    for (let at = ENCODED.length - 3309; at < ENCODED.length; at += 97) {
      await refusal(() => AccountRecord.parse(altered(ENCODED, at)), BadSignature)
    }
    for (const flipped of bitFlips(ENCODED.slice(0, MLDSA65_AT))) {
      await refusal(() => AccountRecord.parse(bytes(flipped, ENCODED.slice(MLDSA65_AT))), ...refused)
    }
  })

  test("tells another version from another type, and refuses record version 0", async () => {
    await refusal(async () => AccountRecord.parse(await replaced(0, bytes(2))), UnsupportedVersion)
    await refusal(async () => AccountRecord.parse(await replaced(1, bytes(2))), Malformed)
    await AccountRecord.parse(await replaced(VERSION_AT, bytes(0, 0, 0, 1)))
    await refusal(async () => AccountRecord.parse(await replaced(VERSION_AT, bytes(0, 0, 0, 0))), Malformed)
  })

  test("refuses a bad key wherever it stands", async () => {
    const [identityAt, signingAt] = [DEVICES_AT + 1 + 10, DEVICES_AT + 1 + 10 + 32]
    for (const raw of [bytes(1, new Uint8Array(31)), NON_CANONICAL]) {
      await refusal(async () => AccountRecord.parse(await replaced(ED25519_AT, raw)), BadKey)
      await refusal(async () => AccountRecord.parse(await replaced(signingAt, raw)), BadKey)
    }
    await refusal(async () => AccountRecord.parse(await replaced(identityAt, NON_CANONICAL)), BadKey)
  })

  const one = [deviceBytes(1)]
  test.each([
    ["no origin", [], one],
    ["four origins", [ORIGIN, ORIGIN, ORIGIN, ORIGIN], one],
    ["no device", [ORIGIN], []],
    ["nine devices", [ORIGIN], [1, 2, 3, 4, 5, 6, 7, 8, 9].map((number) => deviceBytes(number))],
    ["origin not ASCII", ["https://relay.exämple"], one],
    ["plain http", ["http://relay.example"], one],
    ["device 0", [ORIGIN], [deviceBytes(0)]],
    ["device flag", [ORIGIN], [deviceBytes(1, 1)]],
    ["high device flag", [ORIGIN], [deviceBytes(1, 0x80)]],
    ["devices descend", [ORIGIN], [deviceBytes(2), deviceBytes(1)]],
    ["device twice", [ORIGIN], [deviceBytes(1), deviceBytes(1)]],
  ])("refuses %s", async (_, origins, devices) => {
    await refusal(async () => AccountRecord.parse(await resign(bodyOf(origins, devices))), Malformed)
  })

  test("refuses an empty origin", async () => {
    const body = bytes(ENCODED.slice(0, ORIGINS_AT), 1, 0, 1, deviceBytes(1))
    await refusal(async () => AccountRecord.parse(await resign(body)), Malformed)
  })

  test("takes an origin that stands twice: it is the owner's list", async () => {
    const record = await AccountRecord.parse(await resign(bodyOf([ORIGIN, ORIGIN], one)))
    expect(record.origins).toEqual([ORIGIN, ORIGIN])
  })

  test("refuses random bytes, also behind the beginning of a record", async () => {
    await fc.assert(
      fc.asyncProperty(anyBytes(0, 200), fc.nat(ENCODED.length), async (data, keep) => {
        fc.pre(data.length > 0 || keep < ENCODED.length)
        expect(await raisesOnlyOurErrors((tried) => AccountRecord.parse(tried), data)).toBeNull()
        const behind = bytes(ENCODED.slice(0, keep), data)
        fc.pre(toHex(behind) !== toHex(ENCODED))
        expect(await raisesOnlyOurErrors((tried) => AccountRecord.parse(tried), behind)).toBeNull()
      }),
    )
  })
})

describe("making a record", () => {
  test.each([
    [0, [ORIGIN], DEVICES],
    [2 ** 32, [ORIGIN], DEVICES],
    [-1, [ORIGIN], DEVICES],
    [1, [], DEVICES],
    [1, [ORIGIN, ORIGIN, ORIGIN, ORIGIN], DEVICES],
    [1, [ORIGIN], []],
    [1, [ORIGIN], [...DEVICES, ...DEVICES, ...DEVICES, ...DEVICES, ...DEVICES]],
  ])("is misuse out of range (version %i, case %#)", async (version, origins, devices) => {
    await refusal(() => makeRecord(KEYS, version, BigInt(NOW), origins, devices), Misuse)
  })

  test("is refused with devices out of order or an origin that is none", async () => {
    await refusal(() => makeRecord(KEYS, 1, BigInt(NOW), [ORIGIN], DEVICES.toReversed()), Malformed)
    await refusal(() => makeRecord(KEYS, 1, BigInt(NOW), ["ftp://relay.example"], DEVICES), Malformed)
  })

  test("has a next version that moves forward whatever was lost", () => {
    const seconds = NOW / 1000
    expect(nextVersion(5, NOW)).toBe(seconds)
    expect(nextVersion(5, (NOW + 999) as Millis)).toBe(seconds)
    expect(nextVersion(seconds, NOW)).toBe(seconds + 1)
    expect(nextVersion(2 ** 32 - 2, NOW)).toBe(2 ** 32 - 1)
  })
})

describe("checking a record", () => {
  test("another account's is untrusted, the same keys with another salt too", async () => {
    checkRecord(RECORD, ALICE.usid, null)
    const impostor = await makeRecord({ ...KEYS, salt: seed("salt") }, 2 ** 32 - 1, BigInt(NOW), [ORIGIN], DEVICES)
    const cases = [[BOB.record, ALICE.usid], [RECORD, seed("another") as Usid], [impostor, ALICE.usid]] as const
    for (const [record, usid] of cases) {
      expect(() => {
        checkRecord(record, usid, null)
      }).toThrow(UntrustedIdentity)
    }
  })

  test("a version never goes back behind the one seen, nor the one named", async () => {
    const [sixth, seventh, eighth] = [await recordOf(6), await recordOf(7), await recordOf(8)]
    checkRecord(eighth, ALICE.usid, seventh)
    checkRecord(await recordOf(4_000_000), ALICE.usid, seventh)
    checkRecord(seventh, ALICE.usid, null, 7)
    checkRecord(eighth, ALICE.usid, sixth, 7)
    const cases = [[sixth, seventh, 0], [seventh, null, 8], [seventh, sixth, 8]] as const
    for (const [record, seen, named] of cases) {
      const error = await refusal(() => {
        checkRecord(record, ALICE.usid, seen, named)
      }, StaleDirectory)
      expect(error.message).toMatch("older")
      expect(error).toBeInstanceOf(RemoteError)
    }
  })

  test("one version has one record", async () => {
    const seen = await recordOf(7)
    checkRecord(seen, ALICE.usid, seen)
    // Another origin; and the same body with another ML-DSA signature.
    for (const other of [await recordOf(7, "https://elsewhere.example"), await recordOf(7)]) {
      const error = await refusal(() => {
        checkRecord(other, ALICE.usid, seen)
      }, StaleDirectory)
      expect(error.message).toMatch("one version")
    }
  })
})

test("a device fingerprint depends on each of its parts", async () => {
  const { address } = ALICE
  const others = [
    deviceFingerprint(BOB.address, FIRST),
    deviceFingerprint(address, { ...FIRST, id: 2 as DeviceId }),
    deviceFingerprint(address, { ...FIRST, created: FIRST.created + 1n }),
    deviceFingerprint(address, { ...FIRST, identityKey: (await keyPair("x")).public }),
    deviceFingerprint(address, { ...FIRST, signingKey: (await signingKey("x")).public }),
  ]
  const own = ALICE.devices[0]?.fingerprint ?? bytes()
  expect(new Set([own, ...others].map(toHex)).size).toBe(6)
  const created = fromHex("0000019e70448800")
  const parts = [address, bytes(1), created, FIRST.identityKey.raw, FIRST.signingKey.raw]
  expect(own).toEqual(labels.hashOf(utf8("halonyx/1 device"), ...parts))
})
