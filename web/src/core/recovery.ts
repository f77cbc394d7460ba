/**
 * The recovery code: 160 random bits as 32 Crockford base32 characters and a checksum of four.
 *
 * Source: spec/identity.md, "Recovery code".
 */

import { fromHex } from "./encoding"
import { Malformed, Misuse } from "./errors"
import { expand } from "./kdf"
import * as labels from "./labels"
import { PostQuantumSigningKey, SigningKey } from "./primitives"
import type { Bytes } from "./types"

export const ENTROPY_SIZE = 20
export const CODE_CHARACTERS = 32
export const CHECKSUM_CHARACTERS = 4
const GROUPS = /.{4}(?=.)/g

export const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
const READ_AS: Readonly<Record<string, string>> = { O: "0", I: "1", L: "1" }

/** What the recovery code yields. Derived at sign-up, device change and recovery, then dropped; never stored. */
export interface AccountKeys {
  readonly ed25519: SigningKey
  readonly mldsa65: PostQuantumSigningKey
  readonly management: SigningKey
  readonly salt: Bytes
}

/**
 * Write 20 random bytes as nine groups of four characters: eight of code, one of checksum.
 *
 * @throws Misuse: not 20 bytes.
 */
export function encodeRecoveryCode(entropy: Bytes): string {
  checkEntropy(entropy)
  return (base32(entropy) + checksumOf(entropy)).replaceAll(GROUPS, "$&-")
}

/**
 * Read a recovery code as a person types it: any case, spaces and hyphens anywhere, O for 0, I and L for 1.
 *
 * @returns The 20 bytes.
 * @throws Malformed: another character, another length, or a checksum that does not fit.
 */
export function parseRecoveryCode(text: string): Bytes {
  const symbols = Array.from(text.toUpperCase()).filter((character) => !"- \t\r\n".includes(character))
  if (symbols.length !== CODE_CHARACTERS + CHECKSUM_CHARACTERS) {
    throw new Malformed(`a recovery code has 36 characters, got ${symbols.length}`)
  }
  const values = symbols.map(valueOf)
  const number = values.slice(0, CODE_CHARACTERS).reduce((whole, value) => (whole << 5n) | BigInt(value), 0n)
  const entropy = fromHex(number.toString(16).padStart(2 * ENTROPY_SIZE, "0"))
  const checksum = values.slice(CODE_CHARACTERS).map((value) => ALPHABET.charAt(value)).join("")
  if (checksum !== checksumOf(entropy)) {
    throw new Malformed("the recovery code has a typing error: its checksum does not fit")
  }
  return entropy
}

/**
 * Derive the account's keys from the recovery code's 20 bytes.
 *
 * @throws Misuse: not 20 bytes.
 *
 * Source: spec/identity.md, "Account keys".
 */
export async function accountKeys(entropy: Bytes): Promise<AccountKeys> {
  checkEntropy(entropy)
  const seed = expand(entropy, labels.ACCOUNT_SEED, 32)
  return {
    ed25519: await SigningKey.fromSeed(expand(seed, labels.ACCOUNT_ED25519, 32)),
    mldsa65: await PostQuantumSigningKey.fromSeed(expand(seed, labels.ACCOUNT_MLDSA, 32)),
    management: await SigningKey.fromSeed(expand(seed, labels.MANAGEMENT_KEY, 32)),
    salt: expand(seed, labels.ACCOUNT_SALT, 32),
  }
}

function checkEntropy(entropy: Bytes): void {
  if (entropy.length !== ENTROPY_SIZE) throw new Misuse(`a recovery code holds ${ENTROPY_SIZE} bytes`)
}

function valueOf(symbol: string): number {
  const value = ALPHABET.indexOf(READ_AS[symbol] ?? symbol)
  if (value < 0) throw new Malformed("a recovery code has only letters and digits, without U")
  return value
}

/** Write bytes in base32, five bits a character; bits left over are dropped. */
function base32(data: Bytes): string {
  const bits = Array.from(data, (byte) => byte.toString(2).padStart(8, "0")).join("")
  return (bits.match(/.{5}/g) ?? []).map((five) => ALPHABET.charAt(parseInt(five, 2))).join("")
}

function checksumOf(entropy: Bytes): string {
  return base32(labels.hashOf(labels.RECOVERY_CHECKSUM, entropy)).slice(0, CHECKSUM_CHARACTERS)
}
