/**
 * The drop of a relay: it keeps a ciphertext for two people who are never online together.
 *
 * Source: spec/file-relay.md, "Drop".
 */

import { toHex } from "../core/encoding"
import { HalonyxError, TransportError } from "../core/errors"
import { dropDeletionKey, dropId } from "../core/kdf"
import { sha256 } from "../core/primitives"
import { MINUTE } from "../core/types"
import type { Bytes } from "../core/types"
import { parseDone } from "../wire/rest"
import { UPLOAD_HEADER, parseDropOpened, parseDropProgress } from "../wire/rest_files"
import type { Account } from "./account"
import type { Folders } from "./folders"
import { reach } from "./reach"
import { Refused, Relay, answered, bounded, refusal } from "./transport"
import type { StoredTransfer } from "./transfer_row"

const PART_SIZE = 1_048_576 // a relay takes 4 MiB, and `halonyx web` passes on as much
const PART_MILLIS = 2 * MINUTE
const OK = 200
const PARTIAL = 206

/**
 * Put the ciphertext of an offer of ours into the drop of our relay, going on where an earlier try stopped.
 *
 * @param tell Called with how much is there.
 * @throws Refused: no-drop, drop-full. TransportError: not now. HalonyxError `gone`. What `signal` was aborted
 * with.
 */
export async function upload(
  folders: Folders,
  row: StoredTransfer,
  account: Account,
  tell: (done: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const file = await folders.file(row.id)
  const drop = dropId(row.key)
  const opening = {
    address: account.address,
    device: account.own.device.id,
    drop,
    size: file.size,
    deleteHash: sha256(dropDeletionKey(row.key)),
  }
  const opened = await new Relay(row.origin).call("POST", "/v1/drop", opening, parseDropOpened, account.signer)
  for (let at = opened.offset; at < file.size; ) {
    tell(at)
    const headers = { [UPLOAD_HEADER]: opened.upload, "Content-Type": "application/octet-stream" }
    const path = `/v1/drop/${toHex(drop)}?offset=${at}`
    const body = await file.slice(at, at + PART_SIZE).arrayBuffer()
    const answer = await request(row.origin, path, { method: "PUT", headers, body, signal })
    const next = answered(answer, parseDropProgress, row.origin)
    if (next <= at || next > file.size) throw new TransportError("the drop does not count as it should")
    at = next
  }
  tell(file.size)
}

/**
 * Fetch a ciphertext from the drop of its sender's relay, from `from` on; it is verified as any other.
 *
 * @param take Called with each part of it and where that lies.
 * @throws Refused: drop-unknown. TransportError: not now. What `take` throws, or `signal` was aborted with.
 */
export async function download(
  row: StoredTransfer,
  from: number,
  take: (part: Bytes, at: number) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const path = `/v1/drop/${toHex(dropId(row.key))}`
  for (let at = from; at < row.ciphertextSize; ) {
    const end = Math.min(at + PART_SIZE, row.ciphertextSize)
    const part = await request(row.origin, path, { headers: { Range: `bytes=${at}-${end - 1}` }, signal }, PARTIAL)
    if (part.length !== end - at) throw new TransportError("the drop answers with another part")
    await take(part, at)
    at = end
  }
}

/** Delete what the drop holds; that it is gone already is as good. */
export async function deleteDrop(row: StoredTransfer): Promise<void> {
  const body = { drop: dropId(row.key), key: dropDeletionKey(row.key) }
  try {
    await new Relay(row.origin).call("POST", "/v1/drop/delete", body, parseDone)
  } catch (error) {
    if (!(error instanceof HalonyxError)) throw error // else it is deleted after fourteen days
  }
}

async function request(origin: string, path: string, options: RequestInit, wanted = OK): Promise<Bytes> {
  const base = reach(origin)
  if (base === null) throw new Refused("relay-not-allowed", `this page may not reach the relay ${origin}`)
  const { signal } = options
  let response: Response
  let answer: Bytes
  try {
    response = await fetch(base + path, {
      ...options,
      redirect: "error",
      credentials: "omit",
      cache: "no-store",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.any([AbortSignal.timeout(PART_MILLIS), ...(signal ? [signal] : [])]),
    })
    answer = await bounded(response, PART_SIZE)
  } catch {
    signal?.throwIfAborted()
    throw new TransportError(`can't reach the relay ${origin}`)
  }
  if (response.status === wanted) return answer
  throw refusal(answer, response.status)
}
