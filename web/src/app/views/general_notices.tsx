/** What happened that concerns no conversation, for a day or until it is closed. */

import { Info, X } from "lucide-preact"
import type { JSX } from "preact"
import { DAY } from "../../core/types"
import { text } from "../text/text"
import { useApp } from "./context"
import { now } from "./now"
import { IconButton } from "./parts"

const KINDS = ["requests-full", "restored"] as const

export function GeneralNotices(): JSX.Element {
  const { people } = useApp()
  const latest = people.notices.value.findLast(
    ({ kind, time }) => KINDS.some((shown) => shown === kind) && now.value - time < DAY,
  )
  return (
    <div role="status">
      {latest !== undefined && (
        <div class="bar">
          <Info size={18} />
          <span>{words(latest.kind)}</span>
          <IconButton icon={X} label={text.app.close} onClick={() => { people.closeNotices(...KINDS) }} />
        </div>
      )}
    </div>
  )
}

function words(kind: string): string {
  return kind === "restored" ? text.notice.restored : text.notice["requests-full"]
}
