/**
 * What becomes of an offer: its states, and what both sides tell each other of them, each in one transaction.
 *
 * Source: spec/files.md, "State".
 */

import { Kind } from "../core/content"
import { FileOffer, FileState, Reason, State } from "../core/file_offer"
import { fromHex, toHex } from "../core/encoding"
import { Misuse } from "../core/errors"
import { DAY } from "../core/types"
import type { Bytes, MessageId, Millis } from "../core/types"
import { nowMs } from "./account"
import { add, moveMessage } from "./outbox"
import { contactById } from "./people"
import { MAX_THUMBNAIL_PIXELS, hasAtMost } from "./picture_size"
import { sealAtOnce } from "./sealing"
import * as table from "./schema"
import { prefix, type Store, type Transaction } from "./store"
import { ENDED, EXPIRED, transferOf, versionOf, type Live, type StoredTransfer } from "./transfer_row"

const DROP_KEEPS = 14 * DAY
/** They have no relayed way: it waits for their agreement to a direct one. */
const NO_TURN = "no-turn"

/** Why a receiver gave up, by the code that a person sees. */
const REASONS: Readonly<Record<string, Reason>> = {
  "wrong-hash": Reason.WRONG_HASH,
  "disk-full": Reason.DISK_FULL,
  damaged: Reason.DAMAGED,
  "wrong-metadata": Reason.DAMAGED,
}

/** An offer that came, and whose it is. */
export interface OfferReceived {
  readonly contact: number
  readonly messageId: MessageId
  readonly body: Bytes
  readonly received: Millis
}

/**
 * Store an offer of theirs.
 *
 * @returns False if another transfer has its id, which nobody draws twice by chance. Nothing is thrown then: an offer may
 * have been held until now, and what released it is not to blame.
 */
export async function takeOffer(tx: Transaction, { contact, messageId, body, received }: OfferReceived): Promise<boolean> {
  const offer = FileOffer.parse(body)
  const id = toHex(messageId)
  const isSmall = hasAtMost(MAX_THUMBNAIL_PIXELS, offer.thumbnail)
  if ((await tx.get(table.transfers, id)) !== undefined) return false
  tx.put(table.transfers, {
    id,
    contact,
    isOutgoing: 0,
    stage: "offered",
    reason: null,
    name: offer.name,
    mediaType: offer.mediaType,
    isFolder: offer.isFolder,
    count: offer.count,
    size: offer.size,
    thumbnail: isSmall ? offer.thumbnail : null,
    key: offer.key,
    ciphertextSize: offer.ciphertextSize,
    hash: offer.ciphertextHash,
    infoHash: offer.infoHash,
    info: null,
    origin: offer.origin,
    done: 0,
    uploaded: 0,
    wantsDrop: false,
    inDrop: offer.inDrop,
    isDirectAsked: false,
    made: received,
    told: 0 as Millis,
  })
  return true
}

/** Take in what they say became of an offer, theirs or ours; what fits no transfer of ours with them changes nothing. */
export async function takeState(tx: Transaction, contact: number, state: FileState): Promise<void> {
  const row = await tx.get(table.transfers, toHex(state.offer))
  if (row?.contact !== contact) return
  if (row.isOutgoing === 1) await takeStateOfOurs(tx, row, state)
  else if (state.state === State.STILL_OFFERED) await answer(tx, row)
  else if (state.state === State.CANCELLED && !isOver(row)) await change(tx, row, { stage: "cancelled", reason: null })
  else if (state.state === State.IN_DROP) await change(tx, row, { inDrop: true, ...withoutTheirs(row) })
  else if (state.state === State.NEEDS_DIRECT && !ENDED.has(row.stage)) await change(tx, row, { reason: NO_TURN })
}

/** Say again how it ended here, or what it waits for: they ask because nothing comes of it. */
async function answer(tx: Transaction, row: StoredTransfer): Promise<void> {
  const { stage } = row
  if (stage === "failed") await tellOnce(tx, row, State.FAILED, row.reason)
  else if (stage === "done" || row.hasArrived === true) await tellOnce(tx, row, State.DONE)
  else if (ENDED.has(stage)) await tellOnce(tx, row, State.REFUSED)
  else {
    if (row.reason === NO_TURN) await change(tx, row, withoutTheirs(row))
    if (row.isDirectAsked) await tellOnce(tx, row, State.NEEDS_DIRECT)
  }
}

/** Who says that it goes on needs nothing of us any more, or says so next. */
function withoutTheirs({ reason }: StoredTransfer): { readonly reason: string | null } {
  return { reason: reason === NO_TURN ? null : reason }
}

/** Whether nothing they say changes it; what failed may still be tried again. */
function isOver({ stage, reason }: StoredTransfer): boolean {
  return ENDED.has(stage) && (stage !== "failed" || reason === EXPIRED)
}

async function takeStateOfOurs(tx: Transaction, row: StoredTransfer, { state, reason }: FileState): Promise<void> {
  const isOpen = row.stage === "offered" || row.stage === "running" || row.stage === "paused"
  if (state === State.ACCEPTED) {
    // They did not hear of the end, or want again what is deleted here: they would wait for ever.
    if (isOver(row)) await tell(tx, row, State.CANCELLED)
    else await takeAcceptance(tx, row)
  } else if (!isOpen) {
    return
  } else if (state === State.REFUSED) {
    await change(tx, row, { stage: "refused", reason: null })
  } else if (state === State.DONE) {
    await change(tx, row, { stage: "done", reason: null, done: row.ciphertextSize, inDrop: false })
  } else if (state === State.NEEDS_DIRECT) {
    await change(tx, row, { reason: NO_TURN })
  } else if (state === State.FAILED) {
    await change(tx, row, { stage: "failed", reason: codeOf(reason) })
  }
}

