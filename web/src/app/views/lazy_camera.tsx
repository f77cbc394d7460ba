/** The camera, loaded when it is first needed. */

import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { Camera, CameraProps } from "../camera"
import { text } from "../text/text"
import { Trouble } from "./parts"

export function LazyCamera(props: CameraProps): JSX.Element {
  const [View, setView] = useState<{ readonly Camera: typeof Camera } | null>(null)
  const [isMissing, setMissing] = useState(false)
  const load = (): void => {
    setMissing(false)
    import("../camera").then(setView, () => { setMissing(true) })
  }
  useEffect(load, [])
  if (isMissing) return <Trouble code="transport-error" onRetry={load} />
  if (View === null) return <div class="camera" role="status" aria-label={text.camera.starting} />
  return <View.Camera {...props} />
}
