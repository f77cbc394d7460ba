/**
 * How many pixels a picture has, read from its first bytes: a few kilobytes may say that they are gigabytes.
 *
 * A browser knows a picture by its content, whatever its type says, so this does, too. What it does not know is not shown.
 *
 * Source: PNG (Third Edition) section 11.2.1; GIF89a sections 18 and 20; JPEG, ITU-T T.81 section B.2; RFC 9649 (WebP).
 */

import { utf8 } from "../core/encoding"
import type { Bytes } from "../core/types"

/** What is shown in place: four bytes a pixel, as it lies in the page's memory. */
export const MAX_PIXELS = 40_000_000
/** A thumbnail is made with 480 pixels on its longer side. */
export const MAX_THUMBNAIL_PIXELS = 1_000_000

const PNG = [0x89, ...utf8("PNG\r\n\x1a\n"), 0, 0, 0, 13, ...utf8("IHDR")]
const [GIF87, GIF89, RIFF, WEBP] = ["GIF87a", "GIF89a", "RIFF", "WEBP"].map((text) => [...utf8(text)])
const FRAMES_OF_JPEG = [0xc0, 0xc1, 0xc2] // baseline, extended, progressive: what browsers decode
const [SCAN, END] = [0xda, 0xd9]

/** Whether a picture of at most so many pixels is one that a browser may decode. */
export function hasAtMost(maximum: number, picture: Bytes): boolean {
  const pixels = pixelsOf(picture)
  return pixels !== null && pixels <= maximum
}

/** Return width times height of a PNG, JPEG, WebP or GIF; null for anything else, and for a picture of no pixels. */
export function pixelsOf(picture: Bytes): number | null {
  const view = new DataView(picture.buffer, picture.byteOffset, picture.byteLength)
  try {
    return sizeOf(picture, view) || null
  } catch (error) {
    if (error instanceof RangeError) return null // it ends before its size
    throw error
  }
}

function sizeOf(picture: Bytes, view: DataView): number | null {
  const is = (magic: readonly number[] | undefined, at = 0): boolean => {
    return magic?.every((byte, index) => picture[at + index] === byte) ?? false
  }
  if (is(PNG)) return view.getUint32(16) * view.getUint32(20)
  if (is(GIF87) || is(GIF89)) return gif(view)
  if (is([0xff, 0xd8, 0xff])) return jpeg(view)
  if (is(RIFF) && is(WEBP, 8)) return webp(view)
  return null
}

/** Of the screen, or of the first image if that reaches beyond: decoders make room for it. */
function gif(view: DataView): number | null {
  const [width, height] = [view.getUint16(6, true), view.getUint16(8, true)]
  let at = 13 + tableSize(view.getUint8(10))
  while (view.getUint8(at) === 0x21) {
    at += 2
    while (view.getUint8(at) > 0) at += 1 + view.getUint8(at)
    at += 1
  }
  if (view.getUint8(at) !== 0x2c) return null
  const [right, bottom] = [1, 3].map((from) => view.getUint16(at + from, true) + view.getUint16(at + from + 4, true))
  return Math.max(width, right ?? 0) * Math.max(height, bottom ?? 0)
}

function tableSize(flags: number): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0
}

function jpeg(view: DataView): number | null {
  for (let at = 2; ; at += 2 + view.getUint16(at + 2)) {
    while (view.getUint8(at + 1) === 0xff) at += 1 // any number of these may stand before a marker
    const marker = view.getUint8(at + 1)
    if (view.getUint8(at) !== 0xff || marker === SCAN || marker === END) return null
    if (FRAMES_OF_JPEG.includes(marker)) return view.getUint16(at + 5) * view.getUint16(at + 7)
  }
}

function webp(view: DataView): number | null {
  const kind = String.fromCharCode(...[12, 13, 14, 15].map((at) => view.getUint8(at)))
  if (kind === "VP8 ") return (view.getUint16(26, true) & 0x3fff) * (view.getUint16(28, true) & 0x3fff)
  if (kind === "VP8L") {
    const bits = view.getUint32(21, true)
    return ((bits & 0x3fff) + 1) * (((bits >>> 14) & 0x3fff) + 1)
  }
  if (kind === "VP8X") return (1 + u24(view, 24)) * (1 + u24(view, 27))
  return null
}

function u24(view: DataView, at: number): number {
  return view.getUint16(at, true) + 65_536 * view.getUint8(at + 2)
}
