/** What happened that concerns no conversation, for a day or until it is closed. */

import { Info, X } from "lucide-preact"
import type { JSX } from "preact"
import { signal } from "@preact/signals"
import { DAY } from "../../core/types"
import { text } from "../text/text"
import { useApp } from "./context"
import { now } from "./now"
import { IconButton } from "./parts"

/** Ids that were closed on this page. */
const closed = signal<ReadonlySet<number>>(new Set())

export function GeneralNotices(): JSX.Element {
  const { people } = useApp()
  const latest = people.notices.value.findLast(
    ({ id, kind, time }) =>
      (kind === "requests-full" || kind === "restored") && !closed.value.has(id) && now.value - time < DAY,
  )
  return (
    <div role="status">
      {latest !== undefined && (
        <div class="bar">
          <Info size={18} />
          <span>{words(latest.kind)}</span>
          <IconButton
            icon={X}
            label={text.app.close}
            onClick={() => { closed.value = new Set([...closed.value, ...people.notices.value.map(({ id }) => id)]) }}
          />
        </div>
      )}
    </div>
  )
}

function words(kind: string): string {
  return kind === "restored" ? text.notice.restored : text.notice["requests-full"]
}
