/** Sizes, speeds and times left, in the person's own way of writing numbers. */

import { language } from "./text"

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const
const THOUSAND = 1000
const HOUR_S = 3600
const MINUTE_S = 60

/** "0 byte", "999 byte", "1.2 kB", "34 MB": two digits that count. */
export function sizeText(bytes: number): string {
  const [value, unit] = scaled(bytes)
  return withUnit(value, unit)
}

/** "1.2 MB/s". */
export function speedText(bytesPerSecond: number): string {
  const [value, unit] = scaled(bytesPerSecond)
  return withUnit(value, `${unit}-per-second`)
}

/** "12 sec", "3 min", "2 hr": rounded up, because nobody minds when it is faster. */
export function durationText(seconds: number): string {
  if (seconds < MINUTE_S) return withUnit(Math.max(1, Math.ceil(seconds)), "second")
  if (seconds < HOUR_S) return withUnit(Math.ceil(seconds / MINUTE_S), "minute")
  return withUnit(Math.ceil(seconds / HOUR_S), "hour")
}

/** "45%": never all of it before it is all there. */
export function percentText(share: number): string {
  return new Intl.NumberFormat(language, { style: "percent" }).format(Math.floor(100 * share) / 100)
}

/** "0.4". */
export function ratioText(ratio: number): string {
  return new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(ratio)
}

/** Bring a number of bytes to the unit that reads best. */
function scaled(bytes: number): readonly [number, string] {
  let [value, at] = [bytes, 0]
  while (value >= THOUSAND - 0.5 && at < UNITS.length - 1) {
    value /= THOUSAND
    at += 1
  }
  const rounded = at === 0 || value >= 10 ? Math.round(value) : Math.round(10 * value) / 10
  return [rounded, UNITS[at] ?? "byte"]
}

function withUnit(value: number, unit: string): string {
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(value)
}
