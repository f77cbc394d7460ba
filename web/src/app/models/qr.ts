/** QR codes as one SVG path. */

import { encodeQR } from "qr"
import type { Bytes } from "../../core/types"

const TALL = 1.04 // modules; rows overlap a little, else a light seam shows between them
const BORDER = 1 // the least the encoder gives; the view leaves its own

export interface QrCode {
  /** Modules a side, without quiet zone. */
  readonly size: number
  readonly path: string
}

/** Encode text, with 15 % of redundancy. */
export function qrOfText(content: string): QrCode {
  return draw(encodeQR(content, "raw", { ecc: "medium", border: BORDER }))
}

/** Encode bytes as they are. */
export function qrOfBytes(content: Bytes): QrCode {
  return draw(encodeQR("-", "raw", { ecc: "medium", border: BORDER, encoding: "byte", textEncoder: () => content }))
}

/** One rectangle for every run of dark modules. */
function draw(rows: readonly (readonly boolean[])[]): QrCode {
  let path = ""
  rows.slice(BORDER, -BORDER).forEach((bordered, y) => {
    const row = bordered.slice(BORDER, -BORDER)
    for (let x = 0; x < row.length; x++) {
      if (row[x] !== true) continue
      const start = x
      while (row[x + 1] === true) x++
      path += `M${start} ${y}h${x - start + 1}v${TALL}H${start}z`
    }
  })
  return { size: rows.length - 2 * BORDER, path }
}
