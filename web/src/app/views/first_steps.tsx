/** What to do first, while there is nobody to write to. */

import { MessageCircle, QrCode as QrIcon, UserRoundPlus } from "lucide-preact"
import type { JSX } from "preact"
import { text } from "../text/text"
import { useApp } from "./context"
import { Button, Empty } from "./parts"

export function FirstSteps(): JSX.Element {
  const app = useApp()
  return (
    <Empty
      icon={MessageCircle}
      title={text.list.emptyTitle}
      actions={
        <>
          <Button kind="primary" icon={QrIcon} onClick={() => { app.dialog.value = { kind: "share" } }}>
            {text.card.shareTitle}
          </Button>
          <Button icon={UserRoundPlus} onClick={() => { app.dialog.value = { kind: "add", card: "" } }}>
            {text.card.addTitle}
          </Button>
        </>
      }
    >
      {text.list.emptyText}
    </Empty>
  )
}
