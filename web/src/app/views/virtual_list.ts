/** Draws the lines in view and a few around them, however many there are, and keeps still what is being read. */

import { useLayoutEffect, useRef, useState, type MutableRef } from "preact/hooks"
import { Heights, indexAt, windowOf } from "../models/heights"
import type { Line } from "../models/lines"
import type { Target } from "../models/thread"

const SPARE = 600 // pixels drawn beyond the view
const AT_END = 32 // pixels from the end that still count as the end
const NEAR = 800 // pixels from either end at which more is loaded
const TARGET_AT = 1 / 3 // of the view, where a message asked for is put

interface Range {
  readonly first: number
  readonly end: number
}

interface Wishes {
  readonly lines: readonly Line[]
  readonly target: Target
  readonly onNearStart: () => void
  readonly onNearEnd: () => void
}

export interface VirtualList {
  readonly scroller: MutableRef<HTMLDivElement | null>
  readonly list: MutableRef<HTMLOListElement | null>
  readonly range: Range
  readonly isAtEnd: boolean
  readonly onScroll: () => void
}

/** What must outlive a drawing without causing one. */
interface Position {
  readonly heights: Heights
  lines: readonly Line[]
  /** The first message in view, and how far above the top of the view it begins. */
  anchor: { readonly key: string; readonly hidden: number } | null
  sticksToEnd: boolean
  reached: Target | null
  width: number
  height: number
  /** Where we left the view; NaN once the person has scrolled. */
  placed: number
}

export function useVirtualList(wishes: Wishes): VirtualList {
  const scroller = useRef<HTMLDivElement>(null)
  const list = useRef<HTMLOListElement>(null)
  const [range, setRange] = useState<Range>(() => lastLines(wishes.lines.length))
  const [isAtEnd, setAtEnd] = useState(true)
  const held = useRef<Position>({
    heights: new Heights(),
    lines: [],
    anchor: null,
    sticksToEnd: true,
    reached: null,
    width: 0,
    height: 0,
    placed: NaN,
  })
  const drawn = clamp(range, wishes.lines.length)

  /** After each drawing: measure, make room for what is not drawn, and put the view where it belongs. */
  const settle = (): void => {
    const [view, rows, position] = [scroller.current, list.current, held.current]
    if (view === null || rows === null) return
    position.lines = wishes.lines
    if (position.width !== view.clientWidth) position.heights.clear()
    position.width = view.clientWidth
    position.height = view.clientHeight
    measure(rows, position, drawn)
    const offsets = position.heights.offsets(wishes.lines)
    makeRoom(rows, offsets, drawn)
    const top = place(view, position, offsets, wishes.target)
    if (Math.abs(view.scrollTop - top) >= 1) view.scrollTop = top
    position.placed = view.scrollTop
    follow(view, offsets)
    loadNear(view)
  }
  const loadNear = (view: HTMLDivElement): void => {
    if (view.scrollTop < NEAR) wishes.onNearStart()
    if (distanceToEnd(view) < NEAR) wishes.onNearEnd()
  }
  const follow = (view: HTMLDivElement, offsets: Float64Array): void => {
    const wanted = windowOf(offsets, view.scrollTop, view.clientHeight, SPARE)
    if (wanted.first !== drawn.first || wanted.end !== drawn.end) setRange({ first: wanted.first, end: wanted.end })
    setAtEnd(held.current.sticksToEnd)
  }
  const onScroll = (): void => {
    const [view, position] = [scroller.current, held.current]
    // A view that just changed its size is not where a person scrolled to; it settles again first.
    if (view === null || view.clientHeight !== position.height || view.clientWidth !== position.width) return
    const offsets = position.heights.offsets(position.lines)
    // Word of our own scrolling, or of content that shrank, comes late: a picture that arrived meanwhile must not look
    // like a way from the end.
    if (view.scrollTop !== position.placed) {
      position.placed = NaN
      remember(view, position, offsets)
    }
    follow(view, offsets)
    loadNear(view)
  }
  useLayoutEffect(settle)
  useResize([scroller, list], settle)
  return { scroller, list, range: drawn, isAtEnd, onScroll }
}

