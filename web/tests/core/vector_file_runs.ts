/** What each operation of the files vectors means for our code. */

import { Decryptor, Encryptor, HEADER_SIZE, SALT_SIZE, ciphertextSize, plaintextSize } from "../../src/core/chunked"
import { Manifest, Unpacker } from "../../src/core/container"
import { concat, sameBytes } from "../../src/core/encoding"
import { checkComponent, safeName, safePaths } from "../../src/core/file_names"
import { FileOffer, FileState } from "../../src/core/file_offer"
import { dropDeletionKey, dropId, kdfChunked, trackerToken } from "../../src/core/kdf"
import { FILE_CONTENT } from "../../src/core/labels"
import { sha256 } from "../../src/core/primitives"
import type { Bytes, FileKey } from "../../src/core/types"
import { check } from "./vectors"
import type { Fields, Output, Runner } from "./vectors"

const PART_SIZES = [1_000_000, 16_400, 16_385, 7_001] // a stream gives the same however it is cut

function runsOf(given: Fields, name: string): Bytes {
  const runs = given.allInside(name).map((run) => {
    const [unit, times] = [run.hex("bytes"), run.number("times")]
    const whole = new Uint8Array(unit.length * times)
    for (let at = 0; at < times; at++) whole.set(unit, at * unit.length)
    return whole
  })
  return concat(...runs)
}

function partsOf(data: Bytes, size: number): readonly Bytes[] {
  return Array.from({ length: Math.ceil(data.length / size) }, (_, at) => data.slice(at * size, (at + 1) * size))
}

/** Return what all ways to cut a stream give, one after another. */
async function sameFor(work: (size: number) => Promise<Bytes>): Promise<Bytes> {
  let result: Bytes | null = null
  for (const size of PART_SIZES) {
    const found = await work(size)
    check(result === null || sameBytes(found, result), "another result for other parts")
    result = found
  }
  return result ?? new Uint8Array()
}

function valuesOf(key: Bytes, salt: Bytes, context: Bytes): Output {
  const [aead_key, base_nonce, commitment] = kdfChunked(key, salt, context)
  return { aead_key, base_nonce, commitment }
}

function fileSecrets(given: Fields): Output {
  const key = given.hex("key") as FileKey
  return { tracker_token: trackerToken(key), drop_id: dropId(key), drop_deletion_key: dropDeletionKey(key) }
}

async function chunkedEncrypt(given: Fields): Promise<Output> {
  const [key, salt, plaintext] = [given.hex("key"), given.hex("salt"), runsOf(given, "plaintext")]
  const ciphertext = await sameFor(async (size) => {
    const encryptor = await Encryptor.create(key, salt)
    const parts: Bytes[] = [encryptor.header]
    for (const part of partsOf(plaintext, size)) parts.push(await encryptor.update(part))
    return concat(...parts, await encryptor.finish())
  })
  return {
    ...valuesOf(key, salt, FILE_CONTENT),
    header: ciphertext.slice(0, HEADER_SIZE),
    ciphertext_size: ciphertext.length,
    ciphertext_hash: sha256(ciphertext),
  }
}

async function chunkedDecrypt(given: Fields): Promise<Output> {
  const [key, context, ciphertext] = [given.hex("key"), given.hex("context"), runsOf(given, "ciphertext")]
  const plaintext = await sameFor(async (size) => {
    const decryptor = await Decryptor.create(key, ciphertext.slice(0, HEADER_SIZE), context)
    const parts: Bytes[] = []
    for (const part of partsOf(ciphertext.slice(HEADER_SIZE), size)) parts.push(await decryptor.update(part))
    return concat(...parts, await decryptor.finish())
  })
  check(plaintextSize(ciphertext.length) === plaintext.length, "another size than computed")
  const result = { plaintext_size: plaintext.length, plaintext_hash: sha256(plaintext) }
  return { ...valuesOf(key, ciphertext.slice(0, SALT_SIZE), context), ...result }
}

function manifestParse(given: Fields): Output {
  const data = given.hex("manifest")
  const manifest = Manifest.parse(data)
  check(sameBytes(manifest.encode(), data), "encodes to other bytes")
  return {
    entries: manifest.entries,
    content_size: manifest.contentSize,
    unpadded_size: manifest.unpaddedSize,
    padded_size: manifest.paddedSize,
    ciphertext_size: ciphertextSize(manifest.paddedSize),
  }
}

function unpack(container: Bytes, size: number): readonly { path: string; hash: Bytes }[] {
  const checked: Manifest[] = []
  const unpacker = new Unpacker(container.length, (manifest) => {
    checked.push(manifest)
  })
  const pieces = partsOf(container, size).flatMap((part) => unpacker.update(part))
  const manifest = unpacker.finish()
  check(checked.length === 1 && checked[0] === manifest, "the manifest was not checked once")
  return manifest.entries.map(({ path }, index) => {
    const own = pieces.flatMap(([owner, content]) => (owner === index ? [content] : []))
    return { path, hash: sha256(concat(...own)) }
  })
}

function containerOpen(given: Fields): Output {
  const container = runsOf(given, "container")
  const [files = [], ...others] = PART_SIZES.map((size) => unpack(container, size))
  for (const other of others) {
    check(
      other.every(({ hash }, at) => sameBytes(hash, files[at]?.hash ?? new Uint8Array())),
      "another content for other parts",
    )
  }
  return { size: container.length, files }
}

function offerParse(given: Fields): Output {
  const body = given.hex("body")
  const offer = FileOffer.parse(body)
  check(sameBytes(FileOffer.encode(offer), body), "encodes to other bytes")
  return {
    is_folder: offer.isFolder,
    in_drop: offer.inDrop,
    key: offer.key,
    size: offer.size,
    count: offer.count,
    ciphertext_size: offer.ciphertextSize,
    ciphertext_hash: offer.ciphertextHash,
    info_hash: offer.infoHash,
    origin: offer.origin,
    name: offer.name,
    media_type: offer.mediaType,
    thumbnail: offer.thumbnail,
  }
}

function fileStateParse(given: Fields): Output {
  const body = given.hex("body")
  const said = FileState.parse(body)
  check(sameBytes(FileState.encode(said), body), "encodes to other bytes")
  return { ...said }
}

function namesToSave(given: Fields): Output {
  const names = given.texts("names").map(safeName)
  check(
    names.every((name) => safeName(checkComponent(name)) === name),
    "a safe name that is not safe",
  )
  return { names }
}

function pathsToSave(given: Fields): Output {
  return { paths: safePaths(given.texts("paths")) }
}

export const FILE_RUNS: Readonly<Record<string, Runner>> = {
  file_secrets: fileSecrets,
  chunked_encrypt: chunkedEncrypt,
  chunked_decrypt: chunkedDecrypt,
  manifest_parse: manifestParse,
  container_open: containerOpen,
  offer_parse: offerParse,
  file_state_parse: fileStateParse,
  safe_names: namesToSave,
  safe_paths: pathsToSave,
}
