/** Bytes as base64url without padding, as they travel in JSON. Source: spec/delivery.md, "REST"; RFC 4648 section 5. */

import { Malformed } from "../core/errors"
import type { Bytes } from "../core/types"

/** Return base64 with padding (RFC 4648 section 4). */
export function encodeBase64(data: Bytes): string {
  return btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""))
}

/** Return base64url without padding (RFC 4648 section 5). */
export function encodeBase64url(data: Bytes): string {
  return encodeBase64(data).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
}

/** Return the bytes of canonical base64url (Malformed: padding, another alphabet, white space, unused bits set). */
export function decodeBase64url(text: string): Bytes {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) throw new Malformed("not base64url without padding")
  const decoded = atob(text.replaceAll("-", "+").replaceAll("_", "/"))
  const data = Uint8Array.from(decoded, (character) => character.charCodeAt(0))
  if (encodeBase64url(data) !== text) throw new Malformed("not canonical base64url")
  return data
}
