/** Erasing this device, after a word was typed. */

import { Trash2 } from "lucide-preact"
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { text } from "../text/text"
import { useApp } from "./context"
import { Button, Field } from "./parts"

export function Erase({ label }: { readonly label: string }): JSX.Element {
  const app = useApp()
  const [typed, setTyped] = useState<string | null>(null)
  if (typed === null) {
    return (
      <Button icon={Trash2} onClick={() => { setTyped("") }}>
        {label}
      </Button>
    )
  }
  const isConfirmed = typed.trim().toLowerCase() === text.settings.eraseWord
  const erase = (event: Event): void => {
    event.preventDefault()
    void app.act(() => app.api.eraseDevice(), null)
  }
  return (
    <form class="erase" onSubmit={erase /* by Enter, too, if its button can be pressed */}>
      <Field label={text.settings.eraseType} value={typed} onInput={setTyped} autoFocus />
      <div class="actions end">
        <Button onClick={() => { setTyped(null) }}>{text.app.cancel}</Button>
        <Button kind="danger" type="submit" disabled={!isConfirmed}>
          {text.settings.eraseNow}
        </Button>
      </div>
    </form>
  )
}
