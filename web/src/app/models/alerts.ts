/** What deserves a sound or a notification. */

import type { Entry } from "../../client/api"

/** Messages older than this are history that was fetched late: a hundred tones at once help nobody. */
const FRESH_MS = 60_000

export interface Alert {
  readonly contact: number
  readonly entry: Entry
}

/** Tell the messages that are worth telling: theirs, not seen before, just received. */
export function alertsOf(entries: readonly Entry[], seen: Set<string>, now: number): readonly Alert[] {
  const alerts: Alert[] = []
  for (const entry of entries) {
    if (entry.outgoing || seen.has(entry.id) || now - entry.received > FRESH_MS) continue
    seen.add(entry.id)
    alerts.push({ contact: entry.contact, entry })
  }
  return alerts
}
