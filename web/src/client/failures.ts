/**
 * What a refused envelope means: a session to repair, a record to freeze, a person to tell; or nothing.
 *
 * Source: spec/delivery.md, "Inbox"; spec/ratchet.md, "Repair".
 */

import {
  AuthenticationFailed,
  Duplicate,
  StaleDirectory,
  TooFarAhead,
  UnknownPrekey,
  UnknownSession,
  UnsupportedVersion,
  type RemoteError,
} from "../core/errors"
import { DAY } from "../core/types"
import type { Bytes, DeviceId, Millis, SessionId } from "../core/types"
import { freeze } from "./directory"
import { addNotice } from "./events"
import { contactById, ensureDevice } from "./people"
import * as table from "./schema"
import type { Transaction } from "./store"

// What tells that the session is out of step, and not that somebody sent rubbish. Envelopes seen before do not come as
// far as to be a Duplicate: one is of a sender whose store was put back to an older copy.
const NEEDS_RESET = [AuthenticationFailed, Duplicate, TooFarAhead, UnknownPrekey, UnknownSession] as const

/** Contact and device. */
export type Sender = readonly [number, DeviceId]

/** What is known of a refusal. */
interface Details {
  /** The session it named. */
  readonly sessionId: SessionId
  /** We have that session; else anyone could have named it. */
  readonly isSessionKnown: boolean
  /** What speaks against a record. */
  readonly evidence: Bytes
}

const NOTHING: Details = {
  sessionId: new Uint8Array() as SessionId,
  isSessionKnown: false,
  evidence: new Uint8Array(),
}

/** A refusal of what names a contact as its sender. */
export class Failed extends Error {
  readonly reason: RemoteError
  readonly sender: Sender
  readonly details: Details

  constructor(reason: RemoteError, sender: Sender, details: Partial<Details> = {}) {
    super(reason.code)
    this.reason = reason
    this.sender = sender
    this.details = { ...NOTHING, ...details }
  }
}

/** As many requests as we keep wait for a decision. */
export class TooManyStrangers extends UnknownSession {}

/** Note what a refusal calls for; of strangers nothing. */
export async function noteFailure(tx: Transaction, failed: Failed, now: Millis): Promise<void> {
  const { reason, sender, details } = failed
  const row = await tx.get(table.contacts, sender[0])
  if (row?.state !== "accepted") return
  if (reason instanceof StaleDirectory) {
    await freeze(tx, await contactById(tx, row.id), reason.code, details.evidence, now)
  } else if (reason instanceof UnsupportedVersion) {
    await noteUnsupported(tx, row, now)
  } else if (NEEDS_RESET.some((kind) => reason instanceof kind)) {
    await noteBreak(tx, sender, details)
  }
}

async function noteBreak(tx: Transaction, sender: Sender, details: Details): Promise<void> {
  await ensureDevice(tx, ...sender) // a first message's vanished with its transaction
  const row = await tx.get(table.devices, [...sender])
  if (row === undefined) return
  // What anyone can forge never takes the place of what only the two of us can have sent.
  if (row.brokenSession !== null && row.isBreakProven && !details.isSessionKnown) return
  const { sessionId: brokenSession, isSessionKnown: isBreakProven } = details
  tx.put(table.devices, { ...row, isBroken: 1, brokenSession, isBreakProven })
}

/** Say once a day at most that a stranger found no room. */
export async function noteTooManyStrangers(tx: Transaction, now: Millis): Promise<void> {
  const account = await tx.get(table.account, 1)
  if (account === undefined || (account.requestsFullNoted ?? 0) + DAY > now) return
  tx.put(table.account, { ...account, requestsFullNoted: now })
  await addNotice(tx, "requests-full", null, now)
}

/** Say it once a day at most: the sender of what can't even be parsed is not proven. */
async function noteUnsupported(tx: Transaction, row: table.StoredContact, now: Millis): Promise<void> {
  if (row.unsupportedNoted + DAY > now) return
  await tx.update(table.contacts, row.id, { unsupportedNoted: now })
  await addNotice(tx, "unsupported", row.id, now)
}
