/**
 * One offer of files as stored, and what the page sees of it.
 *
 * Source: spec/files.md, "Transfers".
 */

import type { Bytes, FileKey, Millis } from "../core/types"
import type { Transfer, TransferPath } from "./api"
import type { ContactRow } from "./people"
import type { Flag } from "./table"

/** How far a transfer is; "running" is accepted by both, whether or not anyone is connected. */
export type Stage =
  | "preparing"
  | "offered"
  | "running"
  | "paused"
  | "verifying"
  | "done"
  | "refused"
  | "cancelled"
  | "failed"

/** Nothing more comes of these by itself. */
export const ENDED: ReadonlySet<Stage> = new Set<Stage>(["done", "refused", "cancelled", "failed"])

/** Why an offer of ours failed that nobody confirmed in fourteen days; of it nothing is kept. */
export const EXPIRED = "expired"

const PEER_OFFLINE = "peer-offline"
const UNCONFIRMED = "unconfirmed"

export interface StoredTransfer {
  /** Message id of the offer, hex. */
  readonly id: string
  readonly contact: number
  readonly isOutgoing: Flag
  readonly stage: Stage
  /** Code of why it waits or failed. */
  readonly reason: string | null
  readonly name: string
  readonly mediaType: string
  readonly isFolder: boolean
  readonly count: number
  readonly size: number
  readonly thumbnail: Bytes | null
  /** The file key; of it the token of the tracker and the ids of the drop are derived. */
  readonly key: FileKey
  readonly ciphertextSize: number
  /** SHA-256 of the ciphertext; empty while preparing. */
  readonly hash: Bytes
  readonly infoHash: Bytes
  /** Of a torrent that is ours: its info dictionary. */
  readonly info: Bytes | null
  /** The relay with tracker and drop. */
  readonly origin: string
  /** Bytes of the ciphertext that are with the receiver, when it was last noted. */
  readonly done: number
  readonly uploaded: number
  /** Ours: the person agreed that the drop may hold it. */
  readonly wantsDrop: boolean
  readonly inDrop: boolean
  /** Theirs: bytes from its beginning on that came from the drop and are on the disk; older rows have none. */
  readonly fetched?: number
  /** They were told that we have no relayed way. */
  readonly isDirectAsked: boolean
  readonly made: Millis
  /** How often it has changed; older rows have none. */
  readonly version?: number
  /** When they were last told that we accepted; of ours, when it was in the drop. */
  readonly told: Millis
  /** Ours: when they last heard that it is still offered, or we from them; older rows have none. */
  readonly asked?: Millis
  /** When the person who receives it last wanted it; older rows have none. */
  readonly wanted?: Millis
  /** Theirs: all of it was verified here, whatever became of it since; older rows have none. */
  readonly hasArrived?: true
}

/** What is known of a transfer only while it runs. */
export interface Live {
  readonly done: number
  readonly down: number
  readonly up: number
  readonly uploaded: number
  readonly peers: number
  readonly path: TransferPath | null
  /** Code of why it waits, or null. */
  readonly reason: string | null
}

/** What our own relay offers for files. */
export interface Services {
  readonly hasDrop: boolean
  /** Null until it was asked. */
  readonly hasTurn: boolean | null
}

/** Return how often a transfer has changed: what is told of it may arrive after what was told later. */
export function versionOf({ version = 0 }: StoredTransfer): number {
  return version
}

/** Whether the ciphertext is still of use. */
export function isKept({ isOutgoing, stage, hash, reason }: StoredTransfer): boolean {
  if (stage === "done") return isOutgoing === 0 // pictures are shown again, files saved again
  if (stage === "failed") return hash.length > 0 && reason !== EXPIRED // else it never was whole
  return stage !== "refused" && stage !== "cancelled"
}

/** Return what the page sees of a row, while nobody runs it. */
export function transferOf(row: StoredTransfer, contact: ContactRow): Transfer {
  const unknown = isGiven(row.isOutgoing === 1, row.done, row.ciphertextSize) ? UNCONFIRMED : PEER_OFFLINE
  return {
    id: row.id,
    version: versionOf(row),
    contact: row.contact,
    outgoing: row.isOutgoing === 1,
    name: row.name,
    mediaType: row.mediaType,
    isFolder: row.isFolder,
    count: row.count,
    size: row.size,
    thumbnail: row.thumbnail,
    state: row.stage === "running" ? "waiting" : row.stage,
    reason: row.reason ?? (row.stage === "running" ? unknown : null),
    done: row.stage === "done" ? row.ciphertextSize : row.done,
    total: row.ciphertextSize,
    down: 0,
    up: 0,
    peers: 0,
    ratio: ratioOf(row.uploaded, row.ciphertextSize),
    secondsLeft: null,
    path: null,
    inDrop: row.inDrop,
    directAllowed: contact.mayGoDirect,
    hasDrop: false,
    hasTurn: null,
  }
}

/** Add what is known of a transfer only while it runs. */
export function dressed(transfer: Transfer, live: Live | null, services: Services): Transfer {
  const { state, total, outgoing } = transfer
  if (live === null || !["preparing", "waiting", "transferring", "verifying"].includes(state)) {
    return { ...transfer, ...services }
  }
  const { down, up, peers, path } = live
  const done = outgoing ? Math.max(live.done, transfer.done) : live.done // they still have what they had
  const isMoving = peers > 0 && (state === "waiting" || state === "transferring")
  const speed = outgoing ? up : down
  const isQuiet = transfer.reason === PEER_OFFLINE && path !== "drop" && isGiven(outgoing, done, total)
  const why = live.reason ?? (isQuiet ? UNCONFIRMED : transfer.reason)
  return {
    ...transfer,
    ...services,
    ...{ done, down, up, peers, path },
    state: isMoving ? "transferring" : state,
    reason: isMoving || state !== "waiting" ? null : why,
    ratio: Math.max(transfer.ratio, ratioOf(live.uploaded, total)),
    secondsLeft: isMoving && speed > 0 ? Math.ceil((total - done) / speed) : null,
  }
}

/** Whether all of what we offer is with them, who have not said so. */
function isGiven(isOutgoing: boolean, done: number, total: number): boolean {
  return isOutgoing && done >= total
}

function ratioOf(uploaded: number, size: number): number {
  return size === 0 ? 0 : uploaded / size
}
