/** Lines between messages: a new day, and where the new messages begin. */

import type { JSX } from "preact"
import { dayName } from "../text/dates"
import { text } from "../text/text"

export function DayLine({ time, now }: { readonly time: number; readonly now: number }): JSX.Element {
  return (
    <li class="day">
      <span>{dayName(time, now)}</span>
    </li>
  )
}

export function UnreadLine(): JSX.Element {
  return (
    <li class="unread-line">
      <span>{text.thread.unreadLine}</span>
    </li>
  )
}
