/** Reading QR codes from the camera or a picture. Loaded only when needed: the decoder is as large as half the page. */

import { CameraOff } from "lucide-preact"
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { decodeQR } from "qr/decode.js"
import type { Bytes } from "../core/types"
import { text } from "./text/text"
import { Button } from "./views/parts"

const EVERY_MS = 150 // between two tries
const LONGEST = 1000 // pixels of a side; more only costs time

export interface CameraProps {
  readonly hint: string
  readonly onRead: (content: Bytes) => void
  readonly onStop: () => void
}

type Trouble = "denied" | "none" | "failed"

export function Camera({ hint, onRead, onStop }: CameraProps): JSX.Element {
  const video = useRef<HTMLVideoElement>(null)
  const [trouble, setTrouble] = useState<Trouble | null>(null)
  const [tries, setTries] = useState(0)
  useEffect(() => {
    const ended = new AbortController()
    watch(video.current, ended.signal, onRead).catch((error: unknown) => {
      if (!ended.signal.aborted) setTrouble(troubleOf(error))
    })
    return () => { ended.abort() }
  }, [tries])
  // Together: the next try needs the picture on the page.
  const again = (): void => {
    setTrouble(null)
    setTries(tries + 1)
  }
  return (
    <div class="camera-part">
      {trouble === null ? (
        <>
          <div class="camera">
            <video ref={video} muted playsInline aria-label={text.camera.label} />
            <span class="camera-frame" aria-hidden="true" />
          </div>
          <p class="small soft" role="status">{hint}</p>
        </>
      ) : (
        <div class="camera-trouble" role="alert">
          <CameraOff size={26} strokeWidth={1.5} />
          <p>{text.camera[trouble]}</p>
          <Button onClick={again}>{text.app.retry}</Button>
        </div>
      )}
      <Button kind="quiet" onClick={onStop}>
        {text.camera.stop}
      </Button>
    </div>
  )
}

/**
 * Read the code in a picture.
 *
 * @returns Its bytes, or null if there is none.
 */
export async function readPicture(file: Blob): Promise<Bytes | null> {
  const picture = await createImageBitmap(file)
  const found = decode(picture, picture.width, picture.height)
  picture.close()
  return found
}

/** Show the camera in `video` and try until something was read or it ended. */
async function watch(
  video: HTMLVideoElement | null,
  ended: AbortSignal,
  onRead: (content: Bytes) => void,
): Promise<void> {
  if (video === null) return
  if (!("mediaDevices" in navigator)) throw new DOMException("no camera without a secure page", "NotFoundError")
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false })
  const stop = (): void => { for (const track of stream.getTracks()) track.stop() }
  if (ended.aborted) {
    stop()
    return
  }
  ended.addEventListener("abort", stop)
  video.srcObject = stream
  await video.play()
  const isWanted = (): boolean => !ended.aborted
  while (isWanted()) {
    const found = video.videoWidth === 0 ? null : decode(video, video.videoWidth, video.videoHeight)
    if (found !== null) {
      stop()
      onRead(found)
      return
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
  }
}

function decode(picture: CanvasImageSource, fullWidth: number, fullHeight: number): Bytes | null {
  const scale = Math.min(1, LONGEST / Math.max(fullWidth, fullHeight))
  const [width, height] = [Math.round(fullWidth * scale), Math.round(fullHeight * scale)]
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })
  if (context === null) return null
  context.drawImage(picture, 0, 0, width, height)
  const { data } = context.getImageData(0, 0, width, height)
  try {
    // One character for each byte, so that binary codes survive being text.
    const read = decodeQR({ width, height, data }, { textDecoder: (bytes) => String.fromCharCode(...bytes) })
    return Uint8Array.from(read, (character) => character.charCodeAt(0))
  } catch {
    return null // no code in this picture
  }
}

function troubleOf(error: unknown): Trouble {
  if (!(error instanceof DOMException)) return "failed"
  if (error.name === "NotAllowedError" || error.name === "SecurityError") return "denied"
  return error.name === "NotFoundError" || error.name === "OverconstrainedError" ? "none" : "failed"
}
