/** Offers and states: one encoding, nothing that contradicts itself, and no file but the one that was offered. */

import fc from "fast-check"
import { describe, expect, test } from "vitest"

import { MAX_PLAINTEXT_SIZE, ciphertextSize } from "../../src/core/chunked"
import { Manifest, paddedSize } from "../../src/core/container"
import { concat } from "../../src/core/encoding"
import { Malformed, Misuse, UnsupportedVersion } from "../../src/core/errors"
import { FileOffer, FileState, MAX_THUMBNAIL_SIZE, Reason, State } from "../../src/core/file_offer"
import type { Bytes, FileKey, MessageId } from "../../src/core/types"
import { anyBytes, seed } from "./accounts"
import { altered, bitFlips, raisesOnlyOurErrors, refusal, refusesTruncationsAndTrailingBytes } from "./strict"

const JPEG = Uint8Array.of(0xff, 0xd8, 0xff, 0xe0)
const manifestOf = (...entries: readonly (readonly [string, number])[]): Manifest =>
  new Manifest(entries.map(([path, size]) => ({ path, size })))
const PHOTO = manifestOf(["photo.jpg", 1_000_000])
const TREE = manifestOf(["a", 5], ["b/c", 300_000], ["b/d", 0])
const OFFER: FileOffer = {
  isFolder: false,
  inDrop: false,
  key: seed("file key") as FileKey,
  size: 1_000_000,
  count: 1,
  ciphertextSize: ciphertextSize(PHOTO.paddedSize),
  ciphertextHash: seed("ciphertext hash"),
  infoHash: seed("info hash", 20),
  origin: "https://relay.example",
  name: "photo.jpg",
  mediaType: "image/jpeg",
  thumbnail: JPEG,
}
const FOLDER: FileOffer = {
  ...OFFER,
  isFolder: true,
  inDrop: true,
  size: TREE.contentSize,
  count: 3,
  ciphertextSize: ciphertextSize(TREE.paddedSize),
  name: "Fotos ä",
  mediaType: "",
  thumbnail: new Uint8Array(),
}
const ascii = (text: string): Bytes => Uint8Array.from(text, (character) => character.charCodeAt(0))
const parse = (body: Bytes): FileOffer => FileOffer.parse(body)

