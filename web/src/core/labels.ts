/**
 * The one table of domain-separation labels, and the hash that uses them.
 *
 * Source: spec/conventions.md, "Labels".
 */

import { Writer, utf8 } from "./encoding"
import { sha256 } from "./primitives"
import type { Bytes } from "./types"

const label = (role: string): Bytes => utf8(`halonyx/1 ${role}`)

// Hashes
export const ACCOUNT_FINGERPRINT = label("account fingerprint")
export const USID = label("usid")
export const DEVICE_FINGERPRINT = label("device")
export const RECORD_HASH = label("record hash")
export const RECOVERY_CHECKSUM = label("recovery checksum")
export const CARD_CHECKSUM = label("card checksum")
export const ASSOCIATED_DATA = label("ad")
export const HANDSHAKE_TRANSCRIPT = label("pqxdh")
export const HANDSHAKE_REPLAY = label("handshake replay")
export const SAFETY_NUMBER = label("safety number")
export const CONVERSATION = label("conversation")

// Key derivations
export const ACCOUNT_SEED = label("account seed")
export const ACCOUNT_ED25519 = label("account ed25519")
export const ACCOUNT_MLDSA = label("account mldsa65")
export const ACCOUNT_SALT = label("account salt")
export const MANAGEMENT_KEY = label("management key")
export const DIRECTORY_KEY = label("directory key")
export const ACCESS_KEY = label("access key")
export const REQUEST_KEY = label("request key")
export const X3DH_SECRET = label("x3dh secret")
export const PQXDH_SECRET = label("handshake secret")
export const SESSION_ID = label("session id")
export const ROOT_KEY = label("root key")
export const MESSAGE_KEY = label("message key")
export const ENVELOPE_KEY = label("envelope key")
export const BACKUP_KEY = label("backup key")
export const FILE_CONTENT = label("file content")
export const TRACKER_TOKEN = label("tracker token")
export const DROP_ID = label("drop id")
export const DROP_DELETION_KEY = label("drop deletion key")

// Signatures
export const ACCOUNT_RECORD = label("account record")
export const SIGNED_PREKEY = label("signed prekey")
export const ENVELOPE_PREKEY = label("envelope prekey")
export const LAST_RESORT_PREKEY = label("last-resort prekey")
export const ONE_TIME_PREKEY = label("one-time prekey")
export const ONE_TIME_KEM_PREKEY = label("one-time kem prekey")
export const RELAY_CHALLENGE = label("relay challenge")
export const DEVICE_LOGIN = label("login")
export const REST_REQUEST = label("rest request")
export const ANNOUNCEMENT = label("announcement")

/**
 * Return HS(role; parts): SHA-256 over the label and the parts, each with its length.
 *
 * @param label One of this module's labels.
 * @param parts Each below 2^32 bytes; an absent optional part is empty.
 * @returns 32 bytes. Source: spec/conventions.md, "HS".
 */
export function hashOf(label: Bytes, ...parts: readonly Uint8Array[]): Bytes {
  const writer = new Writer().u8(label.length).raw(label)
  for (const part of parts) writer.u32(part.length).raw(part)
  return sha256(writer.done())
}
