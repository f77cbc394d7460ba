/** A modal dialog: the browser keeps the focus in it, and gives it back. */

import { X } from "lucide-preact"
import type { ComponentChildren, JSX } from "preact"
import { useId, useLayoutEffect, useRef } from "preact/hooks"
import { text } from "../text/text"
import { IconButton } from "./parts"

interface Props {
  readonly title: string
  readonly onClose: () => void
  readonly children: ComponentChildren
  readonly size?: "narrow" | "wide" | "palette"
  /** The title is for screen readers only. */
  readonly isBare?: boolean
}

export function Dialog({ title, onClose, children, size = "narrow", isBare = false }: Props): JSX.Element {
  const ref = useRef<HTMLDialogElement>(null)
  const id = useId()
  useLayoutEffect(() => {
    const dialog = ref.current
    dialog?.showModal()
    return () => { dialog?.close() }
  }, [])
  return (
    <dialog
      ref={ref}
      class={`dialog ${size}`}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      onMouseDown={(event) => {
        if (event.target === ref.current) onClose()
      }}
    >
      <div class="dialog-body">
        <header class={isBare ? "visually-hidden" : "dialog-head"}>
          <h2 id={id}>{title}</h2>
          {!isBare && <IconButton icon={X} label={text.app.close} onClick={onClose} />}
        </header>
        {children}
      </div>
    </dialog>
  )
}
