/** People with one device and its prekeys, handshakes between them, and their sessions; from fixed seeds where it matters. */

import { expect } from "vitest"

import { concat, toHex } from "../../src/core/encoding"
import { EnvelopeKeys } from "../../src/core/envelope"
import type { Recipient } from "../../src/core/envelope"
import { Peer, accept, encapsulate, initiate } from "../../src/core/handshake"
import type { Handshake, PrekeyPrivates } from "../../src/core/handshake"
import type { OwnDevice } from "../../src/core/identity"
import { EnvelopePrekey, PrekeyBundle, PrekeyUse, lifetime, signPrekey } from "../../src/core/prekeys"
import type { Prekey } from "../../src/core/prekeys"
import { KemKeyPair, KeyPair } from "../../src/core/primitives"
import type { Ratchet } from "../../src/core/ratchet"
import type { Sessions } from "../../src/core/session"
import type { Bytes, PrekeyId } from "../../src/core/types"
import { NOW, keyPair, makeAccount, seed } from "./accounts"
import type { Account } from "./accounts"

/** One device's prekeys: one of each use, both halves. */
export interface Prekeys {
  readonly signed: KeyPair
  readonly envelope: EnvelopeKeys
  readonly lastResort: KemKeyPair
  readonly oneTime: KeyPair
  readonly oneTimeKem: KemKeyPair
  readonly published: Readonly<Record<PrekeyUse, Prekey>>
}

/** An account, its first device and that device's prekeys. */
export interface Person {
  readonly name: string
  readonly account: Account
  readonly device: OwnDevice
  readonly peer: Peer
  readonly recipient: Recipient
  readonly envelopePrekey: EnvelopePrekey
  readonly prekeys: Prekeys
}

/** Ids are ten times the use. */
export const prekeyIdOf = (use: PrekeyUse): PrekeyId => (10 * use) as PrekeyId

const known = new Map<string, Promise<Person>>()

/** Make the person of that name; the same name gives the same one. */
export function person(name: string): Promise<Person> {
  const made = known.get(name) ?? makePerson(name)
  known.set(name, made)
  return made
}

async function makePerson(name: string): Promise<Person> {
  const account = await makeAccount(name)
  const [device] = account.devices
  if (device === undefined) throw new TypeError("an account without a device")
  const prekeys = await makePrekeys(device, name)
  return {
    name,
    account,
    device,
    peer: new Peer(account.address, device.device),
    recipient: [account.address, device.fingerprint],
    envelopePrekey: EnvelopePrekey.of(prekeys.published[PrekeyUse.ENVELOPE]),
    prekeys,
  }
}

async function makePrekeys(device: OwnDevice, name: string): Promise<Prekeys> {
  const [signed, oneTime] = [await keyPair(`${name} signed`), await keyPair(`${name} one-time`)]
  const lastResort = await KemKeyPair.fromSeed(1024, seed(`${name} last-resort`, 64))
  const oneTimeKem = await KemKeyPair.fromSeed(1024, seed(`${name} one-time kem`, 64))
  const mlkem768 = await KemKeyPair.fromSeed(768, seed(`${name} envelope`, 64))
  const x25519 = await keyPair(`${name} envelope`)
  const sign = (use: PrekeyUse, key: Bytes): Promise<Prekey> =>
    signPrekey(device, use, prekeyIdOf(use), BigInt(NOW + lifetime(use)), key)
  const published = {
    [PrekeyUse.SIGNED]: await sign(PrekeyUse.SIGNED, signed.public.raw),
    [PrekeyUse.ENVELOPE]: await sign(PrekeyUse.ENVELOPE, concat(x25519.public.raw, mlkem768.public.raw)),
    [PrekeyUse.LAST_RESORT]: await sign(PrekeyUse.LAST_RESORT, lastResort.public.raw),
    [PrekeyUse.ONE_TIME]: await sign(PrekeyUse.ONE_TIME, oneTime.public.raw),
    [PrekeyUse.ONE_TIME_KEM]: await sign(PrekeyUse.ONE_TIME_KEM, oneTimeKem.public.raw),
  }
  const envelope = new EnvelopeKeys(prekeyIdOf(PrekeyUse.ENVELOPE), x25519, mlkem768)
  return { signed, envelope, lastResort, oneTime, oneTimeKem, published }
}

/** Return what the relay hands out, with or without one-time keys of either kind. */
export function bundleOf({ prekeys }: Person, hasOneTime = true, hasKem = hasOneTime): PrekeyBundle {
  const { published } = prekeys
  const kem = published[hasKem ? PrekeyUse.ONE_TIME_KEM : PrekeyUse.LAST_RESORT]
  const oneTime = hasOneTime ? published[PrekeyUse.ONE_TIME] : null
  return new PrekeyBundle(published[PrekeyUse.SIGNED], published[PrekeyUse.ENVELOPE], kem, oneTime)
}

/** Return the private halves that a handshake names. */
export function privatesOf({ prekeys }: Person, handshake: Handshake): PrekeyPrivates {
  return {
    signed: prekeys.signed,
    oneTime: handshake.oneTime === null ? null : prekeys.oneTime,
    kem: handshake.usesLastResort ? prekeys.lastResort : prekeys.oneTimeKem,
  }
}

/** Run our half of a handshake. */
export async function initiateWith(
  ours: Person,
  theirs: Person,
  bundle: PrekeyBundle,
  fresh?: readonly [KeyPair, KeyPair],
): Promise<readonly [Handshake, Ratchet]> {
  const pairs = fresh ?? ([await KeyPair.generate(), await KeyPair.generate()] as const)
  return initiate(ours.device, theirs.peer, bundle, pairs, await encapsulate(bundle))
}

/** Run a handshake: the header, the initiator's ratchet, the responder's ratchet before the first message. */
export async function makePair(
  initiator: Person,
  responder: Person,
  bundle = bundleOf(responder),
): Promise<readonly [Handshake, Ratchet, Ratchet]> {
  const [handshake, ours] = await initiateWith(initiator, responder, bundle)
  return [handshake, ours, await accept(responder.device, initiator.peer, handshake, privatesOf(responder, handshake))]
}

/** Return a value that must be there. */
export function there<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) return expect.unreachable("nothing there")
  return value
}

const handles = new Map<CryptoKey, number>()

/** Return all that is in some sessions, as text: any change shows, of one byte, of a kept key, or of a private one. */
export function textOf(sessions: Sessions): string {
  return JSON.stringify(sessions, (_, part: unknown) => {
    if (part instanceof Uint8Array) return toHex(part)
    if (part instanceof Map) return [...part]
    if (!(part instanceof CryptoKey)) return part
    if (!handles.has(part)) handles.set(part, handles.size)
    return handles.get(part)
  })
}

/** Do `work`, and check that it leaves these sessions as they were. */
export async function leaves<T>(sessions: Sessions, work: () => Promise<T>): Promise<T> {
  const before = textOf(sessions)
  const result = await work()
  expect(textOf(sessions), "changed in place").toBe(before)
  return result
}
