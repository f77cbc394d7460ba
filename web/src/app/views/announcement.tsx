/** What the operator of the relay says: outside of every conversation, and in a form that no message has. */

import { Megaphone, X } from "lucide-preact"
import type { JSX } from "preact"
import type { Notice } from "../../client/api"
import { LIFETIME } from "../../wire/announcement"
import { shortTime } from "../text/dates"
import { text } from "../text/text"
import { useApp } from "./context"
import { now } from "./now"
import { IconButton } from "./parts"

/** The newest one, until it is closed or its seven days are over. */
export function AnnouncementLine(): JSX.Element {
  const { people } = useApp()
  const isShown = ({ kind, time }: Notice): boolean => kind === "announcement" && now.value - time < LIFETIME
  const latest = people.notices.value.findLast(isShown)
  return (
    <div role="status">
      {latest !== undefined && (
        <section class="announcement">
          <header>
            <Megaphone size={18} />
            <h2>{text.notice.announcedBy(hostOf(latest.data["relay"]))}</h2>
            <time class="faint">{shortTime(latest.time, now.value)}</time>
            <IconButton icon={X} label={text.notice.forget} onClick={() => { people.closeNotices("announcement") }} />
          </header>
          <p class="announced" dir="auto" tabIndex={0 /* a long one is scrolled, by keys, too */}>
            {latest.data["announcement"]}
          </p>
          <p class="small faint">{text.notice.announcedWhat}</p>
        </section>
      )}
    </div>
  )
}

function hostOf(origin: unknown): string {
  return String(origin).replace(/^https?:\/\//, "")
}
