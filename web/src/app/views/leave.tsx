/** Deleting the identity at its relay and erasing this device, confirmed by the recovery code that both need. */

import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { hostOf } from "../models/card_link"
import { CODE_CHARACTERS, foldCode } from "../models/first_run"
import { codeOf, problemText } from "../text/problems"
import { text } from "../text/text"
import { useApp } from "./context"
import { Dialog } from "./dialog"
import { Button, Field, Mistake } from "./parts"

const OF_THE_FIELD = ["malformed-code", "wrong-code"] // codes

export function LeaveDialog(): JSX.Element {
  const app = useApp()
  const [code, setCode] = useState("")
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const have = foldCode(code).length
  const ofField = problem !== null && OF_THE_FIELD.includes(problem)
  const close = (): void => { app.dialog.value = null }
  const leave = async (): Promise<void> => {
    setBusy(true)
    setProblem(null)
    try {
      await app.api.deleteAccount(code)
      await app.act(() => app.api.eraseDevice(), null)
    } catch (error) {
      setProblem(codeOf(error))
    }
    setBusy(false)
  }
  return (
    <Dialog title={text.leave.title} onClose={close}>
      <p>{text.leave.lost(hostOf(app.account.value?.origin ?? ""))}</p>
      <p class="soft">{text.leave.stays}</p>
      <p class="soft">{text.leave.again}</p>
      {problem !== null && !ofField && <Mistake>{`${text.leave.nothing} ${problemText(problem)}`}</Mistake>}
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault()
          void leave()
        }}
      >
        <Field
          label={text.leave.label}
          rows={3}
          isMono
          autoFocus
          value={code}
          onInput={setCode}
          hint={text.leave.hint(have, CODE_CHARACTERS)}
          problem={ofField ? problemText(problem) : null}
        />
        <div class="actions end">
          <Button onClick={close}>{text.app.cancel}</Button>
          <Button kind="danger" type="submit" disabled={have !== CODE_CHARACTERS || isBusy}>
            {isBusy ? text.leave.working : text.leave.submit}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
