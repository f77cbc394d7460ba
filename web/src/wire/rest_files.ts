/**
 * REST bodies for files: TURN credentials, and the drop where ciphertext waits.
 *
 * Source: spec/delivery.md, "REST"; spec/file-relay.md.
 */

import { Malformed } from "../core/errors"
import type { Address, Bytes, DeviceId } from "../core/types"
import { integer, list, object, text } from "./json"
import type { Parse } from "./json"

export const UPLOAD_HEADER = "Halonyx-Upload"
const MAX_TURN_URLS = 16
/** As an operator may write one: anything else would make a browser ask a stranger, or refuse all of them. */
const TURN_URL = /^turns?:(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(\?transport=(udp|tcp))?$/

/** POST /v1/turn and /v1/invite, signed by the device's login key. */
export interface TurnRequest {
  readonly address: Address
  readonly device: DeviceId
}

/** What an RTCIceServer takes, good until `expires`. */
export interface TurnCredentials {
  readonly urls: readonly string[]
  readonly username: string
  readonly credential: string
  /** Milliseconds since 1970, UTC, by the relay's clock. */
  readonly expires: number
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

/** Where an upload goes on, and the token (UPLOAD_HEADER) that its parts are authorised by. */
export interface DropOpened {
  readonly offset: number
  readonly upload: string
}

/** POST /v1/drop/delete, anonymous; the key is the proof. */
export interface DropDeleteRequest {
  readonly drop: Bytes
  readonly key: Bytes
}

export const parseTurnCredentials: Parse<TurnCredentials> = (value) => {
  const body = object(value, ["urls", "username", "credential", "expires"])
  return {
    urls: list(body["urls"], turnUrl, MAX_TURN_URLS),
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

function turnUrl(value: unknown): string {
  const url = text(value)
  if (!TURN_URL.test(url)) throw new Malformed("no address of a TURN server")
  return url
}

function uploadToken(value: unknown): string {
  const token = text(value)
  if (!/^[0-9a-f]{32}$/.test(token)) throw new Malformed("no upload token")
  return token
}
