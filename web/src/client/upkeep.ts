/**
 * Telling our relay what it has not heard yet: renewed prekeys, and the key by which contacts write to us.
 *
 * Source: spec/handshake.md, "Prekeys".
 */

import { sameBytes } from "../core/encoding"
import type { Prekey } from "../core/prekeys"
import { MAX_PREKEYS_IN_CALL, parseDone, parsePrekeyCounts, type AccessKeyRequest, type PublishRequest } from "../wire/rest"
import { loadAccount, nowMs, type Account } from "./account"
import * as prekeys from "./prekeys"
import * as table from "./schema"
import type { Store } from "./store"
import { Refused, Relay } from "./transport"

/** One-time X25519 and KEM prekeys left at our relay. */
export type Left = readonly [number, number]

/**
 * Renew prekeys that are due, and tell our relay what it has not heard yet.
 *
 * @param left When it just told.
 * @throws TransportError: it can't be reached. Refused: it no longer knows this device.
 */
export async function maintain(store: Store, left: Left | null): Promise<void> {
  const account = await loadAccount(store)
  await prekeys.duePrekeys(store, account.own, left, nowMs())
  const waiting = await prekeys.unpublished(store)
  const row = await store.get(table.account, 1)
  if (account.isAccessPublished && waiting.length === 0 && !row?.isOneTimeRenewed) return
  const relay = new Relay(account.origin)
  try {
    if (!account.isAccessPublished) await publishAccess(store, relay, account)
    for (let at = 0; at < Math.max(waiting.length, 1); at += MAX_PREKEYS_IN_CALL) {
      await publish(store, relay, account, waiting.slice(at, at + MAX_PREKEYS_IN_CALL))
    }
  } finally {
    relay.close()
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
