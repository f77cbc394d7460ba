/** Accounts and devices that the tests share, all from fixed seeds; only ML-DSA signatures differ from run to run. */

import * as fc from "fast-check"

import { concat, utf8 } from "../../src/core/encoding"
import { OwnDevice, addressOf, makeRecord, usidOf } from "../../src/core/identity"
import type { AccountRecord } from "../../src/core/identity"
import { KeyPair, SigningKey, hkdf } from "../../src/core/primitives"
import { ENTROPY_SIZE, accountKeys } from "../../src/core/recovery"
import type { AccountKeys } from "../../src/core/recovery"
import type { Address, Bytes, DeviceId, Millis, Usid } from "../../src/core/types"

export const NOW = 1_780_000_000_000 as Millis
export const ORIGIN = "https://relay.example"
export const LONGEST_ORIGIN = `https://${"a".repeat(240)}.b:8443`

/** Return bytes that only depend on `name`. */
export function seed(name: string, sizeBytes = 32): Bytes {
  return hkdf(utf8(name), utf8("seed of a test"), sizeBytes, new Uint8Array())
}

/** Join bytes and byte values. */
export function bytes(...parts: readonly (Uint8Array | number)[]): Bytes {
  return concat(...parts.map((part) => (typeof part === "number" ? Uint8Array.of(part) : part)))
}

/** Draw byte strings of these sizes. */
export function anyBytes(minLength: number, maxLength = minLength): fc.Arbitrary<Bytes> {
  return fc.uint8Array({ minLength, maxLength }).map((data) => Uint8Array.from(data))
}

export function keyPair(name: string): Promise<KeyPair> {
  return KeyPair.fromPrivate(seed(`x25519 ${name}`))
}

export function signingKey(name: string): Promise<SigningKey> {
  return SigningKey.fromSeed(seed(`ed25519 ${name}`))
}

/** An account with its record and the private keys of every device in it. */
export interface Account {
  readonly keys: AccountKeys
  readonly usid: Usid
  readonly address: Address
  readonly record: AccountRecord
  readonly devices: readonly OwnDevice[]
}

export async function makeDevice(address: Address, name: string, number = 1): Promise<OwnDevice> {
  const [identity, signing] = [await keyPair(`${name} ${number}`), await signingKey(`${name} ${number}`)]
  const keys = { identityKey: identity.public, signingKey: signing.public }
  return new OwnDevice(address, { id: number as DeviceId, created: BigInt(NOW), ...keys }, identity, signing)
}

/** Make an account of that name with devices 1 to `count`. */
export async function makeAccount(name: string, version = 1, count = 1): Promise<Account> {
  const keys = await accountKeys(seed(`recovery ${name}`, ENTROPY_SIZE))
  const usid = usidOf(keys)
  const address = addressOf(usid)
  const numbers = Array.from({ length: count }, (_, at) => at + 1)
  const devices = await Promise.all(numbers.map((number) => makeDevice(address, name, number)))
  const record = await makeRecord(keys, version, BigInt(NOW), [ORIGIN], devices.map((own) => own.device))
  return { keys, usid, address, record, devices }
}
