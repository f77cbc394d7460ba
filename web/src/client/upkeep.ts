/**
 * Telling our relay what it has not heard yet, and learning whether it still knows this device.
 *
 * Source: spec/handshake.md, "Prekeys"; spec/delivery.md, "A device that was replaced".
 */

import { sameBytes } from "../core/encoding"
import { TransportError } from "../core/errors"
import type { Prekey } from "../core/prekeys"
import { HOUR, MINUTE, SECOND } from "../core/types"
import type { Millis } from "../core/types"
import { parseDone } from "../wire/rest"
import type { AccessKeyRequest } from "../wire/rest_account"
import { MAX_PREKEYS_IN_CALL, parsePrekeyCounts } from "../wire/rest_directory"
import type { PublishRequest } from "../wire/rest_directory"
import { loadAccount, nowMs, type Account } from "./account"
import { forgetOld } from "./inbox"
import * as prekeys from "./prekeys"
import * as table from "./schema"
import type { Reads, Store } from "./store"
import { DeviceReplaced, NOT_AUTHENTICATED, Refused, Relay } from "./transport"

export const ASK_EVERY = HOUR // a call beside every message would tell our relay when we write
const CLOCK_BOUND = MINUTE // further off, the relay refuses every signature
const LONGEST_MS = 30 * SECOND

/**
 * Renew prekeys that are due, and tell our relay what it has not heard yet.
 *
 * @param left When it just told.
 * @throws TransportError: it can't be reached. Refused: it no longer knows this device.
 */
export async function maintain(store: Store, left: prekeys.Left | null): Promise<void> {
  const account = await loadAccount(store)
  await prekeys.duePrekeys(store, account.own, left, nowMs())
  const waiting = await prekeys.unpublished(store)
  const row = await store.get(table.account, 1)
  if (account.isAccessPublished && waiting.length === 0 && !row?.isOneTimeRenewed) return
  await call(store, account, waiting)
}

/** Ask our relay whether it knows this device, by a call that brings it nothing new (raises as `maintain`). */
export async function ask(store: Store): Promise<void> {
  await call(store, await loadAccount(store), [])
}

/**
 * Find out what a refused login means: its device is replaced, or it only took longer than a relay waits.
 *
 * @throws DeviceReplaced: a signed call is refused, too. TransportError: it is not, or the relay can't be reached: log in
 *   again.
 */
export async function doubtLogin(store: Store): Promise<never> {
  try {
    await ask(store)
  } catch (error) {
    if (!isNotAuthenticated(error)) throw error
    await noteReplaced(store)
    throw new DeviceReplaced()
  }
  throw new TransportError("the relay ended the login: it took too long")
}

/** Tell whether our relay is to be asked if it knows us: every hour, and always once it said that it does not. */
export async function mustAsk(reads: Reads, now: Millis): Promise<boolean> {
  const row = await reads.get(table.account, 1)
  const known = row?.known ?? 0
  return row !== undefined && (row.isReplaced === true || known > now || known + ASK_EVERY <= now)
}

/** Tell whether our relay no longer knew this device when it last answered. */
export async function isReplaced(reads: Reads): Promise<boolean> {
  return (await reads.get(table.account, 1))?.isReplaced === true
}

/** Remember that our relay knows this device. */
export async function noteKnown(store: Store, now: Millis): Promise<void> {
  await store.transaction((tx) => tx.update(table.account, 1, { isReplaced: false, known: now }))
}

/** Remember that our relay does not know this device any more. */
export async function noteReplaced(store: Store): Promise<void> {
  await store.transaction((tx) => tx.update(table.account, 1, { isReplaced: true }))
}

async function call(store: Store, account: Account, waiting: readonly Prekey[]): Promise<void> {
  const now = nowMs()
  const relay = new Relay(account.origin)
  const tooLong = setTimeout(() => {
    relay.close()
  }, LONGEST_MS)
  try {
    await tell(store, relay, account, waiting)
  } catch (error) {
    if (!isNotAuthenticated(error) || !(await isRefusedAgain(store, relay, account))) throw error
    await noteReplaced(store)
    throw new DeviceReplaced()
  } finally {
    clearTimeout(tooLong)
    relay.close()
  }
  await noteKnown(store, now)
  // Here alone: our relay has just agreed with our clock. One that jumped ahead must not delete keys that are in use.
  await forgetOld(store, now)
}

/** Make sure that it is about the device: a wrong clock and a call repeated on its way get the same answer. */
async function isRefusedAgain(store: Store, relay: Relay, account: Account): Promise<boolean> {
  if (Math.abs((await relay.info()).time - nowMs()) >= CLOCK_BOUND) return false
  try {
    await publish(store, relay, account, [])
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return isNotAuthenticated(error)
  }
  return false
}

function isNotAuthenticated(error: unknown): boolean {
  return error instanceof Refused && error.code === NOT_AUTHENTICATED
}

async function tell(store: Store, relay: Relay, account: Account, waiting: readonly Prekey[]): Promise<void> {
  if (!account.isAccessPublished) await publishAccess(store, relay, account)
  for (let at = 0; at < Math.max(waiting.length, 1); at += MAX_PREKEYS_IN_CALL) {
    await publish(store, relay, account, waiting.slice(at, at + MAX_PREKEYS_IN_CALL))
  }
}

async function publishAccess(store: Store, relay: Relay, account: Account): Promise<void> {
  const request: AccessKeyRequest = { address: account.address, accessHash: account.accessHash }
  await relay.call("PUT", "/v1/access-key", request, parseDone, account.signer)
  await store.transaction(async (tx) => {
    const row = await tx.get(table.account, 1)
    // Only the key that was told: another may have taken its place meanwhile.
    if (row !== undefined && sameBytes(row.profileKey, account.profileKey)) {
      tx.put(table.account, { ...row, isAccessPublished: true })
    }
  })
}

async function publish(store: Store, relay: Relay, account: Account, part: readonly Prekey[]): Promise<void> {
  const request: PublishRequest = {
    address: account.address,
    device: account.own.device.id,
    prekeys: await Promise.all(part.map((prekey) => prekeys.sealed(account.usid, account.own, prekey))),
    oneTimeFrom: await prekeys.firstOneTime(store),
  }
  try {
    await relay.call("PUT", "/v1/prekeys", request, parsePrekeyCounts, account.signer)
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== "prekeys-full") throw error
    await prekeys.forgetUnpublishedOneTime(store)
    return
  }
  await store.transaction(async (tx) => {
    await prekeys.markPublished(tx, part)
    await tx.update(table.account, 1, { isOneTimeRenewed: false })
  })
}
