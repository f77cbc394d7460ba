/** Who we talk to, newest first, with a field to find people and messages. */

import { Inbox, QrCode as QrIcon, Search as SearchIcon, Settings, UserRoundPlus, X } from "lucide-preact"
import type { JSX } from "preact"
import { useRef } from "preact/hooks"
import type { Search } from "../models/search"
import { text } from "../text/text"
import { AnnouncementLine } from "./announcement"
import { Avatar } from "./avatar"
import { ConnectionBar } from "./connection_bar"
import { useApp } from "./context"
import { ConversationRow } from "./conversation_row"
import { FirstSteps } from "./first_steps"
import { GeneralNotices } from "./general_notices"
import { TWO_PANES, useMedia } from "./media"
import { IconButton, Skeleton, Trouble } from "./parts"
import { moveFocus } from "./roving"
import { SearchResults } from "./search_results"

export function ConversationList(): JSX.Element {
  const app = useApp()
  const body = useRef<HTMLDivElement>(null)
  const pane = useRef<HTMLElement>(null)
  const isSearching = app.search.query.value.trim() !== ""
  return (
    <nav
      ref={pane}
      class="pane list"
      aria-label={text.list.label}
      onKeyDown={(event) => { moveFocus(event, pane.current, "[data-stop]") }}
    >
      <ListHead />
      <SearchField search={app.search} />
      <ConnectionBar />
      <AnnouncementLine />
      <GeneralNotices />
      <div class="list-body" ref={body}>
        {isSearching ? <SearchResults search={app.search} onPick={() => { app.search.type("") }} /> : <Rows />}
      </div>
    </nav>
  )
}

function ListHead(): JSX.Element {
  const app = useApp()
  const account = app.account.value
  return (
    <header class="list-head">
      <button
        type="button"
        class="me"
        aria-label={text.card.shareTitle}
        title={text.card.shareTitle}
        onClick={() => { app.dialog.value = { kind: "share" } }}
      >
        {account !== null && <Avatar address={account.address} size="medium" />}
      </button>
      <h1>{text.app.name}</h1>
      <IconButton icon={QrIcon} label={text.card.shareTitle} onClick={() => { app.dialog.value = { kind: "share" } }} />
      <IconButton
        icon={UserRoundPlus}
        label={text.card.addTitle}
        onClick={() => { app.dialog.value = { kind: "add", card: "" } }}
      />
      <IconButton
        icon={Settings}
        label={text.list.settings}
        onClick={() => { app.dialog.value = { kind: "settings" } }}
      />
    </header>
  )
}

function SearchField({ search }: { readonly search: Search }): JSX.Element {
  return (
    <div class="search" role="search">
      <SearchIcon size={18} />
      <input
        type="search"
        class="search-input"
        data-stop
        aria-label={text.list.searchHint}
        placeholder={text.list.search}
        dir="auto"
        autoComplete="off"
        spellcheck={false}
        value={search.query.value}
        onInput={(event) => { search.type(event.currentTarget.value) }}
        onKeyDown={(event) => {
          if (event.key === "Escape" && search.query.value !== "") {
            event.preventDefault()
            search.type("")
          }
        }}
      />
      {search.query.value !== "" && <IconButton icon={X} label={text.list.clear} onClick={() => { search.type("") }} />}
    </div>
  )
}

function Rows(): JSX.Element {
  const { people } = useApp()
  const conversations = people.conversations.value
  if (conversations === null) {
    if (people.problem.value !== null)
      return <Trouble code={people.problem.value} onRetry={() => void people.refresh()} />
    return <Skeleton rows={6} label={text.app.loading} />
  }
  return (
    <>
      <RequestsRow />
      {conversations.length === 0 ? (
        <NoConversations />
      ) : (
        <ul>
          {conversations.map((conversation) => (
            <ConversationRow key={conversation.contact.id} conversation={conversation} />
          ))}
        </ul>
      )}
    </>
  )
}

function RequestsRow(): JSX.Element | null {
  const app = useApp()
  const count = app.people.requests.value.length
  if (count === 0) return null
  return (
    <button
      type="button"
      class="row requests-row"
      data-stop
      aria-current={app.place.value.kind === "requests" ? "page" : undefined}
      onClick={() => { app.go({ kind: "requests" }) }}
    >
      <span class="row-icon">
        <Inbox size={20} strokeWidth={1.75} />
      </span>
      <span class="row-words">
        <span class="row-name">{text.list.requests(count)}</span>
        <span class="row-last soft">{text.list.requestsHint}</span>
      </span>
      <span class="badge" aria-hidden="true">
        {count}
      </span>
    </button>
  )
}

/** Where there is a pane beside the list, the first steps stand there. */
function NoConversations(): JSX.Element {
  const isWide = useMedia(TWO_PANES)
  return isWide ? <p class="nothing soft">{text.list.emptyTitle}</p> : <FirstSteps />
}
