/** In place of the composer while sending is stopped: what happened, and what a person can do. */

import { OctagonAlert } from "lucide-preact"
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import type { Contact } from "../../client/api"
import { frozenText } from "../text/problems"
import { text } from "../text/text"
import { useApp } from "./context"
import { Button } from "./parts"

export function FrozenNotice({ contact, code }: { readonly contact: Contact; readonly code: string }): JSX.Element {
  const app = useApp()
  const [isQuiet, setQuiet] = useState(false)
  if (isQuiet) {
    return (
      <div class="frozen quiet" role="status">
        <OctagonAlert size={18} />
        <p>{text.frozen.quiet(contact.name)}</p>
        <Button kind="quiet" onClick={() => { setQuiet(false) }}>
          {text.frozen.review}
        </Button>
      </div>
    )
  }
  return (
    <section class="frozen" role="alert" aria-labelledby="frozen-title">
      <OctagonAlert size={24} strokeWidth={1.75} />
      <div>
        <h2 id="frozen-title">{text.frozen.title(contact.name)}</h2>
        <p>
          {frozenText(code, contact.name)} {text.frozen.advice}
        </p>
        <div class="actions">
          <Button kind="primary" onClick={() => { app.dialog.value = { kind: "safety", contact: contact.id } }}>
            {text.frozen.compare}
          </Button>
          <Button onClick={() => { setQuiet(true) }}>{text.frozen.dont}</Button>
        </div>
      </div>
    </section>
  )
}
