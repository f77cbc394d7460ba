/** People and messages that contain what was searched. */

import type { JSX } from "preact"
import type { Found } from "../../client/api"
import { excerptOf, type Search } from "../models/search"
import { shortTime } from "../text/dates"
import { text } from "../text/text"
import { Avatar } from "./avatar"
import { useApp } from "./context"
import { ConversationRow } from "./conversation_row"
import { useLongWait } from "./media"
import { now } from "./now"

interface Props {
  readonly search: Search
  /** A result was chosen. */
  readonly onPick: () => void
}

export function SearchResults({ search, onPick }: Props): JSX.Element {
  const people = search.people.value
  const messages = search.messages.value
  const isLong = useLongWait(search.isBusy.value)
  const count = people.length + messages.length
  return (
    <div class="results" onClick={(event) => { if (isResult(event.target)) onPick() }}>
      <p class="visually-hidden" role="status">{search.isBusy.value ? "" : text.search.found(count)}</p>
      {people.length > 0 && (
        <section aria-label={text.list.people}>
          <h2 class="section-name">{text.list.people}</h2>
          <ul>
            {people.map((conversation) => (
              <ConversationRow key={conversation.contact.id} conversation={conversation} />
            ))}
          </ul>
        </section>
      )}
      {messages.length > 0 && (
        <section aria-label={text.list.messages}>
          <h2 class="section-name">{text.list.messages}</h2>
          <ul>
            {messages.map((found) => (
              <FoundRow key={found.entry.position} found={found} query={search.query.value} />
            ))}
          </ul>
        </section>
      )}
      {count === 0 && !search.isBusy.value && <p class="nothing soft">{text.list.nothingFound}</p>}
      {count === 0 && isLong && <p class="nothing soft">{text.list.searching}</p>}
    </div>
  )
}

function FoundRow({ found, query }: { readonly found: Found; readonly query: string }): JSX.Element {
  const app = useApp()
  const { entry, contactName } = found
  const excerpt = excerptOf(entry, query)
  const address = app.people.find(entry.contact)?.contact.address
  return (
    <li>
      <button
        type="button"
        class="row"
        data-stop
        onClick={() => { app.go({ kind: "thread", contact: entry.contact }, entry.position) }}
      >
        {address !== undefined && <Avatar address={address} size="medium" />}
        <span class="row-words">
          <span class="row-top">
            <span class="row-name cut">
              <bdi>{contactName}</bdi>
            </span>
            <time class="row-time faint">{shortTime(entry.received, now.value)}</time>
          </span>
          <span class="row-last cut soft" dir="auto">
            {excerpt.before}
            <mark>{excerpt.match}</mark>
            {excerpt.after}
          </span>
        </span>
      </button>
    </li>
  )
}

function isResult(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("button") !== null
}