/**
 * Settle again when the view changes its size, as when a keyboard opens or the composer grows, and when a line does, as
 * a file when its picture comes.
 */
function useResize(refs: readonly MutableRef<HTMLElement | null>[], settle: () => void): void {
  const latest = useRef(settle)
  latest.current = settle
  const observer = useRef<ResizeObserver | null>(null)
  const watched = useRef<readonly (HTMLElement | null)[]>([])
  useLayoutEffect(() => {
    // An empty conversation has no list yet: it comes with the first message.
    const elements = refs.map(({ current }) => current)
    if (elements.every((element, at) => element === watched.current[at])) return
    watched.current = elements
    observer.current?.disconnect()
    observer.current = new ResizeObserver(() => { latest.current() })
    for (const element of elements) if (element !== null) observer.current.observe(element)
  })
  useLayoutEffect(() => () => observer.current?.disconnect(), [])
}

function measure(rows: HTMLOListElement, position: Position, drawn: Range): void {
  for (let index = drawn.first; index < drawn.end; index++) {
    const [line, row] = [position.lines[index], rows.children[index - drawn.first]]
    if (line !== undefined && row !== undefined) position.heights.measure(line.key, row.getBoundingClientRect().height)
  }
}

function makeRoom(rows: HTMLOListElement, offsets: Float64Array, drawn: Range): void {
  const total = offsets.at(-1) ?? 0
  rows.style.setProperty("padding-block-start", `${offsets[drawn.first] ?? 0}px`)
  rows.style.setProperty("padding-block-end", `${total - (offsets[drawn.end] ?? total)}px`)
}

/** Where to scroll: to what was asked for, else to the end if we were there, else to what was in view before. */
function place(view: HTMLDivElement, position: Position, offsets: Float64Array, target: Target): number {
  if (position.reached !== target) {
    position.reached = target
    position.sticksToEnd = target.kind === "end"
    if (target.kind === "message") {
      const hidden = -view.clientHeight * TARGET_AT
      position.anchor = { key: `message ${target.position}`, hidden }
    }
  }
  const end = (offsets.at(-1) ?? 0) + padding(view) - view.clientHeight
  if (position.sticksToEnd) return Math.max(0, end)
  const { anchor } = position
  const index = anchor === null ? -1 : position.lines.findIndex((line) => line.key === anchor.key)
  if (anchor === null || index < 0) return view.scrollTop
  return Math.max(0, Math.min(end, (offsets[index] ?? 0) + anchor.hidden))
}

function remember(view: HTMLDivElement, position: Position, offsets: Float64Array): void {
  const first = indexAt(offsets, view.scrollTop)
  // Days and the line of new messages move when older messages come; messages don't.
  const index = position.lines.findIndex((line, at) => at >= first && line.kind === "message")
  const line = position.lines[index]
  position.sticksToEnd = distanceToEnd(view) <= AT_END
  position.anchor = line === undefined ? null : { key: line.key, hidden: view.scrollTop - (offsets[index] ?? 0) }
}

function distanceToEnd(view: HTMLDivElement): number {
  return view.scrollHeight - view.scrollTop - view.clientHeight
}

/** Room in the view that no line takes. */
function padding(view: HTMLDivElement): number {
  const style = getComputedStyle(view)
  return parseFloat(style.paddingBlockStart) + parseFloat(style.paddingBlockEnd)
}

function lastLines(count: number): Range {
  return { first: Math.max(0, count - 20), end: count }
}

function clamp(range: Range, count: number): Range {
  const end = Math.min(range.end, count)
  return range.first < end || count === 0 ? { first: Math.min(range.first, end), end } : lastLines(count)
}
