/**
 * What the relay and the device sign when a device logs in on /v1/receive.
 *
 * Source: spec/delivery.md, "Login".
 */

import { Writer, utf8 } from "../core/encoding"
import { Misuse } from "../core/errors"
import { HASH_SIZE, MAX_DEVICE_ID } from "../core/types"
import type { Address, Bytes, DeviceId } from "../core/types"
import { NONCE_SIZE, VERSION } from "./frames"

export const MAX_ORIGIN = 255

/**
 * Return what the relay signs under RELAY_CHALLENGE: nonce 32 ‖ time u64 ‖ u16 length ‖ origin.
 *
 * @throws Misuse: a nonce of another size, or an origin that is not 1 to 255 ASCII characters.
 */
export function challengeBody(nonce: Bytes, time: bigint, origin: string): Bytes {
  return new Writer().fixed(nonce, NONCE_SIZE).u64(time).sized(ascii(origin), 2, MAX_ORIGIN, 1).done()
}

/**
 * Return what the device signs under DEVICE_LOGIN.
 *
 * nonce 32 ‖ u16 length ‖ origin ‖ address 32 ‖ device u8 ‖ version u8. The origin keeps a relay from passing the login
 * on to another one.
 *
 * @throws Misuse: a field that does not fit.
 */
export function loginBody(nonce: Bytes, origin: string, address: Address, device: DeviceId): Bytes {
  if (device < 1 || device > MAX_DEVICE_ID) throw new Misuse("device must be 1 to 255")
  const writer = new Writer().fixed(nonce, NONCE_SIZE).sized(ascii(origin), 2, MAX_ORIGIN, 1)
  return writer.fixed(address, HASH_SIZE).u8(device).u8(VERSION).done()
}

function ascii(origin: string): Bytes {
  const encoded = utf8(origin)
  if (encoded.some((byte) => byte > 127)) throw new Misuse("an origin is ASCII")
  return encoded
}
