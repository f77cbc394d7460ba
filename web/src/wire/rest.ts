/**
 * What every REST call has: requests are encoded, answers are parsed strictly, and one table of errors.
 *
 * The bodies stand in the files of their topics: rest_account, rest_directory, rest_files, rest_relay. A field is named
 * in JSON as in Python: `oneTimeFrom` is `one_time_from`. An answer with an unknown or missing field, another type or
 * another size is Malformed. Addresses and keys stand in bodies only, never in URLs.
 *
 * Source: spec/delivery.md, "REST".
 */

import { Malformed } from "../core/errors"
import type { Bytes } from "../core/types"
import { encodeJson, object, text } from "./json"
import type { Parse } from "./json"
import type {
  AccessKeyRequest,
  AccountRequest,
  ReplaceAccountRequest,
  SignUpRequest,
  WorkRequest,
} from "./rest_account"
import type { BundleRequest, LookupRequest, PublishRequest } from "./rest_directory"
import type { DropDeleteRequest, DropRequest, TurnRequest } from "./rest_files"

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
