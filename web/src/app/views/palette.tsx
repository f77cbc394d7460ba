/** Ctrl K: one field over everything, to get anywhere. */

import { Search as SearchIcon } from "lucide-preact"
import type { JSX } from "preact"
import { useLayoutEffect, useRef } from "preact/hooks"
import { text } from "../text/text"
import { useApp } from "./context"
import { ConversationRow } from "./conversation_row"
import { Dialog } from "./dialog"
import { useFocus } from "./parts"
import { moveFocus } from "./roving"
import { SearchResults } from "./search_results"

const RECENT = 6

export function Palette(): JSX.Element {
  const app = useApp()
  const search = app.palette
  const focused = useFocus(true)
  const body = useRef<HTMLDivElement>(null)
  const close = (): void => { app.dialog.value = null }
  const isEmpty = search.query.value.trim() === ""
  useLayoutEffect(() => { search.type("") }, [search]) // later, it would wipe out what was typed at once
  return (
    <Dialog title={text.search.title} onClose={close} size="palette" isBare>
      <div ref={body} class="palette" onKeyDown={(event) => { moveFocus(event, body.current, "[data-stop]") }}>
        <div class="search">
          <SearchIcon size={20} />
          <input
            type="search"
            class="search-input"
            data-stop
            ref={focused}
            dir="auto"
            autoComplete="off"
            spellcheck={false}
            aria-label={text.search.title}
            placeholder={text.search.placeholder}
            value={search.query.value}
            onInput={(event) => { search.type(event.currentTarget.value) }}
            onKeyDown={(event) => {
              if (event.isComposing) return
              if (event.key === "Escape") {
                event.preventDefault() // the browser would only empty the field
                close()
              }
              if (event.key !== "Enter") return
              event.preventDefault()
              body.current?.querySelector<HTMLElement>("button[data-stop]")?.click()
            }}
          />
          <kbd>Esc</kbd>
        </div>
        <div class="palette-body">
          {isEmpty ? <Recent onPick={close} /> : <SearchResults search={search} onPick={close} />}
        </div>
      </div>
    </Dialog>
  )
}

function Recent({ onPick }: { readonly onPick: () => void }): JSX.Element {
  const conversations = useApp().people.conversations.value ?? []
  return (
    <ul onClick={onPick}>
      {conversations.slice(0, RECENT).map((conversation) => (
        <ConversationRow key={conversation.contact.id} conversation={conversation} />
      ))}
    </ul>
  )
}
