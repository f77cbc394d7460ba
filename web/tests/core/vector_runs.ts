/** What each operation of conventions, identity and safety-number vectors means for our code. */

import { Card } from "../../src/core/card"
import { Slot, openObject, sealObject } from "../../src/core/directory"
import { Reader, concat, sameBytes, utf8 } from "../../src/core/encoding"
import {
  AccountRecord,
  accountFingerprint,
  addressOf,
  checkRecord,
  deviceFingerprint,
  usidOf,
} from "../../src/core/identity"
import { accessKey, directoryKey, expand, requestKey } from "../../src/core/kdf"
import * as labels from "../../src/core/labels"
import { checkOrigin } from "../../src/core/origin"
import { bucketFor } from "../../src/core/padding"
import {
  KemKeyPair,
  KemPublicKey,
  KeyPair,
  PostQuantumVerifyKey,
  PublicKey,
  VerifyKey,
  aeadOpen,
  sha512,
} from "../../src/core/primitives"
import { accountKeys, encodeRecoveryCode, parseRecoveryCode } from "../../src/core/recovery"
import { ITERATIONS, encodeQr, matchesQr, safetyNumber } from "../../src/core/safety_number"
import type { Party } from "../../src/core/safety_number"
import type { Address, Fingerprint, Usid } from "../../src/core/types"
import { readDevice, writeDevice } from "./vector_devices"
import { check } from "./vectors"
import type { Fields, Output, Runner } from "./vectors"

function hs(given: Fields): Output {
  return { digest: labels.hashOf(utf8(given.text("label")), ...given.hexes("parts")) }
}

function hkdf(given: Fields): Output {
  const [label, size] = [utf8(given.text("label")), given.number("size")]
  return { okm: expand(given.hex("ikm"), label, size, given.hex("context"), given.hex("salt")) }
}

async function x25519(given: Fields): Promise<Output> {
  const [ours, theirs] = [await KeyPair.fromPrivate(given.hex("private")), new PublicKey(given.hex("public"))]
  return { our_public: ours.public.raw, shared_secret: await ours.exchange(theirs) }
}

async function ed25519Verify(given: Fields): Promise<Output> {
  const [key, label] = [new VerifyKey(given.hex("public_key")), utf8(given.text("label"))]
  await key.verify(label, given.hex("body"), given.hex("signature"))
  return {}
}

async function mldsa65Verify(given: Fields): Promise<Output> {
  const [key, label] = [new PostQuantumVerifyKey(given.hex("public_key")), utf8(given.text("label"))]
  await key.verify(label, given.hex("body"), given.hex("signature"))
  return {}
}

async function mlkemDecapsulate(given: Fields): Promise<Output> {
  const pair = await KemKeyPair.fromSeed(given.number("bits") === 768 ? 768 : 1024, given.hex("seed"))
  return { public_key: pair.public.raw, shared_secret: await pair.decapsulate(given.hex("ciphertext")) }
}

function mlkemPublicKey(given: Fields): Output {
  return { public_key: KemPublicKey.load(given.hex("public_key")).raw }
}

async function aead(given: Fields): Promise<Output> {
  const [key, nonce] = [given.hex("key"), given.hex("nonce")]
  return { plaintext: await aeadOpen(key, nonce, given.hex("ciphertext"), given.hex("associated_data")) }
}

function recoveryCodeEncode(given: Fields): Output {
  return { text: encodeRecoveryCode(given.hex("entropy")) }
}

function recoveryCodeParse(given: Fields): Output {
  return { entropy: parseRecoveryCode(given.text("text")) }
}

async function keysOfAccount(given: Fields): Promise<Output> {
  const entropy = given.hex("entropy")
  const keys = await accountKeys(entropy)
  const [usid, seed] = [usidOf(keys), expand(entropy, labels.ACCOUNT_SEED, 32)]
  return {
    account_seed: seed,
    // No key can be read out: that these seeds are behind the keys shows in the public keys.
    ed25519_seed: expand(seed, labels.ACCOUNT_ED25519, 32),
    ed25519: keys.ed25519.public.raw,
    mldsa65_seed: expand(seed, labels.ACCOUNT_MLDSA, 32),
    mldsa65: keys.mldsa65.public.raw,
    management_seed: expand(seed, labels.MANAGEMENT_KEY, 32),
    management_key: keys.management.public.raw,
    salt: keys.salt,
    account_fingerprint: accountFingerprint(keys.ed25519.public, keys.mldsa65.public),
    usid,
    address: addressOf(usid),
    directory_key: directoryKey(usid),
    request_key: requestKey(usid),
  }
}

