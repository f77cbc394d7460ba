/**
 * What the operator of our relay announces: shown if it is theirs, new, and the first within an hour.
 *
 * Everything else is passed over in silence: a relay that repeats or forges announcements must not fill the screen.
 *
 * Source: spec/delivery.md, "Announcements".
 */

import { RemoteError } from "../core/errors"
import { VerifyKey } from "../core/primitives"
import type { Bytes, Millis } from "../core/types"
import { APART, isCurrent, mayFollow, parseAnnouncement } from "../wire/announcement"
import { addNotice } from "./events"
import * as table from "./schema"
import type { Store } from "./store"

/**
 * Remember an announcement to be shown; tell whether it is.
 *
 * @param encoded As it came.
 * @param now Our clock.
 */
export async function takeInAnnouncement(store: Store, encoded: Bytes, now: Millis): Promise<boolean> {
  return store.transaction(async (tx) => {
    const account = await tx.get(table.account, 1)
    if (account?.operatorKey === undefined) return false // an account of a version that did not pin it
    const found = await parseAnnouncement(encoded, new VerifyKey(account.operatorKey)).catch((error: unknown) => {
      if (error instanceof RemoteError) return null
      throw error
    })
    if (found === null) return false
    // By our clock, too: whoever holds the key could sign times an hour apart and send all of them at once. What comes
    // too early comes again with the next login. A clock that was put back holds up nothing.
    const since = now - (account.announcementCame ?? 0)
    const isEarly = since >= 0 && since < APART
    if (isEarly || !mayFollow(found, account.announced ?? 0n) || !isCurrent(found, now)) return false
    tx.put(table.account, { ...account, announced: found.time, announcementCame: now })
    await addNotice(tx, "announcement", null, Number(found.time) as Millis, {
      relay: account.origin,
      announcement: found.text,
    })
    return true
  })
}
