/** Where the lines of a long list stand: measured where they were drawn, estimated elsewhere. */

import type { Line } from "./lines"

const ROW = 22 // a line of text
const BUBBLE = 19 // padding of a bubble and the gap below it
const FILE = 150 // an offer of a file without a picture
const PICTURE = 240
const PER_ROW = 52 // characters that fit a row, roughly

export interface Window {
  /** Index of the first line to draw, and of the first not to draw behind it. */
  readonly first: number
  readonly end: number
  /** Height of everything before and behind, in pixels. */
  readonly above: number
  readonly below: number
}

export class Heights {
  readonly #measured = new Map<string, number>()

  /** Note how tall a line is; return whether that is news. */
  measure(key: string, height: number): boolean {
    if (Math.abs((this.#measured.get(key) ?? -1) - height) < 0.5) return false
    this.#measured.set(key, height)
    return true
  }

  /** Forget everything: the width changed. */
  clear(): void {
    this.#measured.clear()
  }

  of(line: Line): number {
    return this.#measured.get(line.key) ?? estimate(line)
  }

  /** Return the distance of each line from the top, and of the end. */
  offsets(lines: readonly Line[]): Float64Array {
    const offsets = new Float64Array(lines.length + 1)
    let at = 0
    lines.forEach((line, index) => {
      offsets[index] = at
      at += this.of(line)
    })
    offsets[lines.length] = at
    return offsets
  }
}

/**
 * Choose what to draw.
 *
 * @param offsets As `Heights.offsets` returns them.
 * @param top Scrolled so far, in pixels; `height` of the view; `spare` is drawn on either side of it.
 */
export function windowOf(offsets: Float64Array, top: number, height: number, spare: number): Window {
  const count = offsets.length - 1
  const first = Math.max(0, Math.min(indexAt(offsets, top - spare), count - 1))
  const end = count === 0 ? 0 : Math.min(count, indexAt(offsets, top + height + spare) + 1)
  const total = offsets[count] ?? 0
  return { first, end, above: offsets[first] ?? 0, below: total - (offsets[end] ?? total) }
}

/** Index of the line at a distance from the top. */
export function indexAt(offsets: Float64Array, distance: number): number {
  let low = 0
  let high = offsets.length - 2
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((offsets[middle] ?? 0) <= distance) low = middle
    else high = middle - 1
  }
  return Math.max(0, low)
}

function estimate(line: Line): number {
  if (line.kind !== "message") return 48
  const { file } = line.entry
  if (file !== null) return FILE + (file.thumbnail === null ? 0 : PICTURE) + (line.isFirst ? 10 : 0)
  const rows = line.entry.text.split("\n").reduce((sum, part) => sum + Math.max(1, Math.ceil(part.length / PER_ROW)), 0)
  return rows * ROW + BUBBLE + (line.isFirst ? 10 : 0)
}
