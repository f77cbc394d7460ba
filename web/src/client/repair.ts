/**
 * Asking again for what was lost: with a session that broke, or with a relay that was put back to an older copy.
 *
 * Source: spec/ratchet.md, "Repair"; spec/delivery.md, "Client".
 */

import { Kind, Resend } from "../core/content"
import type { Peer } from "../core/handshake"
import { HOUR } from "../core/types"
import type { DeviceId, Millis } from "../core/types"
import { loadAccount } from "./account"
import { addNotice } from "./events"
import * as outbox from "./outbox"
import { deviceRow, type ContactRow, type DeviceRow } from "./people"
import { publishAgain } from "./prekeys"
import * as table from "./schema"
import { sealFor } from "./sealing"
import { prefix, type Reads, type Transaction } from "./store"
import { Refused } from "./transport"

export const RESET_EVERY = HOUR // of one device pair
export const ASKED_AN_HOUR = 10 // for each cause

/** What anyone can forge has a budget of its own. */
type Cause = "proven" | "unproven" | "epoch"

/** Tell whether a device may be asked for a new session now. */
export async function mayReset(reads: Reads, row: DeviceRow, now: Millis): Promise<boolean> {
  const isAsked = row.resetSent <= now && now < row.resetSent + RESET_EVERY // after now: the clock was put back since
  return !isAsked && (await mayAsk(reads, causeOf(row), now))
}

/**
 * Seal a reset request as the first message of our new session.
 *
 * @throws Refused: there is no valid envelope prekey for it.
 */
export async function askReset(tx: Transaction, contact: ContactRow, peer: Peer, now: Millis): Promise<void> {
  const device = await deviceRow(tx, contact.id, peer.device.id)
  const { brokenSession } = device
  // It names what it replaces, so that both sides archive the same session.
  const resets = brokenSession !== null && brokenSession.length > 0 ? brokenSession : null
  const body = Resend.encode({ resets, counters: [] })
  const position = outbox.add(tx, contact.id, peer.device.id, Kind.RESEND, body)
  if (!(await sealFor(tx, await loadAccount(tx), contact, peer, position))) {
    throw new Refused("no-valid-prekey", "their device has to come online first, to renew its keys")
  }
  await tx.update(table.outbox, position, { isExpanded: 1 })
  await tx.update(table.devices, [contact.id, peer.device.id], { resetSent: now })
  await asked(tx, device, now)
  await mended(tx, device)
  await addNotice(tx, "refreshed", contact.id, now)
}

/**
 * Ask for what a broken session lost on the one they have just begun.
 *
 * A handshake of ours besides would leave each side sending on a session that the other has archived.
 */
export async function askOnNewSession(tx: Transaction, row: DeviceRow, now: Millis): Promise<void> {
  if (row.brokenSession === null) return
  if (await mayAsk(tx, causeOf(row), now)) {
    outbox.add(tx, row.contact, row.device, Kind.RESEND, Resend.encode({ resets: null, counters: [] }))
    await asked(tx, row, now)
  }
  await mended(tx, row)
}

/**
 * Make up for what our relay lost when it was put back to an older copy.
 *
 * It is told our prekeys and access key anew. Contacts are asked for what has no receipt from us; what has none from
 * them goes again, because the receipt, not the message, may be what was lost. Both are known by their message ids.
 * Sealed ones too: their `accepted` may be on its way, said by the relay that then lost the receipt.
 */
export async function makeUp(tx: Transaction, now: Millis): Promise<void> {
  if (!(await mayAsk(tx, "epoch", now))) return // a relay could name a new epoch at every login
  tx.insert(table.resets, { cause: "epoch", time: now })
  await addNotice(tx, "restored", null, now)
  await publishAgain(tx, now)
  for (const contact of await tx.keys(table.contacts, "state", "accepted")) {
    if (typeof contact !== "number") continue
    outbox.add(tx, contact, null, Kind.RESEND, Resend.encode({ resets: null, counters: [] }))
    for (const { device } of await tx.all(table.devices, null, prefix(contact))) {
      await outbox.repeat(tx, contact, device as DeviceId, ["sealed", "accepted"], null)
    }
  }
}

/**
 * Note that a device was asked, and repeat what it has not confirmed: the receipts may be what was lost.
 *
 * What no relay has accepted yet goes out anyway, and keeps its turn.
 */
async function asked(tx: Transaction, row: DeviceRow, now: Millis): Promise<void> {
  tx.insert(table.resets, { cause: causeOf(row), time: now })
  await outbox.repeat(tx, row.contact, row.device, ["accepted"], null)
}

async function mended(tx: Transaction, row: DeviceRow): Promise<void> {
  await tx.update(table.devices, [row.contact, row.device], { brokenSession: null, isBroken: 0 })
}

async function mayAsk(reads: Reads, cause: Cause, now: Millis): Promise<boolean> {
  const asked = await reads.all(table.resets, "cause", cause)
  return asked.filter(({ time }) => time > now - HOUR && time <= now).length < ASKED_AN_HOUR
}

function causeOf(row: DeviceRow): Cause {
  return row.isBreakProven ? "proven" : "unproven"
}
