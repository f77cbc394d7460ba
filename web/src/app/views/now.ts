/** The time by which days are named; moves on once a minute. */

import { signal } from "@preact/signals"

const MINUTE_MS = 60_000

export const now = signal(Date.now())

setInterval(() => {
  now.value = Date.now()
}, MINUTE_MS)
