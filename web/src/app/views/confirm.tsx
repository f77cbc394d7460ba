/** Questions before something that can't be taken back in one step. */

import type { ComponentChildren, JSX } from "preact"
import type { Transfer } from "../../client/api"
import { partsOfName } from "../models/files"
import { text } from "../text/text"
import { useApp } from "./context"
import { Dialog } from "./dialog"
import { Button } from "./parts"
import { useContact } from "./known_contact"

interface ConfirmProps {
  readonly title: string
  readonly action: string
  readonly cancel?: string
  readonly onConfirm: () => void
  readonly children: ComponentChildren
}

function Confirm({ title, action, cancel = text.app.cancel, onConfirm, children }: ConfirmProps): JSX.Element {
  const app = useApp()
  const close = (): void => { app.dialog.value = null }
  return (
    <Dialog title={title} onClose={close}>
      <p class="soft">{children}</p>
      <div class="actions end">
        <Button onClick={close}>{cancel}</Button>
        <Button kind="danger" onClick={onConfirm}>
          {action}
        </Button>
      </div>
    </Dialog>
  )
}

export function ConfirmBlock({ contact: id }: { readonly contact: number }): JSX.Element | null {
  const app = useApp()
  const name = useContact(id)?.name ?? text.notice.someone
  const block = async (): Promise<void> => {
    if (await app.act(() => app.api.blockContact(id), text.details.blocked(name))) app.leave(id)
  }
  return (
    <Confirm title={text.details.blockTitle(name)} action={text.details.block} onConfirm={() => void block()}>
      {text.details.blockText}
    </Confirm>
  )
}

export function ConfirmRemove({ contact: id }: { readonly contact: number }): JSX.Element | null {
  const app = useApp()
  const name = useContact(id)?.name ?? text.notice.someone
  const remove = async (): Promise<void> => {
    if (await app.act(() => app.api.removeContact(id), text.details.removed(name))) app.leave(id)
  }
  return (
    <Confirm title={text.details.removeTitle(name)} action={text.details.remove} onConfirm={() => void remove()}>
      {text.details.removeText}
    </Confirm>
  )
}

interface EndProps {
  readonly transfer: Transfer
  readonly kind: "cancel-file" | "forget-file"
}

/** End a transfer, or delete what came of it. */
export function ConfirmEnd({ transfer, kind }: EndProps): JSX.Element {
  const app = useApp()
  const name = useContact(transfer.contact)?.name ?? text.notice.someone
  const file = partsOfName(transfer.name).join("")
  const isForgotten = kind === "forget-file"
  const end = (): void => {
    app.dialog.value = null
    void app.act(() => app.api.cancelFile(transfer.id), null)
  }
  return (
    <Confirm
      title={isForgotten ? text.files.forgetTitle(file) : text.files.cancelTitle(file)}
      action={isForgotten ? text.files.actions.forget : text.files.actions.cancel}
      cancel={text.files.keep}
      onConfirm={end}
    >
      {isForgotten ? text.files.forgetText : text.files.cancelText(name)}
    </Confirm>
  )
}
