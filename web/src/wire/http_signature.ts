/**
 * Signed REST calls: HTTP Message Signatures in one fixed form, with an Ed25519 label in front.
 *
 * One signature named `halonyx` over method, authority, path and body digest. Reading them is the relay's part.
 *
 * Source: spec/delivery.md, "Signed calls"; RFC 9421 sections 2.5 and 3.1; RFC 9530 section 2.
 */

import { encodeBase64, encodeBase64url, toHex, utf8 } from "../core/encoding"
import { Misuse } from "../core/errors"
import { REST_REQUEST } from "../core/labels"
import { sha256 } from "../core/primitives"
import type { SigningKey } from "../core/primitives"
import { HASH_SIZE, MAX_DEVICE_ID } from "../core/types"
import type { Address, Bytes } from "../core/types"

export const NONCE_SIZE = 16
/** Device number that names the account's management key. */
export const MANAGEMENT = 0

const COMPONENTS = '("@method" "@authority" "@path" "content-digest")'

/** Names the key that signed: an address and a device number, 0 for the management key (Misuse if either is neither). */
export class KeyId {
  readonly address: Address
  readonly device: number

  constructor(address: Address, device: number) {
    const isDevice = Number.isInteger(device) && device >= MANAGEMENT && device <= MAX_DEVICE_ID
    if (address.length !== HASH_SIZE || !isDevice) {
      throw new Misuse("a key id is an address of 32 bytes and a device number of 0 to 255")
    }
    this.address = address
    this.device = device
  }

  toString(): string {
    return `${toHex(this.address)}.${this.device}`
  }
}

/** Signs calls: the management key or a device's login key, and its name. */
export interface Signer {
  readonly keyId: KeyId
  readonly key: SigningKey
}

/** What is asked, and of whom. */
export interface Target {
  /** `POST` and so on, upper case. */
  readonly method: string
  /** The relay's Host header, lower case: `localhost:3000`. */
  readonly authority: string
  /** Absolute path; signed calls have no query. */
  readonly path: string
}

/** The three headers of a signed call. */
export interface SignatureHeaders {
  readonly "Content-Digest": string
  readonly "Signature-Input": string
  readonly Signature: string
}

/**
 * Return the three headers that sign a call.
 *
 * @param signer The key and its name.
 * @param target Method, authority and path exactly as the relay gets them.
 * @param body The bytes sent.
 * @param created Unix seconds.
 * @param nonce 16 fresh random bytes.
 * @throws Misuse: a nonce of another size, or a time that is no whole second.
 *
 * Source: spec/delivery.md, "Signed calls".
 */
export async function sign(
  signer: Signer,
  target: Target,
  body: Bytes,
  created: number,
  nonce: Bytes,
): Promise<SignatureHeaders> {
  if (nonce.length !== NONCE_SIZE) throw new Misuse(`nonce of ${nonce.length} bytes, expected ${NONCE_SIZE}`)
  if (!Number.isSafeInteger(created) || created < 0) throw new Misuse("created is whole seconds since 1970")
  const nonceText = encodeBase64url(nonce)
  const params = `${COMPONENTS};created=${created};nonce="${nonceText}";keyid="${signer.keyId.toString()}";alg="ed25519"`
  const digest = contentDigest(body)
  const signature = await signer.key.sign(REST_REQUEST, signatureBase(target, digest, params))
  return {
    "Content-Digest": digest,
    "Signature-Input": `halonyx=${params}`,
    Signature: `halonyx=:${encodeBase64(signature)}:`,
  }
}

/** Return the Content-Digest header value (RFC 9530 section 2). */
export function contentDigest(body: Bytes): string {
  return `sha-256=:${encodeBase64(sha256(body))}:`
}

/** Return the bytes RFC 9421 section 2.5 says are signed; `params` is what follows "halonyx=" in Signature-Input. */
export function signatureBase(target: Target, digest: string, params: string): Bytes {
  const lines = [
    `"@method": ${target.method}`,
    `"@authority": ${target.authority.toLowerCase()}`,
    `"@path": ${target.path}`,
    `"content-digest": ${digest}`,
    `"@signature-params": ${params}`,
  ]
  return utf8(lines.join("\n"))
}
