/** One conversation: who it is with, its messages, the field to write. */

import { ArrowLeft, Info, Shield, ShieldCheck } from "lucide-preact"
import type { JSX } from "preact"
import { useEffect } from "preact/hooks"
import type { Contact } from "../../client/api"
import type { Thread } from "../models/thread"
import { waitingText } from "../text/problems"
import { text } from "../text/text"
import { Avatar } from "./avatar"
import { FrozenNotice } from "./frozen_notice"
import { Composer } from "./composer"
import { ConnectionBar } from "./connection_bar"
import { useApp } from "./context"
import { DropTarget } from "./drop_target"
import { THREE_PANES, TWO_PANES, useMedia } from "./media"
import { MessageList } from "./message_list"
import { IconButton, Skeleton, Trouble } from "./parts"

export function ConversationView({ thread }: { readonly thread: Thread }): JSX.Element {
  const app = useApp()
  const contact = thread.contact.value ?? app.people.find(thread.id)?.contact ?? null
  const isWide = useMedia(TWO_PANES)
  useEffect(() => {
    if (isWide) document.querySelector<HTMLElement>("textarea.composer-field")?.focus({ preventScroll: true })
  }, [thread, isWide])
  if (contact === null) {
    const problem = thread.problem.value
    if (problem !== null) return <Trouble code={problem} onRetry={() => void thread.open(0, null)} />
    return <Skeleton rows={5} label={text.app.loading} />
  }
  return (
    <DropTarget contact={contact}>
      <ThreadHead contact={contact} />
      {!isWide && <ConnectionBar />}
      <Body thread={thread} name={contact.name} />
      <Foot thread={thread} contact={contact} />
    </DropTarget>
  )
}

function Body({ thread, name }: { readonly thread: Thread; readonly name: string }): JSX.Element {
  if (thread.isLoaded.value) return <MessageList thread={thread} name={name} />
  const problem = thread.problem.value
  return (
    <div class="messages-wait">
      {problem !== null && <Trouble code={problem} onRetry={() => void thread.open(0, null)} />}
    </div>
  )
}

function Foot({ thread, contact }: { readonly thread: Thread; readonly contact: Contact }): JSX.Element {
  if (contact.state === "blocked") return <p class="foot-note soft">{text.thread.blocked(contact.name)}</p>
  if (contact.frozen !== null) return <FrozenNotice contact={contact} code={contact.frozen} />
  return (
    <>
      <WaitingReason thread={thread} contact={contact} />
      <Composer thread={thread} name={contact.name} />
    </>
  )
}

/** Why messages still wait, as long as some do. */
function WaitingReason({ thread, contact }: { readonly thread: Thread; readonly contact: Contact }): JSX.Element {
  const isWaiting = thread.entries.value.some((entry) => entry.outgoing && entry.state === "waiting")
  const code = contact.waitsFor
  return (
    <div role="status">
      {isWaiting && code !== null && <p class="waiting-reason small soft">{waitingText(code)}</p>}
    </div>
  )
}

function ThreadHead({ contact }: { readonly contact: Contact }): JSX.Element {
  const app = useApp()
  const isWide = useMedia(TWO_PANES)
  const hasPane = useMedia(THREE_PANES)
  const showDetails = (): void => {
    if (hasPane) app.isDetailsShown.value = !app.isDetailsShown.value
    else app.dialog.value = { kind: "details", contact: contact.id }
  }
  return (
    <header class="thread-head">
      {!isWide && <IconButton icon={ArrowLeft} label={text.app.back} onClick={() => { app.go({ kind: "list" }) }} />}
      <Avatar address={contact.address} size="medium" />
      <div class="thread-title">
        <h1 class="cut">
          <bdi>{contact.name}</bdi>
        </h1>
        <Trust contact={contact} />
      </div>
      <IconButton
        icon={Info}
        label={text.thread.details}
        {...(hasPane ? { isPressed: app.isDetailsShown.value } : {})}
        onClick={showDetails}
      />
    </header>
  )
}

function Trust({ contact }: { readonly contact: Contact }): JSX.Element {
  const app = useApp()
  const compare = (): void => { app.dialog.value = { kind: "safety", contact: contact.id } }
  if (contact.verified) {
    return (
      <button type="button" class="trust verified" onClick={compare}>
        <ShieldCheck size={14} /> {text.thread.verified}
      </button>
    )
  }
  return (
    <button type="button" class="trust" onClick={compare}>
      <Shield size={14} />
      <span class="cut">
        {text.thread.notVerified} · <span class="trust-act">{text.thread.compare}</span>
      </span>
    </button>
  )
}
