/** Which dialog is open. */

import type { JSX } from "preact"
import { useEffect } from "preact/hooks"
import { AddContact } from "./add_contact"
import { ConfirmBlock, ConfirmRemove } from "./confirm"
import { useApp } from "./context"
import { DetailsDialog } from "./details"
import { Palette } from "./palette"
import { SafetyDialog } from "./safety_number"
import { SettingsDialog } from "./settings"
import { ShareCard } from "./share_card"

export function Dialogs(): JSX.Element | null {
  const app = useApp()
  useEffect(() => {
    const open = (event: KeyboardEvent): void => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.key.toLowerCase() !== "k") return
      event.preventDefault()
      app.dialog.value = { kind: "palette" }
    }
    addEventListener("keydown", open)
    return () => { removeEventListener("keydown", open) }
  }, [app])
  const dialog = app.dialog.value
  switch (dialog?.kind) {
    case undefined:
      return null
    case "add":
      return <AddContact card={dialog.card} />
    case "share":
      return <ShareCard />
    case "safety":
      return <SafetyDialog contact={dialog.contact} />
    case "details":
      return <DetailsDialog contact={dialog.contact} />
    case "block":
      return <ConfirmBlock contact={dialog.contact} />
    case "remove":
      return <ConfirmRemove contact={dialog.contact} />
    case "settings":
      return <SettingsDialog />
    case "palette":
      return <Palette />
  }
}
