/** Contact cards and origins: one way to write each, and a typing error is noticed. */

import { createHash } from "node:crypto"

import * as fc from "fast-check"
import { describe, expect, test } from "vitest"

import { Card, MAX_CARD_LENGTH } from "../../src/core/card"
import { utf8 } from "../../src/core/encoding"
import { Malformed, Misuse, UnsupportedVersion } from "../../src/core/errors"
import { MAX_ORIGIN_SIZE, checkOrigin, reachesThisMachine } from "../../src/core/origin"
import type { Bytes, Usid } from "../../src/core/types"
import { LONGEST_ORIGIN, ORIGIN, anyBytes, bytes, seed } from "./accounts"
import { raisesOnlyOurErrors, refusesTruncationsAndTrailingBytes } from "./strict"

const USID = seed("usid") as Usid
const CARD = new Card(ORIGIN, USID, 1_780_000_000)
const BODY = bytes(0x01, 0x31, 0x6a, 0x18, 0xa5, 0x00, USID, ORIGIN.length, utf8(ORIGIN))
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/** Write any bytes as a card whose checksum fits, so that a test meets the check it means. */
function textOf(body: Bytes): string {
  const size = Buffer.alloc(4)
  size.writeUInt32BE(body.length)
  const digest = createHash("sha256").update(bytes(23, utf8("halonyx/1 card checksum"), size, body)).digest()
  return Buffer.from(bytes(body, digest.subarray(0, 4))).toString("base64url")
}

const parseBody = (body: Bytes): Card => Card.parse(`halonyx:${textOf(body)}`)

test.each([CARD, new Card(LONGEST_ORIGIN, USID, 2 ** 32 - 1), new Card("http://localhost:3000", USID, 0)])(
  "both forms of card %# read back",
  (card) => {
    expect(Card.parse(card.uri())).toEqual(card)
    expect(Card.parse(card.link())).toEqual(card)
    expect(card.link().length).toBeLessThanOrEqual(MAX_CARD_LENGTH)
  },
)

test("the two forms are the specified ones", () => {
  expect(CARD.uri()).toBe(`halonyx:${textOf(BODY)}`)
  expect(CARD.link()).toBe(`${ORIGIN}/#add=${textOf(BODY)}`)
})

test("white space around a card is ignored and inside it is not", () => {
  expect(Card.parse(` \n${CARD.uri()}\t\r\n`)).toEqual(CARD)
  for (const space of [" ", "\n", "\t"]) {
    expect(() => Card.parse(CARD.uri().slice(0, 20) + space + CARD.uri().slice(20))).toThrow("base64url")
  }
})

test("any card round trips", () => {
  const origins = fc.constantFrom(ORIGIN, "http://127.0.0.1:3000", "https://[::1]")
  fc.assert(
    fc.property(origins, anyBytes(32), fc.nat(2 ** 32 - 1), (origin, usid, version) => {
      const card = new Card(origin, usid as Usid, version)
      expect(Card.parse(card.uri())).toEqual(card)
      expect(Card.parse(card.link())).toEqual(card)
    }),
  )
})

test("every truncation, added character and wrong character is refused", () => {
  for (const text of [CARD.uri(), CARD.link()]) {
    for (let at = 0; at < text.length; at++) expect(() => Card.parse(text.slice(0, at))).toThrow(Malformed)
    for (const character of `${ALPHABET}=`) expect(() => Card.parse(text + character)).toThrow(Malformed)
  }
  const text = CARD.uri()
  for (let at = "halonyx:".length; at < text.length; at++) {
    const wrong = ALPHABET.charAt((ALPHABET.indexOf(text.charAt(at)) + 1) % 64)
    expect(() => Card.parse(text.slice(0, at) + wrong + text.slice(at + 1))).toThrow(Malformed)
  }
})

test("the body parser is strict", async () => {
  await refusesTruncationsAndTrailingBytes(parseBody, BODY)
  expect(() => parseBody(bytes(BODY, 0))).toThrow("trailing")
})

test("a newer card is unsupported and another type malformed", () => {
  expect(() => parseBody(bytes(2, BODY.slice(1)))).toThrow(UnsupportedVersion)
  expect(() => parseBody(bytes(1, 0x30, BODY.slice(2)))).toThrow(Malformed)
})

test.each(["", "http://relay.example", "https://relay.example:443", "https://Relay.example", "https://rä.b"])(
  "a card whose origin is %j is malformed",
  (origin) => {
    expect(() => parseBody(bytes(BODY.slice(0, 38), utf8(origin).length, utf8(origin)))).toThrow(Malformed)
  },
)

