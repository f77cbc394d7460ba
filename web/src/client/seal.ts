/**
 * Values under the browser's key: any JSON-like value with bytes, big integers, maps and keys inside.
 *
 * WebCrypto keys can't be encrypted without reading them out, so they lie beside, as handles that nothing can read.
 *
 * Source: spec/conventions.md, "At rest".
 */

import { Reader, Writer, concat, utf8 } from "../core/encoding"
import { Malformed, Misuse } from "../core/errors"
import { KeyPair, NONCE_SIZE, PublicKey, SigningKey, VerifyKey, aeadOpen, aeadSeal, randomBytes } from "../core/primitives"
import type { Bytes } from "../core/types"

/** A value at rest. */
export interface Sealed {
  /** Nonce ‖ AES-256-GCM. */
  readonly sealed: Bytes
  readonly keys: readonly CryptoKey[]
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [field: string]: Json }

/** What is no JSON stands as an object with one field of these names; no field of ours begins with "$". */
const BYTES = "$bytes" // [offset, size] in the blob behind the JSON
const BIG = "$big"
const KEY = "$key" // index in `keys`
const MAP = "$map"
const PAIR = "$pair"
const SIGNING = "$signing"
const PUBLIC = "$public"
const VERIFY = "$verify"

/** Make the AES-256-GCM key of a new store; it can't be read out. */
export async function makeSealingKey(): Promise<CryptoKey> {
  return crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"])
}

/**
 * Seal a value.
 *
 * @param associatedData Where it belongs: it opens nowhere else.
 * @throws Misuse: the value holds something that can't be stored.
 */
export async function sealValue(key: CryptoKey, value: unknown, associatedData: Bytes): Promise<Sealed> {
  const packed: Packed = { parts: [], size: 0, keys: [] }
  const json = utf8(JSON.stringify(pack(value, packed)))
  const plain = new Writer().u32(json.length).raw(json).raw(concat(...packed.parts)).done()
  const nonce = randomBytes(NONCE_SIZE)
  return { sealed: concat(nonce, await aeadSeal(key, nonce, plain, associatedData)), keys: packed.keys }
}

/**
 * Open what `sealValue` sealed.
 *
 * @throws AuthenticationFailed: altered, or from another place. Malformed: shorter than a nonce.
 */
export async function openValue(key: CryptoKey, from: Sealed, associatedData: Bytes): Promise<unknown> {
  const reader = new Reader(from.sealed)
  const plain = new Reader(await aeadOpen(key, reader.take(NONCE_SIZE), reader.rest(), associatedData))
  const json = new TextDecoder().decode(plain.take(plain.u32()))
  return unpack(JSON.parse(json) as Json, { blob: plain.rest(), keys: from.keys })
}

interface Packed {
  readonly parts: Bytes[]
  size: number
  readonly keys: CryptoKey[]
}

function pack(value: unknown, out: Packed): Json {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value
  if (typeof value === "number" && Number.isFinite(value)) return value
  if (typeof value === "bigint") return { [BIG]: value.toString() }
  if (typeof value === "object") return packObject(value, out)
  throw new Misuse(`a ${typeof value} that can't be stored`)
}

function packObject(value: object, out: Packed): Json {
  if (Array.isArray(value)) return value.map((item) => pack(item, out))
  if (value instanceof Uint8Array) {
    out.parts.push(value.slice())
    out.size += value.length
    return { [BYTES]: [out.size - value.length, value.length] }
  }
  if (value instanceof CryptoKey) return { [KEY]: out.keys.push(value) - 1 }
  if (value instanceof Map) return { [MAP]: pack([...value.entries()], out) }
  if (value instanceof KeyPair) return { [PAIR]: pack([value.public.raw, value.private], out) }
  if (value instanceof SigningKey) return { [SIGNING]: pack([value.public.raw, value.private], out) }
  if (value instanceof PublicKey) return { [PUBLIC]: pack(value.raw, out) }
  if (value instanceof VerifyKey) return { [VERIFY]: pack(value.raw, out) }
  if (Object.getPrototypeOf(value) !== Object.prototype) throw new Misuse("an object of a class that can't be stored")
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  if (fields.some(([name]) => name.startsWith("$"))) throw new Misuse("a field may not begin with a dollar sign")
  return Object.fromEntries(fields.map(([name, field]) => [name, pack(field, out)]))
}

interface Unpacking {
  readonly blob: Bytes
  readonly keys: readonly CryptoKey[]
}

function unpack(json: Json, from: Unpacking): unknown {
  if (json === null || typeof json !== "object") return json
  if (isList(json)) return json.map((item) => unpack(item, from))
  const [[name, value] = ["", null], ...others] = Object.entries(json)
  if (others.length === 0 && name.startsWith("$")) return special(name, value, from)
  return Object.fromEntries(Object.entries(json).map(([field, item]) => [field, unpack(item, from)]))
}

/** What follows was sealed by `pack`, so its types are those that `pack` wrote. */
function special(name: string, value: Json, from: Unpacking): unknown {
  switch (name) {
    case BYTES: {
      const [at, size] = value as readonly [number, number]
      return from.blob.slice(at, at + size)
    }
    case BIG:
      return BigInt(value as string)
    case KEY:
      return keyAt(from.keys, value as number)
    case MAP:
      return new Map(unpack(value, from) as (readonly [unknown, unknown])[])
    case PAIR: {
      const [raw, key] = unpack(value, from) as readonly [Bytes, CryptoKey]
      return new KeyPair(new PublicKey(raw), key)
    }
    case SIGNING: {
      const [raw, key] = unpack(value, from) as readonly [Bytes, CryptoKey]
      return new SigningKey(new VerifyKey(raw), key)
    }
    case PUBLIC:
      return new PublicKey(unpack(value, from) as Bytes)
    case VERIFY:
      return new VerifyKey(unpack(value, from) as Bytes)
    default:
      throw new Malformed("a stored value of a kind this program does not know")
  }
}

/** The handles beside the sealed part are not authenticated: one may be gone. */
function keyAt(keys: readonly CryptoKey[], at: number): CryptoKey {
  const key = keys[at]
  if (key === undefined) throw new Malformed("a stored key is gone")
  return key
}

function isList(json: Json): json is readonly Json[] {
  return Array.isArray(json)
}