async function takeAcceptance(tx: Transaction, row: StoredTransfer): Promise<void> {
  const isFirst = row.stage === "offered"
  // They may not have heard: a state that overtakes its offer, which waits for its turn, changes nothing there. Who asks
  // again may have looked in vain: the upload asks the drop, unless it is paused, and begins anew if the drop lost it.
  const inDrop = row.inDrop && (isFirst || row.stage === "paused") && nowMs() < row.told + DROP_KEEPS
  // Whoever failed may have nothing of it any more.
  const begun = { stage: "running", reason: null, done: 0, asked: nowMs(), wanted: nowMs() } as const
  await change(tx, row, { inDrop, ...(isFirst || row.stage === "failed" ? begun : withoutTheirs(row)) })
  if (inDrop) await tell(tx, row, State.IN_DROP)
}

function codeOf(reason: Reason): string {
  return Object.entries(REASONS).find(([, known]) => known === reason)?.[0] ?? "damaged"
}

/** Change a transfer, and tell every tab. */
export async function change(tx: Transaction, row: StoredTransfer, changes: Partial<StoredTransfer>): Promise<void> {
  const changed = { ...row, ...changes, version: versionOf(row) + 1 }
  tx.put(table.transfers, changed)
  const contact = await contactById(tx, row.contact)
  // Nothing of a stranger is shown.
  if (contact.state === "accepted") tx.changed({ kind: "transfer", transfer: transferOf(changed, contact) })
}

export type Work = (tx: Transaction, row: StoredTransfer) => Promise<void>

/**
 * Change one transfer, and return what it is then.
 *
 * @throws Misuse: there is none of this id.
 */
export function changeOne(store: Store, id: string, work: Work): Promise<StoredTransfer> {
  return store.transaction(async (tx) => {
    const row = await tx.get(table.transfers, id)
    if (row === undefined) throw new Misuse("no such transfer")
    await work(tx, row)
    return (await tx.get(table.transfers, id)) ?? row
  })
}

/** Note of what runs that two met, so that what kept them apart is over, and that they have all of ours. */
export async function noteReached(store: Store, id: string, live: Pick<Live, "peers" | "done">): Promise<void> {
  const news = ({ stage, reason, isOutgoing, done, ciphertextSize }: StoredTransfer): Partial<StoredTransfer> => {
    const isGiven = isOutgoing === 1 && done < ciphertextSize && live.done >= ciphertextSize
    const changes = { ...(live.peers > 0 && reason !== null && { reason: null }), ...(isGiven && { done: live.done }) }
    return stage === "running" ? changes : {}
  }
  const found = await store.get(table.transfers, id)
  if (found === undefined || Object.keys(news(found)).length === 0) return
  await changeOne(store, id, (tx, row) => change(tx, row, news(row)))
}

/** Say what became of an offer. */
export async function tell(tx: Transaction, row: StoredTransfer, state: State, code: string | null = null): Promise<void> {
  await sealAtOnce(tx, row.contact, add(tx, row.contact, null, Kind.FILE_STATE, stateOf(row, state, code)))
}

/** As `tell`, unless it still waits to be sent. */
export async function tellOnce(tx: Transaction, row: StoredTransfer, state: State, code: string | null = null): Promise<void> {
  const body = toHex(stateOf(row, state, code))
  const waiting = await tx.all(table.outbox, "contact", prefix(row.contact))
  if (!waiting.some((queued) => toHex(queued.body) === body)) await tell(tx, row, state, code)
}

/** Return the body that says so. */
function stateOf(row: StoredTransfer, state: State, code: string | null = null): Bytes {
  const reason = state === State.FAILED ? (REASONS[code ?? ""] ?? Reason.DAMAGED) : Reason.NONE
  return FileState.encode({ offer: fromHex(row.id) as MessageId, state, reason })
}

/** Put the offer of what is prepared into the outbox. */
export async function sendOffer(tx: Transaction, row: StoredTransfer): Promise<void> {
  const body = FileOffer.encode({
    isFolder: row.isFolder,
    inDrop: row.inDrop,
    key: row.key,
    size: row.size,
    count: row.count,
    ciphertextSize: row.ciphertextSize,
    ciphertextHash: row.hash,
    infoHash: row.infoHash,
    origin: row.origin,
    name: row.name,
    mediaType: row.mediaType,
    thumbnail: row.thumbnail ?? new Uint8Array(),
  })
  await sealAtOnce(tx, row.contact, add(tx, row.contact, null, Kind.FILE, body, fromHex(row.id) as MessageId))
}

/** End what is prepared or offered by us, in vain. */
export async function failPreparing(tx: Transaction, row: StoredTransfer, reason: string): Promise<void> {
  await change(tx, row, { stage: "failed", reason })
  await moveMessage(tx, row.contact, row.id, "failed", (state) => state === "waiting")
}

/** End every transfer with a contact who is about to be blocked; they are not told. */
export async function endAll(tx: Transaction, contact: number): Promise<void> {
  for (const row of await tx.all(table.transfers, "contact", prefix(contact))) {
    if (!ENDED.has(row.stage)) await change(tx, row, { stage: "cancelled", reason: null })
  }
}

/** Forget every transfer with a contact; their folders go with the next sweep. */
export async function forgetAll(tx: Transaction, contact: number): Promise<void> {
  await tx.deleteAll(table.transfers, "contact", prefix(contact))
}

