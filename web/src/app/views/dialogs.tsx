/** Which dialog is open. */

import type { JSX } from "preact"
import { useEffect } from "preact/hooks"
import { AddContact } from "./add_contact"
import { ConfirmBlock, ConfirmEnd, ConfirmRemove } from "./confirm"
import { useApp } from "./context"
import { DetailsDialog } from "./details"
import { RelayKnowsDialog } from "./knows"
import { LeaveDialog } from "./leave"
import { Palette } from "./palette"
import { SafetyDialog } from "./safety_number"
import { SaveFiles } from "./save_files"
import { SendFiles } from "./send_files"
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
    case "send-files":
      return <SendFiles contact={dialog.contact} parcels={dialog.parcels} />
    case "save-files":
      return <SaveFiles transfer={dialog.transfer} />
    case "cancel-file":
    case "forget-file":
      return <ConfirmEnd transfer={dialog.transfer} kind={dialog.kind} />
    case "settings":
      return <SettingsDialog />
    case "knows":
      return <RelayKnowsDialog />
    case "leave":
      return <LeaveDialog />
    case "palette":
      return <Palette />
  }
}
