/** Fields that several REST calls have. Source: spec/delivery.md, "REST". */

import { MAX_DEVICE_ID } from "../core/types"
import type { Bytes, DeviceId } from "../core/types"
import { bytes, integer } from "./json"

export const MIN_BLOB = 29 // nonce 12, one byte, tag 16
export const MAX_BLOB = 8192

/** Take a device's number, 1 to 255. */
export function deviceNumber(value: unknown): DeviceId {
  return integer(value, 1, MAX_DEVICE_ID) as DeviceId
}

/** Take what is sealed, 29 to 8,192 bytes. */
export function blob(value: unknown): Bytes {
  return bytes(value, MIN_BLOB, MAX_BLOB)
}
