/** Times and days in the person's own way of writing them. */

import { DAY } from "../../core/types"
import { language, text } from "./text"

/** The person's variants of the catalogue's language, so that dates and words go together. */
const locales: readonly string[] = [
  ...navigator.languages.filter((tag) => tag.split("-")[0] === language),
  language,
]
const clock = new Intl.DateTimeFormat(locales, { hour: "numeric", minute: "2-digit" })
const weekday = new Intl.DateTimeFormat(locales, { weekday: "long" })
const shortWeekday = new Intl.DateTimeFormat(locales, { weekday: "short" })
const shortDate = new Intl.DateTimeFormat(locales, { day: "numeric", month: "short" })
const longDate = new Intl.DateTimeFormat(locales, { weekday: "long", day: "numeric", month: "long" })
const fullDate = new Intl.DateTimeFormat(locales, { day: "numeric", month: "long", year: "numeric" })
const numericDate = new Intl.DateTimeFormat(locales, { day: "2-digit", month: "2-digit", year: "2-digit" })
const stamp = new Intl.DateTimeFormat(locales, { dateStyle: "medium", timeStyle: "short" })
const relativeDay = new Intl.RelativeTimeFormat(locales, { numeric: "auto" })

/** A clock this far ahead of ours is worth a word. */
const CLOCK_AHEAD = 5 * 60_000

/** Number of the local day, to tell days apart. */
export function dayOf(time: number): number {
  return Math.floor((time - new Date(time).getTimezoneOffset() * 60_000) / DAY)
}

/** "14:05". */
export function clockTime(time: number): string {
  return clock.format(time)
}

/** "Today", "Yesterday", "Monday", "Friday, 3 March", "3 March 2024". */
export function dayName(time: number, now: number): string {
  const age = dayOf(now) - dayOf(time)
  if (age === 0 || age === 1) return capital(relativeDay.format(-age, "day"))
  if (age > 1 && age < 7) return weekday.format(time)
  return sameYear(time, now) ? longDate.format(time) : fullDate.format(time)
}

/** "14:05", "Yesterday", "Mon", "3 Mar", "03/03/24": for a narrow column. */
export function shortTime(time: number, now: number): string {
  const age = dayOf(now) - dayOf(time)
  if (age <= 0) return clockTime(time)
  if (age === 1) return capital(relativeDay.format(-1, "day"))
  if (age < 7) return shortWeekday.format(time)
  return sameYear(time, now) ? shortDate.format(time) : numericDate.format(time)
}

/** "3 Mar 2026, 14:05". */
export function fullTime(time: number): string {
  return stamp.format(time)
}

/** "3 March 2026". */
export function fullDay(time: number): string {
  return fullDate.format(time)
}

/** All there is to say about when a message was written and received. */
export function messageTime(time: number, received: number): string {
  if (time > received + CLOCK_AHEAD) return `${text.thread.receivedAt(fullTime(received))} (${text.thread.clockAhead})`
  if (received > time + CLOCK_AHEAD)
    return `${text.thread.written(fullTime(time))}, ${text.thread.receivedAt(fullTime(received))}`
  return fullTime(received)
}

function sameYear(time: number, now: number): boolean {
  return new Date(time).getFullYear() === new Date(now).getFullYear()
}

function capital(word: string): string {
  return word.charAt(0).toLocaleUpperCase(language) + word.slice(1)
}
