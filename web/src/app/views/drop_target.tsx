/** Dragging files anywhere onto a conversation. */

import { Paperclip } from "lucide-preact"
import type { ComponentChildren, JSX } from "preact"
import { useRef, useState } from "preact/hooks"
import type { Contact } from "../../client/api"
import { dropped, holdsFiles } from "../effects/chosen_files"
import { text } from "../text/text"
import { useApp } from "./context"

interface Props {
  readonly contact: Contact
  readonly children: ComponentChildren
}

export function DropTarget({ contact, children }: Props): JSX.Element {
  const app = useApp()
  const [isOver, setOver] = useState(false)
  const depth = useRef(0) // elements inside are entered before those around them are left
  const canTake = contact.state === "accepted" && contact.frozen === null
  const isOurs = (event: DragEvent): boolean => canTake && holdsFiles(event.dataTransfer)
  const move = (by: 1 | -1) => (event: DragEvent): void => {
    if (!isOurs(event)) return
    depth.current += by
    setOver(depth.current > 0)
  }
  const drop = (event: DragEvent): void => {
    depth.current = 0
    setOver(false)
    if (!isOurs(event) || event.dataTransfer === null) return
    event.preventDefault()
    dropped(event.dataTransfer).then(
      (parcels) => { app.prepareFiles(contact.id, parcels) },
      () => { app.say(text.files.notRead, true) },
    )
  }
  return (
    <section
      class="thread"
      aria-label={text.thread.label(contact.name)}
      onDragEnter={move(1)}
      onDragLeave={move(-1)}
      onDragOver={(event) => { if (isOurs(event)) event.preventDefault() }}
      onDrop={drop}
    >
      {children}
      {isOver && (
        <div class="drop-veil">
          <Paperclip size={26} strokeWidth={1.5} />
          <p>{text.files.dropHere(contact.name)}</p>
        </div>
      )}
    </section>
  )
}