test("there is one way to write a card", () => {
  // The last character of an encoding may hold unused bits: a decoder that ignores them takes several spellings.
  const uri = new Card("https://aa", USID, 1).uri()
  const last = ALPHABET.indexOf(uri.slice(-1))
  expect((uri.length - "halonyx:".length) % 4).not.toBe(0)
  const respelled = uri.slice(0, -1) + ALPHABET.charAt(last + 1)
  expect(Buffer.from(respelled.slice(8), "base64url")).toEqual(Buffer.from(uri.slice(8), "base64url"))
  expect(() => Card.parse(respelled)).toThrow("canonical")
})

test("padding and the other base64 alphabet are refused", () => {
  const text = new Card(ORIGIN, new Uint8Array(32).fill(0xfb) as Usid, 1).uri()
  expect(text).toMatch(/[-_]/)
  for (const wrong of [text.replaceAll("-", "+").replaceAll("_", "/"), `${text}=`, `${text}==`]) {
    expect(() => Card.parse(wrong)).toThrow("base64url")
  }
})

test("a link that names another relay than its card is malformed", () => {
  expect(() => Card.parse(CARD.link().replace(ORIGIN, "https://evil.example"))).toThrow("different relays")
})

test.each(["", "halonyx:", "halonyx", `HALONYX:${CARD.uri().slice(8)}`, ORIGIN, `${ORIGIN}/#add=`, "https://a/#add=é"])(
  "%j is no card",
  (text) => {
    expect(() => Card.parse(text)).toThrow(Malformed)
  },
)

test("a text too long for a card is refused at once", () => {
  expect(() => Card.parse(`halonyx:${"A".repeat(MAX_CARD_LENGTH)}`)).toThrow("too long")
})

test("random text is refused, and random bodies raise only our errors", async () => {
  const characters = fc.constantFrom(...Array.from(ALPHABET))
  const bodies = fc.string({ unit: characters, maxLength: 60 }).map((text) => `halonyx:${text}`)
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 60 }), bodies), (text) => {
      expect(() => Card.parse(text)).toThrow(Malformed)
    }),
  )
  await fc.assert(
    fc.asyncProperty(anyBytes(0, 80), async (body) => {
      const card = await raisesOnlyOurErrors(parseBody, body)
      expect(card === null || (card instanceof Card && card.uri() === `halonyx:${textOf(body)}`)).toBe(true)
    }),
  )
})

test("a card that can't be written", () => {
  expect(() => new Card("relay.example", USID, 1).uri()).toThrow(Malformed)
  expect(() => new Card(ORIGIN, USID, 2 ** 32).uri()).toThrow(Misuse)
  expect(() => new Card(ORIGIN, seed("short", 31) as Usid, 1).link()).toThrow(Misuse)
})

describe("origins", () => {
  const named = ["http://localhost", "http://localhost:3000", "http://localhost:443", "https://localhost"]
  const local = [...named, "http://127.0.0.1:1", "http://127.1.2.3", "http://[::1]:3000", "https://127.0.0.1:8443"]
  const remote = ["https://relay.example", "https://relay.example:8443", "https://relay.example:80", "https://10.0.0.1"]

  test.each([...local, ...remote, "https://[2001:db8::1]:65535", LONGEST_ORIGIN])("%s is one", (origin) => {
    expect(checkOrigin(origin)).toBe(origin)
    expect(reachesThisMachine(origin)).toBe(local.includes(origin))
  })

  test.each([
    "",
    "relay.example",
    "https://",
    "https://Relay.example",
    "HTTPS://relay.example",
    "https://relay.example/",
    "https://relay.example:443",
    "https://relay.example:0",
    "https://relay.example:08443",
    "https://relay.example:65536",
    "https://relay.example:",
    "https://relay.example\n",
    "https://user@relay.example",
    "https://relay.example?x",
    "https://relay.example#x",
    "https://relay.exämple",
    "wss://relay.example",
    "http://relay.example",
    "http://localhost:80",
    "http://localhost.example",
    "http://127.0.0.1.example",
    "http://1127.0.0.1",
    "http://127.0.0.256",
    "http://127.0.0.01",
    "https://relay..example",
    "https://relay.example.",
    "https://.relay.example",
    "https://-relay.example",
    "https://relay-.example",
    "http://[::2]",
    LONGEST_ORIGIN.replace("a", "aa"),
  ])("%j is none", (origin) => {
    expect(() => checkOrigin(origin)).toThrow(Malformed)
  })

  test("the longest has 255 characters", () => {
    expect(LONGEST_ORIGIN.length).toBe(MAX_ORIGIN_SIZE)
  })
})
