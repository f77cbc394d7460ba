/** Words for error codes. */

import { HalonyxError } from "../../core/errors"
import { text } from "./text"

/** Return the code of what was thrown. */
export function codeOf(error: unknown): string {
  return error instanceof HalonyxError ? error.code : "error"
}

/** Say what went wrong and what to do; `about` chooses words for what was being read. */
export function problemText(code: string, about?: "card" | "text"): string {
  if (code === "malformed" && about !== undefined) return text.problem[`malformed-${about}`]
  return lookup(text.problem, code) ?? text.problem.other(code)
}

/** Say why a message still waits. */
export function waitingText(code: string): string {
  return lookup(text.waits, code) ?? text.waits.other(code)
}

/** Say why files wait or failed, and what comes next. */
export function fileReasonText(code: string, name: string, isOurs: boolean): string {
  const { reasons } = text.files
  if (!isReason(code)) return text.files.reasonOther(code)
  return isOurs ? reasons[code].ours(name) : reasons[code].theirs(name)
}

function isReason(code: string): code is keyof typeof text.files.reasons {
  return Object.hasOwn(text.files.reasons, code)
}

/** Say why sending to someone was stopped. */
export function frozenText(code: string, name: string): string {
  if (code === "stale-directory" || code === "untrusted-identity") return text.frozen[code](name)
  return text.frozen.other(name)
}

/** Say why there is no connection. */
export function refusalText(reason: string | null): string {
  if (reason === "replaced") return text.bar.replaced
  if (reason === "not-authenticated") return text.bar.notAuthenticated
  if (reason === "relay-not-allowed") return text.bar.notAllowed
  if (reason === "bad-signature") return text.bar.newRelayKey
  return text.bar.refused
}

function lookup(words: Readonly<Record<string, unknown>>, code: string): string | undefined {
  const found = Object.hasOwn(words, code) ? words[code] : undefined
  return typeof found === "string" ? found : undefined
}
