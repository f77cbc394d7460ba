/** The camera, until it has read a QR code. */

import { CameraOff } from "lucide-preact"
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import type { Bytes } from "../../core/types"
import { NOT_LOADED, QrReader } from "../effects/qr_reader"
import { codeOf } from "../text/problems"
import { text } from "../text/text"
import { useApp } from "./context"
import { Button } from "./parts"

const EVERY_MS = 150 // between two tries

interface Props {
  readonly hint: string
  readonly onRead: (content: Bytes) => void
  readonly onStop: () => void
}

type Trouble = "denied" | "none" | "failed" | "notLoaded"

export function CodeCamera({ hint, onRead, onStop }: Props): JSX.Element {
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
        <TroubleNote trouble={trouble} onAgain={again} />
      )}
      <Button kind="quiet" onClick={onStop}>
        {text.camera.stop}
      </Button>
    </div>
  )
}

function TroubleNote({ trouble, onAgain }: { readonly trouble: Trouble; readonly onAgain: () => void }): JSX.Element {
  const app = useApp()
  // The parts of a build that another tab replaced are gone: only loading the page again helps.
  const isReplaced = trouble === "notLoaded" && app.update.value === "taken"
  return (
    <div class="camera-trouble" role="alert">
      <CameraOff size={26} strokeWidth={1.5} />
      <p>{isReplaced ? text.app.updatedElsewhere : text.camera[trouble]}</p>
      {isReplaced ? (
        <Button onClick={() => { location.reload() }}>{text.app.reload}</Button>
      ) : (
        <Button onClick={onAgain}>{text.app.retry}</Button>
      )}
    </div>
  )
}

/** Show the camera in `video` and try until something was read or it ended. */
async function watch(
  video: HTMLVideoElement | null,
  ended: AbortSignal,
  onRead: (content: Bytes) => void,
): Promise<void> {
  if (video === null) return
  const over = new AbortController()
  ended.addEventListener("abort", () => { over.abort() })
  try {
    const [reader] = await Promise.all([startReader(over.signal), startCamera(video, over.signal)])
    const found = await firstIn(video, reader, ended)
    over.abort() // the camera is off before anybody acts on what it saw
    if (found !== null) onRead(found)
  } finally {
    over.abort()
  }
}

/** Try until there is a code in the picture; null when it ended before. */
async function firstIn(video: HTMLVideoElement, reader: QrReader, ended: AbortSignal): Promise<Bytes | null> {
  const isWanted = (): boolean => !ended.aborted
  while (isWanted()) {
    const found = video.videoWidth === 0 ? null : await reader.read(await createImageBitmap(video))
    if (found !== null) return isWanted() ? found : null
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
  }
  return null
}

async function startReader(over: AbortSignal): Promise<QrReader> {
  const reader = await QrReader.start()
  const stop = (): void => { reader.stop() }
  if (over.aborted) stop()
  else over.addEventListener("abort", stop)
  return reader
}

async function startCamera(video: HTMLVideoElement, over: AbortSignal): Promise<void> {
  if (!("mediaDevices" in navigator)) throw new DOMException("no camera without a secure page", "NotFoundError")
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false })
  const stop = (): void => { for (const track of stream.getTracks()) track.stop() }
  if (over.aborted) {
    stop()
    return
  }
  over.addEventListener("abort", stop)
  video.srcObject = stream
  await video.play()
}

function troubleOf(error: unknown): Trouble {
  if (codeOf(error) === NOT_LOADED) return "notLoaded"
  if (!(error instanceof DOMException)) return "failed"
  if (error.name === "NotAllowedError" || error.name === "SecurityError") return "denied"
  return error.name === "NotFoundError" || error.name === "OverconstrainedError" ? "none" : "failed"
}
