/** The panes: conversations, what is open, details; one, two or three of them side by side. */

import type { JSX } from "preact"
import { MessageCircle } from "lucide-preact"
import { text } from "../text/text"
import { ConversationList } from "./conversation_list"
import { ConversationView } from "./conversation"
import { useApp } from "./context"
import { DetailsPane } from "./details"
import { Dialogs } from "./dialogs"
import { FirstSteps } from "./first_steps"
import { THREE_PANES, TWO_PANES, useMedia } from "./media"
import { Empty } from "./parts"
import { Requests } from "./requests"

export function Shell(): JSX.Element {
  const app = useApp()
  const isWide = useMedia(TWO_PANES)
  const isWidest = useMedia(THREE_PANES)
  const place = app.place.value
  const thread = app.thread.value
  const hasDetails = isWidest && thread !== null && app.isDetailsShown.value
  return (
    <div class={hasDetails ? "shell three" : "shell"}>
      {isWide && <ConversationList />}
      {!isWide && place.kind === "list" && (
        <main class="pane">
          <ConversationList />
        </main>
      )}
      {(isWide || place.kind !== "list") && (
        <main class="pane main">
          {thread !== null && <ConversationView key={thread.id} thread={thread} />}
          {place.kind === "requests" && <Requests />}
          {place.kind === "list" && <NothingPicked />}
        </main>
      )}
      {hasDetails && <DetailsPane contact={thread.contact.value} />}
      <Dialogs />
      <p class="visually-hidden" aria-live="polite">
        {app.spoken.value}
      </p>
    </div>
  )
}

function NothingPicked(): JSX.Element | null {
  const conversations = useApp().people.conversations.value
  if (conversations === null) return null
  if (conversations.length === 0) return <FirstSteps />
  return (
    <Empty icon={MessageCircle} title={text.pick.title}>
      {text.pick.text}
    </Empty>
  )
}
