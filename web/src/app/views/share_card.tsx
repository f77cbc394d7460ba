/** Our card for someone else: link, QR code, text. */

import { Copy, Share2 } from "lucide-preact"
import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import { linkOf } from "../models/card_link"
import { codeOf } from "../text/problems"
import { text } from "../text/text"
import { useApp } from "./context"
import { Dialog } from "./dialog"
import { Button, CopyLine, Trouble, useCopy } from "./parts"
import { QrCode } from "./qr_code"

export function ShareCard(): JSX.Element {
  const app = useApp()
  return (
    <Dialog title={text.card.shareTitle} onClose={() => { app.dialog.value = null }}>
      <p class="soft">{text.card.shareText}</p>
      <CardParts />
    </Dialog>
  )
}

/** Link, QR code and buttons, in the dialog and in the first run. */
export function CardParts(): JSX.Element {
  const app = useApp()
  const copy = useCopy()
  const { card, problem, load } = useCard()
  const account = app.account.value
  if (problem !== null) return <Trouble code={problem} onRetry={load} />
  if (card === null || account === null) return <div class="card-parts waiting" aria-busy="true" />
  const link = linkOf(card, account.origin)
  return (
    <div class="card-parts">
      <div class="qr-card">
        <QrCode content={card} label={text.card.qr} />
      </div>
      <div class="card-words">
        <CopyLine label={text.card.link} value={link} />
        <div class="actions">
          {"share" in navigator && (
            <Button icon={Share2} onClick={() => { void navigator.share({ url: link }).catch(() => undefined) }}>
              {text.card.share}
            </Button>
          )}
          <Button kind="quiet" icon={Copy} onClick={() => { copy(card) }}>
            {text.card.uri}
          </Button>
        </div>
      </div>
    </div>
  )
}

function useCard(): { readonly card: string | null; readonly problem: string | null; readonly load: () => void } {
  const { api } = useApp()
  const [card, setCard] = useState<string | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const load = (): void => {
    setProblem(null)
    api.card().then(setCard, (error: unknown) => { setProblem(codeOf(error)) })
  }
  useEffect(load, [api])
  return { card, problem, load }
}
