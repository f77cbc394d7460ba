/**
 * REST bodies of an account: challenge, sign-up, invites, replacement, access key.
 *
 * Source: spec/delivery.md, "REST".
 */

import { Malformed } from "../core/errors"
import { MAX_DEVICE_ID } from "../core/types"
import type { Address, Bytes, DeviceId } from "../core/types"
import { bytes, integer, list, object, orNull, text, truth } from "./json"
import type { Parse } from "./json"
import type { Prekey } from "./rest_directory"
import { deviceNumber } from "./rest_fields"
import { signUpMode } from "./rest_relay"
import type { SignUpMode } from "./rest_relay"

export const EPOCH_SIZE = 8
export const SEED_SIZE = 32

/** An e-mail address that relays take: ASCII, at most 254 characters. */
export const EMAIL =
  /^(?=.{5,254}$)[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?[.])+[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/

/** POST /v1/signup/challenge. */
export interface WorkRequest {
  readonly address: Address
}

/** What sign-up must prove. In all modes but `pow` there is no seed and bits is 0. */
export interface WorkChallenge {
  readonly mode: SignUpMode
  readonly seed: Bytes | null
  /** 0 to 64. */
  readonly bits: number
  /** Milliseconds since 1970, UTC, by the relay's clock. */
  readonly expires: number
}

/** A solved challenge; the nonce is hashed as a u64, and below 2^53 so that JSON keeps it. */
export interface Work {
  readonly seed: Bytes
  readonly nonce: number
}

/** A device with its login key and sealed prekeys (empty for a device that is kept). */
export interface NewDevice {
  readonly id: DeviceId
  readonly loginKey: Bytes
  readonly prekeys: readonly Prekey[]
}

/** Who a person says they are, for the operator. */
export interface ContactDetails {
  /** 1 to 64 code points. */
  readonly name: string
  /** ASCII, at most 254 characters. */
  readonly email: string
}

/** POST /v1/accounts, signed by the management key in it. */
export interface SignUpRequest {
  readonly address: Address
  readonly managementKey: Bytes
  readonly accessHash: Bytes
  readonly requestHash: Bytes
  readonly record: Bytes
  readonly device: NewDevice
  readonly work: Work | null
  /** 32 characters of lowercase hex, for a relay in mode `token`. */
  readonly invite: string | null
  /** For the operator of a relay that asks for it. */
  readonly contact: ContactDetails | null
}

/** The mailbox of the new device. */
export interface SignUpResponse {
  readonly epoch: Bytes
}

/** An invite: one person may sign up with it until it expires. */
export interface InviteAnswer {
  /** 32 characters of lowercase hex. */
  readonly invite: string
  readonly expires: number
}

/** PUT /v1/account, signed by the management key; devices absent from the list are removed. */
export interface ReplaceAccountRequest {
  readonly address: Address
  /** SHA-256 of the sealed record in lowercase hex. */
  readonly replaces: string
  readonly record: Bytes
  /** 1 to 8. */
  readonly devices: readonly NewDevice[]
  readonly accessHash: Bytes
  readonly requestHash: Bytes
}

/** The epochs of the devices' mailboxes, in the order of the request. */
export interface ReplaceAccountResponse {
  readonly epochs: readonly Bytes[]
}

/** POST /v1/account/status and /v1/account/delete, signed by the management key. */
export interface AccountRequest {
  readonly address: Address
}

/** What the relay holds; after deletion nothing. Device ids up to `highestDevice` are used up. */
export interface AccountStatus {
  readonly exists: boolean
  readonly recordHash: string | null
  readonly devices: readonly DeviceId[]
  /** 0 to 255. */
  readonly highestDevice: number
}

/** PUT /v1/access-key, signed by a login key: whoever holds the former key is shut out at once. */
export interface AccessKeyRequest {
  readonly address: Address
  readonly accessHash: Bytes
}

export const parseWorkChallenge: Parse<WorkChallenge> = (value) => {
  const body = object(value, ["mode", "seed", "bits", "expires"])
  return {
    mode: signUpMode(body["mode"]),
    seed: orNull(body["seed"], (seed) => bytes(seed, SEED_SIZE)),
    bits: integer(body["bits"], 0, 64),
    expires: integer(body["expires"], 0),
  }
}

export const parseSignUpResponse: Parse<SignUpResponse> = (value) => ({
  epoch: bytes(object(value, ["epoch"])["epoch"], EPOCH_SIZE),
})

export const parseInviteAnswer: Parse<InviteAnswer> = (value) => {
  const body = object(value, ["invite", "expires"])
  const invite = text(body["invite"])
  if (!/^[0-9a-f]{32}$/.test(invite)) throw new Malformed("no invite")
  return { invite, expires: integer(body["expires"], 0) }
}

export const parseReplaceAccountResponse: Parse<ReplaceAccountResponse> = (value) => ({
  epochs: list(object(value, ["epochs"])["epochs"], (epoch) => bytes(epoch, EPOCH_SIZE)),
})

export const parseAccountStatus: Parse<AccountStatus> = (value) => {
  const body = object(value, ["exists", "record_hash", "devices", "highest_device"])
  return {
    exists: truth(body["exists"]),
    recordHash: orNull(body["record_hash"], hashHex),
    devices: list(body["devices"], deviceNumber),
    highestDevice: integer(body["highest_device"], 0, MAX_DEVICE_ID),
  }
}

function hashHex(value: unknown): string {
  const hash = text(value)
  if (!/^[0-9a-f]{64}$/.test(hash)) throw new Malformed("no hash in hex")
  return hash
}
