/**
 * Bodies of every REST call: requests are encoded, answers are parsed strictly; bytes travel as base64url.
 *
 * A field is named in JSON as in Python: `oneTimeFrom` is `one_time_from`. An answer with an unknown or missing field,
 * another type or another size is Malformed. Addresses and keys stand in bodies only, never in URLs.
 *
 * Source: spec/delivery.md, "REST".
 */

import { Malformed } from "../core/errors"
import { KEY_SIZE, MAX_DEVICE_ID, MAX_PREKEY_ID } from "../core/types"
import type { Address, Bytes, DeviceId, PrekeyId } from "../core/types"
import { bytes, encodeJson, integer, list, object, orNull, text } from "./json"
import type { Parse } from "./json"

export const MIN_BLOB = 29 // nonce 12, one byte, tag 16
export const MAX_BLOB = 8192
export const MAX_DEVICES = 8
export const MAX_ONE_TIME_PREKEYS = 200
export const MAX_PREKEYS_IN_CALL = 2 * MAX_ONE_TIME_PREKEYS + 3
export const FETCH_ID_SIZE = 16
export const EPOCH_SIZE = 8
export const SEED_SIZE = 32
export const DROP_ID_SIZE = 16
export const DROP_KEY_SIZE = 16
export const MAX_DROP_PART = 4 * 1024 * 1024
export const UPLOAD_HEADER = "Halonyx-Upload"
export const MAX_HELD = 200
export const MAX_SENTENCES = 20
export const MAX_SENTENCE = 400 // UTF-16 units

export const USE_SIGNED = 1
export const USE_ENVELOPE = 2
export const USE_LAST_RESORT = 3
export const USE_ONE_TIME = 4
export const USE_ONE_TIME_KEM = 5

/** Our text for each code of spec/delivery.md, "REST errors": the relay's would be shown to a person. */
export const ERRORS: ReadonlyMap<string, string> = new Map([
  ["malformed", "the request is not what this call takes"],
  ["bad-key", "a public key is non-canonical or of small order"],
  ["not-authenticated", "the signature does not verify"],
  ["bad-access-key", "the key does not open this mailbox"],
  ["bad-work", "sign-up needs a fresh solved challenge"],
  ["bad-invite", "sign-up needs an invite that was not used and has not expired"],
  ["sign-up-closed", "this relay takes no new accounts"],
  ["contact-required", "sign-up needs a name and an e-mail address, for the operator"],
  ["no-invites", "members of this relay make no invites"],
  ["invites-used", "the account has made all the invites it may this week"],
  ["wrong-origin", "this origin may not make signed calls"],
  ["too-slow", "the body did not arrive in time"],
  ["not-found", "there is nothing here"],
  ["method-not-allowed", "this call takes another method"],
  ["address-taken", "another management key holds this address"],
  ["storage-conflict", "the record was changed meanwhile"],
  ["device-id-used", "a device id was used before"],
  ["prekeys-full", "the device has all the one-time prekeys it may store"],
  ["no-turn", "this relay has no TURN server"],
  ["no-drop", "this relay keeps no files"],
  ["drop-unknown", "there is no such file, it is not complete, or the key is not its own"],
  ["drop-conflict", "another file has this id, or the part does not follow what is there"],
  ["drop-full", "there is no room for this file"],
  ["bad-range", "the file is shorter than that"],
  ["too-large", "the body is larger than this call takes"],
  ["unsupported-content", "the body is not of the type this call takes, or is encoded"],
  ["wrong-host", "the Host header names another relay"],
  ["too-many-requests", "too many requests; wait as Retry-After says"],
  ["internal", "the relay failed"],
  ["busy", "the relay is busy; try again"],
])

