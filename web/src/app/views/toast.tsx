/** Short answers to what a person did, and word of a new version. */

import { Check, CircleAlert, RefreshCw } from "lucide-preact"
import type { JSX } from "preact"
import { applyUpdate } from "../effects/updates"
import { text } from "../text/text"
import { useApp } from "./context"
import { Button } from "./parts"

/** A dialog covers the rest of the page, so the answer stands on top of it. */
export function ToastLine(): JSX.Element {
  const toast = useApp().toast.value
  return (
    <div class="toasts" role="status" popover="manual" ref={showOnTop(toast?.id)}>
      {toast !== null && (
        <p key={toast.id} class={toast.isBad ? "toast bad" : "toast"}>
          {toast.isBad ? <CircleAlert size={18} /> : <Check size={18} />}
          <span>{toast.words}</span>
        </p>
      )}
    </div>
  )
}

function showOnTop(id: number | undefined): (element: HTMLElement | null) => void {
  return (element) => {
    if (element === null || !("showPopover" in element)) return
    if (element.matches(":popover-open")) element.hidePopover()
    if (id !== undefined) element.showPopover()
  }
}

export function UpdateLine(): JSX.Element | null {
  const app = useApp()
  const update = app.update.value
  if (update === null) return null
  return (
    <aside class="update" aria-label={text.app.update}>
      <RefreshCw size={18} />
      <p role="status">{update === "ready" ? text.app.newVersion : text.app.updatedElsewhere}</p>
      <Button kind="primary" onClick={applyUpdate}>
        {text.app.reload}
      </Button>
    </aside>
  )
}
