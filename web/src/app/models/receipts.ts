/** Receipts that do not come. */

import type { Entry } from "../../client/api"
import { DAY } from "../../core/types"

/**
 * Tell whether a message was written a day ago or earlier, a relay has it, and their device has not said so.
 *
 * They are away, or their relay lost it or holds it back.
 */
export function lacksReceipt({ state, time }: Entry, now: number): boolean {
  return state === "accepted" && time + DAY <= now
}
