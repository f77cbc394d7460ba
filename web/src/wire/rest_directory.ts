/**
 * REST bodies of sealed prekeys: put there by their owner, handed out to whoever has a key to the mailbox.
 *
 * Source: spec/delivery.md, "REST".
 */

import { MAX_PREKEY_ID } from "../core/types"
import type { Address, Bytes, DeviceId, PrekeyId } from "../core/types"
import { integer, list, object, orNull } from "./json"
import type { Parse } from "./json"
import { blob, deviceNumber } from "./rest_fields"

export const MAX_ONE_TIME_PREKEYS = 200
export const MAX_PREKEYS_IN_CALL = 2 * MAX_ONE_TIME_PREKEYS + 3
export const FETCH_ID_SIZE = 16

export const USE_SIGNED = 1
export const USE_ENVELOPE = 2
export const USE_LAST_RESORT = 3
export const USE_ONE_TIME = 4
export const USE_ONE_TIME_KEM = 5

const BUNDLE_FIELDS = [
  "signed_prekey",
  "envelope_prekey",
  "last_resort_prekey",
  "one_time_prekey",
  "one_time_kem_prekey",
]

/** A sealed prekey with its clear header; see spec/identity.md, "Sealed objects". */
export interface Prekey {
  /** USE_SIGNED to USE_ONE_TIME_KEM. */
  readonly use: number
  readonly id: PrekeyId
  /** 29 to 8,192 bytes. */
  readonly blob: Bytes
}

/** PUT /v1/prekeys, signed by the device's login key. One-time prekeys below `oneTimeFrom` are dropped. */
export interface PublishRequest {
  readonly address: Address
  readonly device: DeviceId
  readonly prekeys: readonly Prekey[]
  readonly oneTimeFrom: PrekeyId
}

/** One-time prekeys that are left. */
export interface PrekeyCounts {
  readonly oneTime: number
  readonly oneTimeKem: number
}

/** POST /v1/lookup, anonymous; `key` is an access key or the request key. */
export interface LookupRequest {
  readonly address: Address
  readonly key: Bytes
}

/** A sealed prekey as it is handed out. */
export interface StoredPrekey {
  readonly id: PrekeyId
  readonly blob: Bytes
}

/** A device and what an envelope to it is sealed with. */
export interface DeviceEntry {
  readonly device: DeviceId
  readonly envelopePrekey: StoredPrekey
}

/** The sealed record and the devices' envelope prekeys. */
export interface LookupResponse {
  readonly record: Bytes
  readonly devices: readonly DeviceEntry[]
}

/** POST /v1/bundle, anonymous; the same `fetchId` within ten minutes gets the same bundle. */
export interface BundleRequest {
  readonly address: Address
  readonly key: Bytes
  readonly device: DeviceId
  readonly fetchId: Bytes
}

/** One of each prekey; the one-time ones are gone from the relay when this is read. */
export interface Bundle {
  readonly signedPrekey: StoredPrekey
  readonly envelopePrekey: StoredPrekey
  readonly lastResortPrekey: StoredPrekey
  readonly oneTimePrekey: StoredPrekey | null
  readonly oneTimeKemPrekey: StoredPrekey | null
}

export const parsePrekeyCounts: Parse<PrekeyCounts> = (value) => {
  const body = object(value, ["one_time", "one_time_kem"])
  return { oneTime: integer(body["one_time"], 0), oneTimeKem: integer(body["one_time_kem"], 0) }
}

export const parseLookupResponse: Parse<LookupResponse> = (value) => {
  const body = object(value, ["record", "devices"])
  return { record: blob(body["record"]), devices: list(body["devices"], deviceEntry) }
}

export const parseBundle: Parse<Bundle> = (value) => {
  const body = object(value, BUNDLE_FIELDS)
  return {
    signedPrekey: storedPrekey(body["signed_prekey"]),
    envelopePrekey: storedPrekey(body["envelope_prekey"]),
    lastResortPrekey: storedPrekey(body["last_resort_prekey"]),
    oneTimePrekey: orNull(body["one_time_prekey"], storedPrekey),
    oneTimeKemPrekey: orNull(body["one_time_kem_prekey"], storedPrekey),
  }
}

const deviceEntry: Parse<DeviceEntry> = (value) => {
  const body = object(value, ["device", "envelope_prekey"])
  return { device: deviceNumber(body["device"]), envelopePrekey: storedPrekey(body["envelope_prekey"]) }
}

const storedPrekey: Parse<StoredPrekey> = (value) => {
  const body = object(value, ["id", "blob"])
  return { id: integer(body["id"], 1, MAX_PREKEY_ID) as PrekeyId, blob: blob(body["blob"]) }
}