describe("an offer", () => {
  test.each([
    ["of a file", OFFER],
    ["of a folder", FOLDER],
    ["with a WebP", { ...OFFER, thumbnail: ascii("RIFF0000WEBP") }],
  ])("%s reads back and its parser is strict", async (_, offer) => {
    expect(parse(FileOffer.encode(offer))).toEqual(offer)
    await refusesTruncationsAndTrailingBytes(parse, FileOffer.encode(offer))
  })

  test("is read as it stands or refused, whatever bit flips", async () => {
    for (const flipped of bitFlips(FileOffer.encode(OFFER))) {
      const parsed = await raisesOnlyOurErrors((body) => FileOffer.encode(parse(body)), flipped)
      if (parsed !== null) expect(parsed).toEqual(flipped)
    }
  })

  test("of random bytes never crashes the parser", async () => {
    const property = fc.asyncProperty(anyBytes(0, 300), async (data) => {
      await raisesOnlyOurErrors(parse, data)
      await raisesOnlyOurErrors(parse, concat(FileOffer.encode(OFFER).slice(0, 106), data))
      await raisesOnlyOurErrors((body) => FileState.parse(body), data)
    })
    await fc.assert(property)
  })

  test("of another version or with an unknown flag is refused", async () => {
    await refusal(() => parse(altered(FileOffer.encode(OFFER), 0, 3)), UnsupportedVersion)
    await refusal(() => parse(altered(FileOffer.encode(OFFER), 1, 4)), Malformed)
  })

  const wrong: readonly Partial<FileOffer>[] = [
    { name: "photo/jpg" },
    { name: ".." },
    { origin: "https://relay.example/" },
    { mediaType: "image/JPEG" },
    { mediaType: "image" },
    { mediaType: "image/jpeg\n" },
    { mediaType: `${"a".repeat(128)}/b` },
    { thumbnail: ascii("<svg/>") },
    { thumbnail: JPEG.slice(0, 2) },
    { thumbnail: ascii("RIFF0000WAVE") },
    { thumbnail: ascii("xRIFF000WEBP") },
    { count: 0 },
    { count: 2 },
    { size: MAX_PLAINTEXT_SIZE },
    { ciphertextSize: 0 },
    { ciphertextSize: OFFER.ciphertextSize - 1 },
    { ciphertextSize: OFFER.ciphertextSize + 1 },
    { ciphertextSize: ciphertextSize(PHOTO.paddedSize + 16_384) },
    { ciphertextSize: ciphertextSize(PHOTO.paddedSize - 16_384) },
  ]
  test.each(wrong)("with %j is refused", async (change) => {
    await refusal(() => FileOffer.encode({ ...OFFER, ...change }), Malformed)
  })

  test("has a thumbnail of at most 16 KiB", async () => {
    const largest = concat(JPEG, new Uint8Array(MAX_THUMBNAIL_SIZE - JPEG.length))
    expect(parse(FileOffer.encode({ ...OFFER, thumbnail: largest })).thumbnail).toEqual(largest)
    await refusal(() => FileOffer.encode({ ...OFFER, thumbnail: concat(largest, JPEG) }), Misuse)
  })

  test("of a folder has the size of some paths", async () => {
    const property = fc.asyncProperty(fc.integer({ min: 1, max: 10_000 }), fc.nat(2 ** 40), async (count, size) => {
      const [least = 0, most = 0] = [1, 1024].map((path) => paddedSize(5 + count * (10 + path) + size))
      const offer = { ...FOLDER, count, size }
      for (const padded of [least, most]) {
        FileOffer.encode({ ...offer, ciphertextSize: ciphertextSize(padded) })
      }
      for (const padded of [least - 1, paddedSize(most + 1)]) {
        await refusal(() => FileOffer.encode({ ...offer, ciphertextSize: ciphertextSize(padded) }), Malformed)
      }
    })
    await fc.assert(property)
    await refusal(() => FileOffer.encode({ ...FOLDER, count: 10_001 }), Malformed)
    const between = { ...FOLDER, count: 1000, ciphertextSize: ciphertextSize(500_001) }
    await refusal(() => FileOffer.encode(between), Malformed)
  })

  test("is of the files in the container", async () => {
    FileOffer.checkManifest(OFFER, PHOTO)
    FileOffer.checkManifest(FOLDER, TREE)
    for (const [offer, manifest] of [
      [OFFER, manifestOf(["photo.jpg", 999_999])],
      [OFFER, manifestOf(["virus.exe", 1_000_000])],
      [OFFER, manifestOf(["photo.jpg", 500_000], ["b", 500_000])],
      [FOLDER, manifestOf(["a", 300_005])],
    ] as const) {
      await refusal(() => { FileOffer.checkManifest(offer, manifest) }, Malformed)
    }
  })
})

describe("a state", () => {
  const offer = seed("offer", 16) as MessageId

  test("reads back and its parser is strict", async () => {
    for (const state of Object.values(State)) {
      const said: FileState = { offer, state, reason: state === State.FAILED ? Reason.DISK_FULL : Reason.NONE }
      expect(FileState.parse(FileState.encode(said))).toEqual(said)
      await refusesTruncationsAndTrailingBytes((body) => FileState.parse(body), FileState.encode(said))
    }
  })

  test.each([[0, 0], [9, 0], [255, 0], [8, 1], [7, 0], [7, 4], [7, 255], [1, 1], [6, 3]])("%i with reason %i is none", async (...pair) => {
    await refusal(() => FileState.parse(concat(offer, Uint8Array.from(pair))), Malformed)
  })

  test("is not written with a reason it has not", async () => {
    await refusal(() => FileState.encode({ offer, state: State.DONE, reason: Reason.DAMAGED }), Malformed)
    await refusal(() => FileState.encode({ offer, state: State.FAILED, reason: Reason.NONE }), Malformed)
  })
})
