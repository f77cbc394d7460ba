/** One conversation in the list. */

import { OctagonAlert, Paperclip, ShieldCheck } from "lucide-preact"
import type { JSX } from "preact"
import type { Conversation, Entry } from "../../client/api"
import { shortTime } from "../text/dates"
import { text } from "../text/text"
import { Avatar } from "./avatar"
import { useApp } from "./context"
import { FileName } from "./file_name"
import { MessageStateIcon } from "./message_state"
import { now } from "./now"

export function ConversationRow({ conversation }: { readonly conversation: Conversation }): JSX.Element {
  const app = useApp()
  const { contact, last, unread } = conversation
  const place = app.place.value
  const isOpen = place.kind === "thread" && place.contact === contact.id
  return (
    <li>
      <button
        type="button"
        class={unread > 0 ? "row unread" : "row"}
        data-stop
        aria-current={isOpen ? "page" : undefined}
        onClick={() => { app.go({ kind: "thread", contact: contact.id }) }}
      >
        <Avatar address={contact.address} size="medium" />
        <span class="row-words">
          <span class="row-top">
            <span class="row-name cut">
              <bdi>{contact.name}</bdi>
            </span>
            {contact.verified && <ShieldCheck class="row-shield" size={14} aria-label={text.thread.verified} />}
            {last !== null && <time class="row-time faint">{shortTime(last.received, now.value)}</time>}
          </span>
          <span class="row-bottom">
            {contact.frozen === null ? <Last entry={last} /> : <Frozen />}
            {unread > 0 && (
              <span class="badge">
                <span aria-hidden="true">{unread > 999 ? "999+" : unread}</span>
                <span class="visually-hidden">{text.list.unread(unread)}</span>
              </span>
            )}
          </span>
        </span>
      </button>
    </li>
  )
}

function Last({ entry }: { readonly entry: Entry | null }): JSX.Element {
  if (entry === null) return <span class="row-last cut faint">{text.list.nothingYet}</span>
  return (
    <>
      {entry.outgoing && <MessageStateIcon state={entry.state} />}
      {entry.file === null ? (
        <span class="row-last cut soft" dir="auto">
          {entry.text.slice(0, 160)}
        </span>
      ) : (
        <span class="row-last row-file soft">
          <Paperclip size={14} />
          <FileName name={entry.file.name} />
        </span>
      )}
    </>
  )
}

function Frozen(): JSX.Element {
  return (
    <span class="row-last cut warn">
      <OctagonAlert size={15} /> {text.list.frozen}
    </span>
  )
}