function fingerprintOfDevice(given: Fields): Output {
  const device = readDevice(given.inside("device"))
  return { device_fingerprint: deviceFingerprint(given.hex("address") as Address, device) }
}

async function recordParse(given: Fields): Promise<Output> {
  const record = await AccountRecord.parse(given.hex("record"))
  return {
    version: record.version,
    created: record.created,
    salt: record.salt,
    ed25519: record.ed25519.raw,
    mldsa65: record.mldsa65.raw,
    origins: record.origins,
    devices: record.devices.map(writeDevice),
    account_fingerprint: record.fingerprint,
    usid: record.usid,
    address: record.address,
    record_hash: record.hash,
  }
}

async function recordCheck(given: Fields): Promise<Output> {
  const [record, seen] = [await AccountRecord.parse(given.hex("record")), given.hexOrNull("seen")]
  const before = seen === null ? null : await AccountRecord.parse(seen)
  checkRecord(record, given.hex("usid") as Usid, before, given.number("named"))
  return { version: record.version }
}

function origin(given: Fields): Output {
  return { origin: checkOrigin(given.text("origin")) }
}

function slotOf(given: Fields): readonly [Usid, Slot] {
  const usid = given.hex("usid") as Usid
  return [usid, new Slot(addressOf(usid), given.number("use"), given.number("device"), given.number("id"))]
}

async function objectSeal(given: Fields): Promise<Output> {
  const [[usid, slot], content] = [slotOf(given), given.hex("content")]
  const sealed = await sealObject(usid, slot, content, given.hex("nonce"))
  check(sameBytes(await openObject(usid, slot, sealed), content), "what was sealed does not open")
  return { associated_data: slot.associatedData(), sealed }
}

async function objectOpen(given: Fields): Promise<Output> {
  const [usid, slot] = slotOf(given)
  return { content: await openObject(usid, slot, given.hex("sealed")) }
}

function cardParse(given: Fields): Output {
  const card = Card.parse(given.text("text"))
  return {
    origin: card.origin,
    usid: card.usid,
    record_version: card.recordVersion,
    uri: card.uri(),
    link: card.link(),
  }
}

function bucket(given: Fields): Output {
  return { bucket: bucketFor(given.number("size")) }
}

function accessKeys(given: Fields): Output {
  return { access_key: accessKey(given.hex("profile_key")), request_key: requestKey(given.hex("usid") as Usid) }
}

function partiesOf(given: Fields): readonly [Party, Party] {
  const party = (side: Fields): Party => ({
    fingerprint: side.hex("fingerprint") as Fingerprint,
    address: side.hex("address") as Address,
  })
  return [party(given.inside("ours")), party(given.inside("theirs"))]
}

function numberOf(given: Fields): Output {
  const [ours, theirs] = partiesOf(given)
  const first = sha512(concat(labels.SAFETY_NUMBER, Uint8Array.of(0, 1), ours.fingerprint, ours.address))
  let digest = first
  for (let done = 1; done < ITERATIONS; done++) digest = sha512(concat(digest, ours.fingerprint))
  const group = (at: number): string => String(new Reader(digest.slice(5 * at)).unsigned(5) % 100_000).padStart(5, "0")
  const ourHalf = Array.from({ length: 6 }, (_, at) => group(at)).join(" ")
  const number = safetyNumber(ours, theirs)
  const halves = [number.slice(0, 35), number.slice(36)]
  check(halves.includes(ourHalf), "our half is not in the number")
  const theirHalf = halves[1 - halves.indexOf(ourHalf)]
  return { our_h0: first, our_digest: digest, our_half: ourHalf, their_half: theirHalf, safety_number: number }
}

function qrEncode(given: Fields): Output {
  return { payload: encodeQr(...partiesOf(given)) }
}

function qrMatch(given: Fields): Output {
  return { is_match: matchesQr(given.hex("payload"), ...partiesOf(given)) }
}

export const RUNS: Readonly<Record<string, Runner>> = {
  hs,
  hkdf,
  x25519,
  ed25519_verify: ed25519Verify,
  mldsa65_verify: mldsa65Verify,
  mlkem_decapsulate: mlkemDecapsulate,
  mlkem_public_key: mlkemPublicKey,
  aead_open: aead,
  recovery_code_encode: recoveryCodeEncode,
  recovery_code_parse: recoveryCodeParse,
  account_keys: keysOfAccount,
  device_fingerprint: fingerprintOfDevice,
  record_parse: recordParse,
  record_check: recordCheck,
  origin,
  object_seal: objectSeal,
  object_open: objectOpen,
  card_parse: cardParse,
  bucket,
  access_keys: accessKeys,
  safety_number: numberOf,
  qr_encode: qrEncode,
  qr_match: qrMatch,
}
