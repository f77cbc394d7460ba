/** The messages of a conversation. */

import { ArrowDown, Lock } from "lucide-preact"
import type { JSX } from "preact"
import { useRef } from "preact/hooks"
import type { Line } from "../models/lines"
import type { Thread } from "../models/thread"
import { text } from "../text/text"
import { DayLine, UnreadLine } from "./quiet_lines"
import { MessageRow } from "./message_row"
import { now } from "./now"
import { NoticeLine } from "./notice_line"
import { Empty } from "./parts"
import { moveFocus } from "./roving"
import { useVirtualList } from "./virtual_list"

export function MessageList({ thread, name }: { readonly thread: Thread; readonly name: string }): JSX.Element {
  const lines = thread.lines.value
  const root = useRef<HTMLDivElement>(null)
  const view = useVirtualList({
    lines,
    target: thread.target.value,
    onNearStart: () => void thread.loadOlder(),
    onNearEnd: () => void thread.loadNewer(),
  })
  const isBehind = !view.isAtEnd || !thread.isEnd.value
  const count = useUnseen(thread, isBehind)
  if (lines.length === 0) {
    return (
      <Empty icon={Lock} title={text.thread.emptyTitle(name)}>
        {text.thread.emptyText}
      </Empty>
    )
  }
  return (
    <div class="messages-frame" ref={root}>
      <div
        class="messages"
        ref={view.scroller}
        role="group"
        aria-label={text.thread.messages}
        tabIndex={0}
        onScroll={view.onScroll}
        onKeyDown={(event) => { moveFocus(event, view.list.current, "li.message") }}
      >
        <ol ref={view.list}>
          {lines.slice(view.range.first, view.range.end).map((line) => (
            <LineView key={line.key} line={line} name={name} isMarked={isMarked(thread, line)} />
          ))}
        </ol>
      </div>
      {isBehind && <JumpButton thread={thread} count={count} />}
    </div>
  )
}

function LineView(props: { readonly line: Line; readonly name: string; readonly isMarked: boolean }): JSX.Element {
  const { line, name } = props
  switch (line.kind) {
    case "day":
      return <DayLine time={line.time} now={now.value} />
    case "unread":
      return <UnreadLine />
    case "notice":
      return <NoticeLine notice={line.notice} name={name} />
    case "message":
      return <MessageRow line={line} name={name} isMarked={props.isMarked} />
  }
}

/** How many messages of theirs came since the end was last in view. */
function useUnseen(thread: Thread, isBehind: boolean): number {
  const entries = thread.entries.value
  const seen = useRef(Infinity)
  if (!isBehind || seen.current === Infinity) seen.current = entries.at(-1)?.position ?? -1
  if (!isBehind) return 0
  const firstNew = entries.findLastIndex((entry) => entry.position <= seen.current) + 1
  return thread.newer.value + entries.slice(firstNew).filter((entry) => !entry.outgoing).length
}

function JumpButton({ thread, count }: { readonly thread: Thread; readonly count: number }): JSX.Element {
  const label = count > 0 ? text.thread.newestWith(count) : text.thread.newest
  return (
    <button type="button" class="jump" aria-label={label} title={label} onClick={() => void thread.jumpToNewest()}>
      <ArrowDown size={20} />
      {count > 0 && <span class="badge">{count}</span>}
    </button>
  )
}

function isMarked(thread: Thread, line: Line): boolean {
  return line.kind === "message" && line.entry.position === thread.marked.value
}
