/** REST bodies about a relay: who it is, what it takes, and what it knows. Source: spec/delivery.md, "REST". */

import { Malformed } from "../core/errors"
import { KEY_SIZE } from "../core/types"
import type { Bytes } from "../core/types"
import { bytes, integer, list, object, text, truth } from "./json"
import type { Parse } from "./json"

export const MAX_HELD = 200
export const MAX_SENTENCES = 20
export const MAX_SENTENCE = 400 // UTF-16 units

const SIGN_UP_MODES = ["open", "pow", "token", "closed"] as const

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

const LIMIT_FIELDS = [
  "max_envelope_bytes",
  "mailbox_messages",
  "mailbox_bytes",
  "request_inbox",
  "retention_days",
  "one_time_prekeys",
]

export type SignUpMode = (typeof SIGN_UP_MODES)[number]

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

/** Take one of the ways to sign up. */
export function signUpMode(value: unknown): SignUpMode {
  const mode = SIGN_UP_MODES.find((known) => known === value)
  if (mode === undefined) throw new Malformed("an unknown way to sign up")
  return mode
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

const relayFiles: Parse<RelayFiles> = (value) => {
  const body = object(value, ["tracker", "turn", "drop"])
  return { tracker: truth(body["tracker"]), turn: truth(body["turn"]), drop: integer(body["drop"], 0) }
}

const held: Parse<Held> = (value) => {
  const { file, name, text: words } = object(value, ["file", "name", "text"])
  return { file: text(file, 40), name: text(name, 80), text: sentence(words) }
}

const sentence: Parse<string> = (value) => text(value, MAX_SENTENCE)
