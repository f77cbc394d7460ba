/**
 * Reads QR codes, in a Worker of its own: it may take a tenth of a second a picture, and the page must not stand still.
 *
 * A picture comes in, its bytes or null go out, in the order of the pictures; `READY` goes out first.
 */

import { decodeQR } from "qr/decode.js"
import type { Bytes } from "../core/types"

/** What a dedicated Worker has that the compiler's library of a page has not. */
interface WorkerScope {
  postMessage(message: Bytes | null | "ready"): void
  addEventListener(type: "message", listener: (event: MessageEvent<ImageBitmap>) => void): void
}

const LONGEST = 1000 // pixels of a side; more only costs time

const scope = globalThis as unknown as WorkerScope
scope.addEventListener("message", ({ data: picture }) => {
  scope.postMessage(decode(picture))
  picture.close()
})
scope.postMessage("ready")

function decode(picture: ImageBitmap): Bytes | null {
  const scale = Math.min(1, LONGEST / Math.max(picture.width, picture.height))
  const [width, height] = [Math.round(picture.width * scale), Math.round(picture.height * scale)]
  try {
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })
    if (context === null) return null
    context.drawImage(picture, 0, 0, width, height)
    const { data } = context.getImageData(0, 0, width, height)
    // One character for each byte, so that binary codes survive being text.
    const read = decodeQR({ width, height, data }, { textDecoder: (bytes) => String.fromCharCode(...bytes) })
    return Uint8Array.from(read, (character) => character.charCodeAt(0))
  } catch {
    return null // no code in this picture
  }
}
