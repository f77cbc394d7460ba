/** Clock, tick, two ticks: as a picture and in words. */

import { Check, CheckCheck, CircleAlert, Clock3, type LucideIcon } from "lucide-preact"
import type { JSX } from "preact"
import type { MessageState } from "../../client/api"
import { text } from "../text/text"

const ICONS: Readonly<Record<Exclude<MessageState, "received">, LucideIcon>> = {
  waiting: Clock3,
  accepted: Check,
  delivered: CheckCheck,
  failed: CircleAlert,
}

export function MessageStateIcon({ state }: { readonly state: MessageState }): JSX.Element | null {
  if (state === "received") return null
  const Icon = ICONS[state]
  return (
    <span class={`state ${state}`} title={text.state[state]}>
      <Icon size={15} strokeWidth={2} />
      <span class="visually-hidden">{text.state[state]}</span>
    </span>
  )
}
