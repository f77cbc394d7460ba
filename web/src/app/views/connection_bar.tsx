/** A quiet bar while there is no connection; everything still works under it. */

import { CloudOff, OctagonX } from "lucide-preact"
import type { JSX } from "preact"
import { text } from "../text/text"
import { refusalText } from "../text/problems"
import { useApp } from "./context"
import { useLongWait } from "./media"
import { Button } from "./parts"

const PATIENCE_MS = 3000 // of connecting, before it is worth a word

export function ConnectionBar(): JSX.Element {
  const app = useApp()
  const status = app.status.value
  const isSlow = useLongWait(status?.connection === "connecting", PATIENCE_MS)
  return <div role="status">{status !== null && status.connection !== "online" && <Words isSlow={isSlow} />}</div>
}

function Words({ isSlow }: { readonly isSlow: boolean }): JSX.Element | null {
  const app = useApp()
  const status = app.status.value
  if (status === null || (status.connection === "connecting" && !isSlow)) return null
  if (status.connection === "refused") {
    return (
      <p class="bar bad">
        <OctagonX size={18} />
        <span>{refusalText(status.reason)}</span>
      </p>
    )
  }
  return (
    <p class="bar">
      <CloudOff size={18} />
      <span>{status.connection === "connecting" ? text.bar.connecting : text.bar.offline}</span>
      {status.connection === "offline" && (
        <Button kind="quiet" onClick={() => void app.act(() => app.api.retry(), null)}>
          {text.bar.retry}
        </Button>
      )}
    </p>
  )
}
