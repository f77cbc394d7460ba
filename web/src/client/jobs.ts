/**
 * Which torrents should run now, and under which conditions: nobody learns our address who may not.
 *
 * Source: spec/files.md, "Direct and relayed".
 */

import { toHex } from "../core/encoding"
import { HalonyxError } from "../core/errors"
import { State } from "../core/file_offer"
import { trackerToken } from "../core/kdf"
import { reachesThisMachine } from "../core/origin"
import { DAY, HOUR } from "../core/types"
import type { Millis } from "../core/types"
import { loadAccount, nowMs } from "./account"
import type { IceServer, Job } from "./engine"
import { contactById, type ContactRow } from "./people"
import { reach } from "./reach"
import * as table from "./schema"
import type { Store } from "./store"
import { torrentFile } from "./torrent_info"
import { change, changeOne, tell, tellOnce } from "./transfer_states"
import type { StoredTransfer } from "./transfer_row"
import type { Turn } from "./turn"

const TOLD_FOR = 14 * DAY // then nothing of it waits for them any more

/** Called with why a transfer has to wait. */
type Wait = (id: string, reason: string) => void

/**
 * Return what should run.
 *
 * @param isMoving Whether anything of a transfer comes.
 * @param wait Called for each transfer that can't.
 */
export async function jobsOf(store: Store, turn: Turn, isMoving: (id: string) => boolean, wait: Wait): Promise<readonly Job[]> {
  const running = await store.all(table.transfers, "stage", "running")
  const jobs: Job[] = []
  for (const found of running) {
    const contact = await contactById(store, found.contact)
    if (contact.state !== "accepted" || (found.isOutgoing === 0 && found.inDrop)) continue
    // Before anything else: whoever offers it may have to allow what we wait for.
    const isTold = isToBeTold(found, nowMs()) && !isMoving(found.id)
    const row = isTold ? await tellAgain(store, found) : found
    try {
      jobs.push(await jobOf(store, turn, row, contact))
      if (row.isDirectAsked) await tellAgreed(store, row)
    } catch (error) {
      if (!(error instanceof HalonyxError)) throw error
      wait(row.id, error.code === "transport-error" ? "relay-unreachable" : error.code)
    }
  }
  return jobs
}

/**
 * Meet a contact only where they receive mail: an offer must not send us to a stranger, or to this machine.
 *
 * @throws HalonyxError: strange-relay.
 */
export async function checkMeetingPlace(store: Store, row: StoredTransfer, contact: ContactRow): Promise<void> {
  if (row.isOutgoing === 1) return
  const { origin: ours } = await loadAccount(store)
  const isKnown = row.origin === ours || contact.origins.includes(row.origin)
  if (!isKnown || (reachesThisMachine(row.origin) && !reachesThisMachine(ours))) {
    throw new HalonyxError("strange-relay", "the offer names a relay that is not its sender's")
  }
}

async function jobOf(store: Store, turn: Turn, row: StoredTransfer, contact: ContactRow): Promise<Job> {
  await checkMeetingPlace(store, row, contact)
  const base = reach(row.origin)
  if (base === null) throw new HalonyxError("relay-not-allowed", "this page may not reach the relay of the sender")
  const iceServers = await serversFor(turn, contact)
  if (!contact.mayGoDirect && iceServers.length === 0) {
    await askDirect(store, row)
    throw new HalonyxError("needs-direct", "our relay has no TURN, and a direct connection was not allowed")
  }
  return {
    id: row.id,
    infoHash: toHex(row.infoHash),
    torrent: row.info === null ? null : torrentFile(row.info),
    tracker: `${base.replace(/^http/, "ws")}/v1/tracker?token=${toHex(trackerToken(row.key))}`,
    size: row.ciphertextSize,
    policy: contact.mayGoDirect ? "all" : "relay",
    iceServers,
  }
}

/** A direct connection needs no TURN server, so that one who can't be asked is no reason to wait. */
async function serversFor(turn: Turn, contact: ContactRow): Promise<readonly IceServer[]> {
  try {
    return await turn.servers()
  } catch (error) {
    if (contact.mayGoDirect && error instanceof HalonyxError) return []
    throw error
  }
}

/** Tell them, once, that they wait for a decision here. */
async function askDirect(store: Store, { id, isDirectAsked }: StoredTransfer): Promise<void> {
  if (isDirectAsked) return
  await changeOne(store, id, async (tx, row) => {
    await change(tx, row, { isDirectAsked: true })
    await tell(tx, row, State.NEEDS_DIRECT)
  })
}

/** Tell them that it does not wait for our person any more. */
async function tellAgreed(store: Store, { id }: StoredTransfer): Promise<void> {
  await changeOne(store, id, async (tx, row) => {
    if (row.stage !== "running") return
    await change(tx, row, { isDirectAsked: false })
    await tell(tx, row, row.isOutgoing === 1 ? State.STILL_OFFERED : State.ACCEPTED)
  })
}

/** What says that it waits here has no receipt: it is said again, after an hour and then ever less often. */
export function isToBeTold(row: StoredTransfer, now: Millis): boolean {
  const { isOutgoing, made, wanted = made } = row
  const last = isOutgoing === 1 ? (row.asked ?? 0) : row.told
  const since = last - wanted
  return last === 0 || (since < TOLD_FOR && last + Math.min(Math.max(HOUR, since), DAY) < now)
}

/** Say again that we accepted, or still offer it; what else it waits for here is to be said after it. */
function tellAgain(store: Store, { id }: StoredTransfer): Promise<StoredTransfer> {
  return changeOne(store, id, async (tx, row) => {
    if (row.stage !== "running") return
    const isOurs = row.isOutgoing === 1
    await change(tx, row, { isDirectAsked: false, ...(isOurs ? { asked: nowMs() } : { told: nowMs() }) })
    await tellOnce(tx, row, isOurs ? State.STILL_OFFERED : State.ACCEPTED)
  })
}
