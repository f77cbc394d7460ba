/** Something to know that is no message, as a quiet line; louder if it is about trust. */

import { CircleAlert, Info, Megaphone, RefreshCw, ShieldAlert, Smartphone, TriangleAlert, type LucideIcon } from "lucide-preact"
import type { JSX } from "preact"
import type { Notice, NoticeKind } from "../../client/api"
import { clockTime } from "../text/dates"
import { text } from "../text/text"

const ICONS: Readonly<Record<NoticeKind, LucideIcon>> = {
  request: Info,
  "requests-full": Info,
  device: Smartphone,
  gap: CircleAlert,
  refreshed: RefreshCw,
  stale: ShieldAlert,
  "own-record": ShieldAlert,
  unsupported: Info,
  restored: RefreshCw,
  drained: TriangleAlert,
  failed: CircleAlert,
  announcement: Megaphone,
}
const LOUD: ReadonlySet<NoticeKind> = new Set(["device", "stale", "own-record", "drained", "failed"])

export function NoticeLine({ notice, name }: { readonly notice: Notice; readonly name: string }): JSX.Element {
  const Icon = ICONS[notice.kind]
  const times = notice.data["times"]
  return (
    <li class={LOUD.has(notice.kind) ? "notice loud" : "notice"}>
      <p>
        <Icon size={16} strokeWidth={1.75} />
        <span>
          {words(notice, name)}{" "}
          {typeof times === "number" && `${text.notice.times(times)} `}
          <time class="faint">{clockTime(notice.time)}</time>
        </span>
      </p>
    </li>
  )
}

function words(notice: Notice, name: string): string {
  switch (notice.kind) {
    case "gap":
      return text.notice.gap(name, typeof notice.data["missing"] === "number" ? notice.data["missing"] : 1)
    case "request":
    case "requests-full":
    case "restored":
    case "refreshed":
    case "failed":
    case "announcement":
      return text.notice[notice.kind]
    case "device":
    case "stale":
    case "own-record":
    case "unsupported":
    case "drained":
      return text.notice[notice.kind](name)
  }
}
