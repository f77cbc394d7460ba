/** The lines of a conversation: messages in groups, days, notices and where the new ones begin. */

import type { Entry, Notice } from "../../client/api"
import { MINUTE } from "../../core/types"

/** Messages of one sender this close together are one group. */
export const GROUP_WITHIN = 5 * MINUTE

export type Line =
  | { readonly key: string; readonly kind: "day"; readonly time: number }
  | { readonly key: string; readonly kind: "unread" }
  | { readonly key: string; readonly kind: "notice"; readonly notice: Notice }
  | { readonly key: string; readonly kind: "message"; readonly entry: Entry; readonly isFirst: boolean }

export interface Shown {
  readonly entries: readonly Entry[]
  readonly notices: readonly Notice[]
  /** Position of the first message that was new when the conversation was opened, or null. */
  readonly unreadFrom: number | null
  /** Whether nothing older, and nothing newer, is left to load. */
  readonly isStart: boolean
  readonly isEnd: boolean
}

/**
 * Put everything in order; a line that did not change is the same object as in `before`, so that it isn't drawn again.
 *
 * @param dayOf Number of the local day of a time.
 */
export function linesOf(shown: Shown, before: readonly Line[], dayOf: (time: number) => number): readonly Line[] {
  const kept = new Map(before.map((line) => [line.key, line]))
  const lines: Line[] = []
  let previous: Entry | null = null
  let day: number | null = null

  const push = (line: Line): void => {
    const old = kept.get(line.key)
    lines.push(old !== undefined && isSame(old, line) ? old : line)
  }
  const enter = (time: number): void => {
    if (dayOf(time) === day) return
    day = dayOf(time)
    previous = null
    push({ key: `day ${day}`, kind: "day", time })
  }
  const notices = noticesWithin(shown)
  let next = 0
  const pushNotices = (until: number): void => {
    for (let notice = notices[next]; notice !== undefined && notice.time <= until; notice = notices[++next]) {
      enter(notice.time)
      previous = null
      push({ key: `notice ${notice.id}`, kind: "notice", notice })
    }
  }

  for (const entry of shown.entries) {
    pushNotices(entry.received)
    enter(entry.received)
    if (entry.position === shown.unreadFrom) {
      previous = null
      push({ key: "unread", kind: "unread" })
    }
    push({ key: `message ${entry.position}`, kind: "message", entry, isFirst: !joins(previous, entry) })
    previous = entry
  }
  pushNotices(Infinity)
  return lines
}

/** Notices between the loaded messages; the others are shown when their neighbours are. */
function noticesWithin(shown: Shown): readonly Notice[] {
  const from = shown.isStart ? -Infinity : (shown.entries[0]?.received ?? Infinity)
  const until = shown.isEnd ? Infinity : (shown.entries.at(-1)?.received ?? -Infinity)
  return shown.notices.filter(({ time }) => time >= from && time <= until)
}

function joins(previous: Entry | null, entry: Entry): boolean {
  return (
    previous !== null && previous.outgoing === entry.outgoing && entry.received - previous.received <= GROUP_WITHIN
  )
}

function isSame(old: Line, line: Line): boolean {
  if (old.kind === "message" && line.kind === "message")
    return old.isFirst === line.isFirst && isSameEntry(old.entry, line.entry)
  return old.kind === line.kind
}

function isSameEntry(old: Entry, entry: Entry): boolean {
  if (old === entry) return true
  const isSameFile = old.file?.id === entry.file?.id // what became of it is followed where it is shown
  return old.id === entry.id && old.state === entry.state && old.text === entry.text && isSameFile
}
