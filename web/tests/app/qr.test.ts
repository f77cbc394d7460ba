import { decodeQR } from "qr/decode.js"
import { expect, test } from "vitest"
import { qrOfBytes, qrOfText, type QrCode } from "../../src/app/models/qr"

const SCALE = 4
const QUIET = 4

/** Draw the path as a camera would see it. */
function pictureOf({ size, path }: QrCode): { width: number; height: number; data: Uint8Array } {
  const side = (size + 2 * QUIET) * SCALE
  const data = new Uint8Array(side * side * 4).fill(255)
  for (const [, x = "", y = "", width = ""] of path.matchAll(/M(\d+) (\d+)h(\d+)/g)) {
    const [left, top] = [(Number(x) + QUIET) * SCALE, (Number(y) + QUIET) * SCALE]
    for (let row = top; row < top + SCALE; row++) {
      for (let column = left; column < left + Number(width) * SCALE; column++) {
        const pixel = (row * side + column) * 4
        data.fill(0, pixel, pixel + 3)
      }
    }
  }
  return { width: side, height: side, data }
}

test("a card survives the way from screen to camera", () => {
  const card = `halonyx:${"AbC-_9".repeat(20)}`
  expect(decodeQR(pictureOf(qrOfText(card)))).toBe(card)
})

test("all 256 values of a byte survive it, so a safety number does", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, at) => 255 - at)
  const seen: number[] = []
  decodeQR(pictureOf(qrOfBytes(bytes)), {
    textDecoder: (part) => {
      seen.push(...part)
      return ""
    },
  })
  expect(seen).toEqual([...bytes])
})