const BUNDLE_FIELDS = [
  "signed_prekey",
  "envelope_prekey",
  "last_resort_prekey",
  "one_time_prekey",
  "one_time_kem_prekey",
]
const INFO_FIELDS = [
  "relay_key",
  "operator_key",
  "origins",
  "signup",
  "version",
  "time",
  "contact_required",
  "limits",
  "files",
]
const SIGN_UP_MODES = ["open", "pow", "token", "closed"] as const
const LIMIT_FIELDS = [
  "max_envelope_bytes",
  "mailbox_messages",
  "mailbox_bytes",
  "request_inbox",
  "retention_days",
  "one_time_prekeys",
]

/** POST /v1/signup/challenge. */
export interface WorkRequest {
  readonly address: Address
}

/** A solved challenge; the nonce is hashed as a u64, and below 2^53 so that JSON keeps it. */
export interface Work {
  readonly seed: Bytes
  readonly nonce: number
}

/** A sealed prekey with its clear header; see spec/identity.md, "Sealed objects". */
export interface Prekey {
  /** USE_SIGNED to USE_ONE_TIME_KEM. */
  readonly use: number
  readonly id: PrekeyId
  /** 29 to 8,192 bytes. */
  readonly blob: Bytes
}

/** A device with its login key and sealed prekeys (empty for a device that is kept). */
export interface NewDevice {
  readonly id: DeviceId
  readonly loginKey: Bytes
  readonly prekeys: readonly Prekey[]
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

/** An e-mail address that relays take: ASCII, at most 254 characters. */
export const EMAIL =
  /^(?=.{5,254}$)[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?[.])+[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/

/** Who a person says they are, for the operator. */
export interface ContactDetails {
  /** 1 to 64 code points. */
  readonly name: string
  /** ASCII, at most 254 characters. */
  readonly email: string
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

/** POST /v1/account/status and /v1/account/delete, signed by the management key. */
export interface AccountRequest {
  readonly address: Address
}

/** PUT /v1/prekeys, signed by the device's login key. One-time prekeys below `oneTimeFrom` are dropped. */
export interface PublishRequest {
  readonly address: Address
  readonly device: DeviceId
  readonly prekeys: readonly Prekey[]
  readonly oneTimeFrom: PrekeyId
}

/** PUT /v1/access-key, signed by a login key: whoever holds the former key is shut out at once. */
export interface AccessKeyRequest {
  readonly address: Address
  readonly accessHash: Bytes
}

/** POST /v1/lookup, anonymous; `key` is an access key or the request key. */
export interface LookupRequest {
  readonly address: Address
  readonly key: Bytes
}

/** POST /v1/bundle, anonymous; the same `fetchId` within ten minutes gets the same bundle. */
export interface BundleRequest {
  readonly address: Address
  readonly key: Bytes
  readonly device: DeviceId
  readonly fetchId: Bytes
}

/** An invite: one person may sign up with it until it expires. */
export interface InviteAnswer {
  /** 32 characters of lowercase hex. */
  readonly invite: string
  readonly expires: number
}

/** POST /v1/turn and /v1/invite, signed by the device's login key. */
export interface TurnRequest {
  readonly address: Address
  readonly device: DeviceId
}

/** POST /v1/drop, signed by the device's login key; the same call again tells how far the upload is. */
export interface DropRequest {
  readonly address: Address
  readonly device: DeviceId
  /** 16 bytes; in the URL of its parts in hex. */
  readonly drop: Bytes
  /** Of the ciphertext, in bytes. */
  readonly size: number
  /** SHA-256 of the key by which either side may delete the file. */
  readonly deleteHash: Bytes
}

/** POST /v1/drop/delete, anonymous; the key is the proof. */
export interface DropDeleteRequest {
  readonly drop: Bytes
  readonly key: Bytes
}

export type Body =
  | WorkRequest
  | SignUpRequest
  | ReplaceAccountRequest
  | AccountRequest
  | PublishRequest
  | AccessKeyRequest
  | LookupRequest
  | BundleRequest
  | TurnRequest
  | DropRequest
  | DropDeleteRequest

/** Bounds a client should know. */
export interface RelayLimits {
  readonly maxEnvelopeBytes: number
  readonly mailboxMessages: number
  readonly mailboxBytes: number
  readonly requestInbox: number
  readonly retentionDays: number
  readonly oneTimePrekeys: number
}

/** What the relay does for files; `drop` is the bytes it keeps for each mailbox, 0 if it keeps none. */
export interface RelayFiles {
  readonly tracker: boolean
  readonly turn: boolean
  readonly drop: number
}

/** Answer of GET /v1/relay; the keys are pinned at sign-up. */
export interface RelayInfo {
  readonly relayKey: Bytes
  readonly operatorKey: Bytes
  readonly origins: readonly string[]
  readonly signup: SignUpMode
  readonly version: string
  /** Milliseconds since 1970, UTC. */
  readonly time: number
  /** Sign-up needs a name and an e-mail address. */
  readonly contactRequired: boolean
  readonly limits: RelayLimits
  readonly files: RelayFiles
}

/** Something the relay holds: a file, a `table.column` in it (empty if it is no database), and what that is. */
export interface Held {
  readonly file: string
  readonly name: string
  readonly text: string
}

/** Answer of GET /v1/relay/knows: what the relay holds about an account, and what it could tell a court. */
export interface RelayKnows {
  readonly held: readonly Held[]
  readonly canTell: readonly string[]
  readonly cannotTell: readonly string[]
}
export type SignUpMode = (typeof SIGN_UP_MODES)[number]

/** What sign-up must prove. In all modes but `pow` there is no seed and bits is 0. */
export interface WorkChallenge {
  readonly mode: SignUpMode
  readonly seed: Bytes | null
  /** 0 to 64. */
  readonly bits: number
  /** Milliseconds since 1970, UTC, by the relay's clock. */
  readonly expires: number
}

/** The mailbox of the new device. */
export interface SignUpResponse {
  readonly epoch: Bytes
}

/** The epochs of the devices' mailboxes, in the order of the request. */
export interface ReplaceAccountResponse {
  readonly epochs: readonly Bytes[]
}

/** What the relay holds; after deletion nothing. Device ids up to `highestDevice` are used up. */
export interface AccountStatus {
  readonly exists: boolean
  readonly recordHash: string | null
  readonly devices: readonly DeviceId[]
  /** 0 to 255. */
  readonly highestDevice: number
}

/** One-time prekeys that are left. */
export interface PrekeyCounts {
  readonly oneTime: number
  readonly oneTimeKem: number
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

/** One of each prekey; the one-time ones are gone from the relay when this is read. */
export interface Bundle {
  readonly signedPrekey: StoredPrekey
  readonly envelopePrekey: StoredPrekey
  readonly lastResortPrekey: StoredPrekey
  readonly oneTimePrekey: StoredPrekey | null
  readonly oneTimeKemPrekey: StoredPrekey | null
}

/** What an RTCIceServer takes, good until `expires`. */
export interface TurnCredentials {
  readonly urls: readonly string[]
  readonly username: string
  readonly credential: string
  /** Milliseconds since 1970, UTC, by the relay's clock. */
  readonly expires: number
}

/** Where an upload goes on, and the token (UPLOAD_HEADER) that its parts are authorised by. */
export interface DropOpened {
  readonly offset: number
  readonly upload: string
}

/** Return the JSON encoding of a request in UTF-8 (Misuse: a number that JSON does not keep exactly). */
export function toJson(body: Body): Bytes {
  return encodeJson(body)
}

/** Parse the code of an answer that is not 2xx (Malformed: another body, or a code this program does not know). */
export const parseError: Parse<string> = (value) => {
  const { code, message } = object(object(value, ["error"])["error"], ["code", "message"])
  text(message) // the relay's words are for a person with a debugger
  if (typeof code !== "string" || !ERRORS.has(code)) throw new Malformed("an unknown error code")
  return code
}

/** Parse the answer of a call that has nothing to say: `{}`. */
export const parseDone: Parse<null> = (value) => {
  object(value, [])
  return null
}

export const parseRelayInfo: Parse<RelayInfo> = (value) => {
  const body = object(value, INFO_FIELDS)
  return {
    relayKey: bytes(body["relay_key"], KEY_SIZE),
    operatorKey: bytes(body["operator_key"], KEY_SIZE),
    origins: list(body["origins"], text),
    signup: signUpMode(body["signup"]),
    version: text(body["version"]),
    time: integer(body["time"], 0),
    contactRequired: truth(body["contact_required"]),
    limits: relayLimits(body["limits"]),
    files: relayFiles(body["files"]),
  }
}

export const parseRelayKnows: Parse<RelayKnows> = (value) => {
  const body = object(value, ["held", "can_tell", "cannot_tell"])
  return {
    held: list(body["held"], held, MAX_HELD),
    canTell: list(body["can_tell"], sentence, MAX_SENTENCES),
    cannotTell: list(body["cannot_tell"], sentence, MAX_SENTENCES),
  }
}

const held: Parse<Held> = (value) => {
  const { file, name, text: words } = object(value, ["file", "name", "text"])
  return { file: text(file, 40), name: text(name, 80), text: sentence(words) }
}

const sentence: Parse<string> = (value) => text(value, MAX_SENTENCE)

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

export const parseInviteAnswer: Parse<InviteAnswer> = (value) => {
  const body = object(value, ["invite", "expires"])
  const invite = text(body["invite"])
  if (!/^[0-9a-f]{32}$/.test(invite)) throw new Malformed("no invite")
  return { invite, expires: integer(body["expires"], 0) }
}

export const parseTurnCredentials: Parse<TurnCredentials> = (value) => {
  const body = object(value, ["urls", "username", "credential", "expires"])
  return {
    urls: list(body["urls"], text),
    username: text(body["username"]),
    credential: text(body["credential"]),
    expires: integer(body["expires"], 0),
  }
}

export const parseDropOpened: Parse<DropOpened> = (value) => {
  const body = object(value, ["offset", "upload"])
  return { offset: integer(body["offset"], 0), upload: uploadToken(body["upload"]) }
}

/** Parse the answer to one part: how much of the file is on the relay's disk. */
export const parseDropProgress: Parse<number> = (value) => integer(object(value, ["offset"])["offset"], 0)

const relayFiles: Parse<RelayFiles> = (value) => {
  const body = object(value, ["tracker", "turn", "drop"])
  return { tracker: truth(body["tracker"]), turn: truth(body["turn"]), drop: integer(body["drop"], 0) }
}

const relayLimits: Parse<RelayLimits> = (value) => {
  const body = object(value, LIMIT_FIELDS)
  return {
    maxEnvelopeBytes: integer(body["max_envelope_bytes"]),
    mailboxMessages: integer(body["mailbox_messages"]),
    mailboxBytes: integer(body["mailbox_bytes"]),
    requestInbox: integer(body["request_inbox"]),
    retentionDays: integer(body["retention_days"]),
    oneTimePrekeys: integer(body["one_time_prekeys"]),
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

function deviceNumber(value: unknown): DeviceId {
  return integer(value, 1, MAX_DEVICE_ID) as DeviceId
}

function signUpMode(value: unknown): SignUpMode {
  const mode = SIGN_UP_MODES.find((known) => known === value)
  if (mode === undefined) throw new Malformed("an unknown way to sign up")
  return mode
}

function truth(value: unknown): boolean {
  if (typeof value !== "boolean") throw new Malformed("no truth value")
  return value
}

function uploadToken(value: unknown): string {
  const token = text(value)
  if (!/^[0-9a-f]{32}$/.test(token)) throw new Malformed("no upload token")
  return token
}

function hashHex(value: unknown): string {
  const hash = text(value)
  if (!/^[0-9a-f]{64}$/.test(hash)) throw new Malformed("no hash in hex")
  return hash
}

function blob(value: unknown): Bytes {
  return bytes(value, MIN_BLOB, MAX_BLOB)
}
