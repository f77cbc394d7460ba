/** The field to write in: grows to six lines, counts bytes near the limit, keeps a draft for each conversation. */

import { ArrowUp, Paperclip } from "lucide-preact"
import type { JSX } from "preact"
import { useLayoutEffect, useRef, useState } from "preact/hooks"
import { pasted } from "../effects/chosen_files"
import type { Parcel } from "../models/parcels"
import type { Thread } from "../models/thread"
import { text } from "../text/text"
import { useApp } from "./context"
import { useMedia } from "./media"

const MAX_TEXT_SIZE = 16_384 // bytes; spec/envelope.md, "Content"
const WORTH_SAYING = 1000 // bytes left
const encoder = new TextEncoder()

export function Composer({ thread, name }: { readonly thread: Thread; readonly name: string }): JSX.Element {
  const app = useApp()
  const [draft, setDraft] = useState(() => app.drafts.get(thread.id) ?? "")
  const isTouch = useMedia("(pointer: coarse)")
  const left = MAX_TEXT_SIZE - encoder.encode(draft).length
  const canSend = draft.trim() !== "" && left >= 0

  const write = (typed: string): void => {
    app.drafts.set(thread.id, typed)
    setDraft(typed)
  }
  const send = (): void => {
    if (!canSend) return
    write("")
    app.send(thread, draft).catch(() => {
      // What was typed meanwhile is kept, too.
      write([draft, app.drafts.get(thread.id)].filter(Boolean).join("\n"))
      app.say(text.thread.notSent, true)
    })
  }
  return (
    <form class="composer" onSubmit={(event) => { event.preventDefault(); send() }}>
      <button
        class="attach"
        type="button"
        aria-label={text.files.attach}
        title={text.files.attach}
        onClick={() => { app.prepareFiles(thread.id, []) }}
      >
        <Paperclip size={20} strokeWidth={1.75} />
      </button>
      <Writing
        name={name}
        draft={draft}
        onInput={write}
        onEnter={isTouch ? null : send}
        isTooLong={left < 0}
        onFiles={(parcels) => { app.prepareFiles(thread.id, parcels) }}
      />
      <button class="send" type="submit" aria-label={text.thread.send} title={text.thread.send} disabled={!canSend}>
        <ArrowUp size={20} strokeWidth={2.25} />
      </button>
      <p id="composer-count" class={left < 0 ? "composer-count bad" : "composer-count"} role="status">
        {left < 0 && `${text.thread.over(-left)}. ${text.thread.overHint}`}
        {left >= 0 && left < WORTH_SAYING && text.thread.left(left)}
      </p>
    </form>
  )
}

interface WritingProps {
  readonly name: string
  readonly draft: string
  readonly onInput: (typed: string) => void
  /** null: Enter breaks the line. */
  readonly onEnter: (() => void) | null
  readonly isTooLong: boolean
  readonly onFiles: (parcels: readonly Parcel[]) => void
}

function Writing({ name, draft, onInput, onEnter, isTooLong, onFiles }: WritingProps): JSX.Element {
  const ref = useRef<HTMLTextAreaElement>(null)
  useLayoutEffect(() => {
    const field = ref.current
    if (field === null) return
    field.style.setProperty("height", "auto")
    const border = field.offsetHeight - field.clientHeight
    field.style.setProperty("height", `${field.scrollHeight + border}px`) // the style sheet ends it at six lines
  }, [draft])
  return (
    <textarea
      ref={ref}
      class="composer-field"
      rows={1}
      dir="auto"
      autoComplete="off" // else Chromium writes the draft into its session files, in the clear
      placeholder={text.thread.write}
      aria-label={text.thread.writeTo(name)}
      aria-describedby="composer-count"
      aria-invalid={isTooLong}
      enterkeyhint={onEnter === null ? "enter" : "send"}
      value={draft}
      onInput={(event) => { onInput(event.currentTarget.value) }}
      onPaste={(event) => {
        const files = pasted(event.clipboardData, Date.now())
        // A page of an office program comes as text and as a picture of itself: the text is meant.
        if (files.length === 0 || event.clipboardData?.types.includes("text/plain") === true) return
        event.preventDefault()
        onFiles(files)
      }}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing || onEnter === null) return
        event.preventDefault()
        onEnter()
      }}
    />
  )
}
