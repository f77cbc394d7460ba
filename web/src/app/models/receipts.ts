/** Receipts that do not come. */

import type { Entry } from "../../client/api"
import { DAY } from "../../core/types"

/**
 * Tell whether a relay said a day ago or earlier that it has a message, and their device has not said so since.
 *
 * They are away, or their relay lost it or holds it back.
 */
export function lacksReceipt({ state, time }: Entry, now: number): boolean {
  return state === "accepted" && time + DAY <= now
}
