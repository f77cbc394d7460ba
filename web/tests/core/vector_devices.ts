/** Devices to and from the fields of vectors. */

import type { Device } from "../../src/core/identity"
import { PublicKey, VerifyKey } from "../../src/core/primitives"
import type { DeviceId } from "../../src/core/types"
import type { Fields, Output } from "./vectors"

/** Return a device as a record names it. */
export function readDevice(fields: Fields): Device {
  return {
    id: fields.number("id") as DeviceId,
    created: fields.u64("created"),
    identityKey: new PublicKey(fields.hex("identity_key")),
    signingKey: new VerifyKey(fields.hex("signing_key")),
  }
}

/** Return the fields of a device. */
export function writeDevice(device: Device): Output {
  return {
    id: device.id,
    created: device.created,
    identity_key: device.identityKey.raw,
    signing_key: device.signingKey.raw,
  }
}
