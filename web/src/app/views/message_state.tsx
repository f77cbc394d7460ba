/** Clock, tick, two ticks: as a picture and in words. */

import { Check, CheckCheck, CircleAlert, Clock3, type LucideIcon } from "lucide-preact"
import type { JSX } from "preact"
import type { Entry, MessageState } from "../../client/api"
import { lacksReceipt } from "../models/receipts"
import { text } from "../text/text"
import { now } from "./now"

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

/** Says in a bubble that their device has not confirmed the message for a day. */
export function NoReceipt({ entry }: { readonly entry: Entry }): JSX.Element | null {
  return lacksReceipt(entry, now.value) ? <p class="small no-receipt">{text.thread.noReceipt}</p> : null
}
