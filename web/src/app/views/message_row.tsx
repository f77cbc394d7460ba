/** One message. Drawn again only if its own line changed. */

import { Component, type JSX } from "preact"
import type { Line } from "../models/lines"
import { clockTime, messageTime } from "../text/dates"
import { text } from "../text/text"
import { FileCard } from "./file_card"
import { MessageStateIcon, NoReceipt } from "./message_state"

const FRESH_MS = 1500 // a message this new moves in

interface Props {
  readonly line: Extract<Line, { kind: "message" }>
  readonly name: string
  readonly isMarked: boolean
}

export class MessageRow extends Component<Props> {
  readonly #isFresh = Date.now() - this.props.line.entry.received < FRESH_MS

  override shouldComponentUpdate(next: Props): boolean {
    const { line, name, isMarked } = this.props
    return next.line !== line || next.name !== name || next.isMarked !== isMarked
  }

  override render(): JSX.Element {
    const { line, name, isMarked } = this.props
    const { entry, isFirst } = line
    const classes = [
      "message",
      entry.outgoing ? "ours" : "theirs",
      isFirst ? "first" : "",
      isMarked ? "marked" : "",
      this.#isFresh ? "fresh" : "",
    ]
    return (
      <li class={classes.filter(Boolean).join(" ")} tabIndex={-1}>
        <div class={entry.file === null ? "bubble" : "bubble of-file"}>
          <span class="visually-hidden">{entry.outgoing ? text.list.you : name}: </span>
          {entry.file === null ? (
            <p dir="auto">
              <span class="words">{entry.text}</span>
              <MessageStateIcon state={entry.state} />
            </p>
          ) : (
            <FileCard file={entry.file} name={name} messageState={entry.state} />
          )}
          <NoReceipt entry={entry} />
        </div>
        <time
          class="when"
          dateTime={new Date(entry.time).toISOString()}
          title={messageTime(entry.time, entry.received)}
        >
          {clockTime(entry.received)}
        </time>
      </li>
    )
  }
}
