/** Offers of files as a person sees them: what can be done with one, how far it is, what it is called. */

import { safeName } from "../../core/file_names"
import type { Transfer, TransferState } from "../../client/api"

export type FileAction =
  | "accept"
  | "refuse"
  | "pause"
  | "resume"
  | "cancel"
  | "retry"
  | "save"
  | "allowDirect"
  | "forget"

/** Media types that are shown in place; the client decodes no other. */
const IMAGES: ReadonlySet<string> = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"])
/** What a system runs, or opens as a page with scripts, when it is opened. */
const PROGRAMS: ReadonlySet<string> = new Set([
  ...["apk", "app", "appimage", "bat", "cmd", "com", "cpl", "deb", "desktop", "dmg", "docm", "exe", "hta", "htm"],
  ...["html", "iso", "jar", "js", "lnk", "msc", "msi", "pif", "pkg", "ps1", "py", "reg", "rpm", "scr", "sh", "svg"],
  ...["vbs", "wsf", "xhtml", "xlsm"],
])
const LONGEST_EXTENSION = 10 // characters, the dot included

/** Return what can be done with an offer, the most likely first. */
export function actionsOf(transfer: Transfer): readonly FileAction[] {
  const { outgoing, state } = transfer
  switch (state) {
    case "offered":
      return outgoing ? ["cancel"] : ["accept", "refuse"]
    case "preparing":
      return ["cancel"]
    case "waiting":
      return waitingActions(transfer)
    case "transferring":
      return ["pause", "cancel"]
    case "paused":
      return ["resume", "cancel"]
    case "verifying":
    case "refused":
    case "cancelled":
      return []
    case "done":
      return outgoing ? [] : ["save", "forget"]
    case "failed":
      if (canRetry(transfer)) return ["retry", "forget"]
      return NEVER_WHOLE.has(transfer.reason) ? [] : ["forget"]
  }
}

function waitingActions({ reason, path }: Transfer): readonly FileAction[] {
  if (reason === "needs-direct") return ["allowDirect", "cancel"]
  if (reason === "relay-unreachable") return ["retry", "pause", "cancel"]
  if (reason === "strange-relay") return ["cancel"]
  return path === null && reason === "relay-not-allowed" ? ["cancel"] : ["pause", "cancel"]
}

/** What was never encrypted to the end, or is not kept, has to be offered anew. */
const NEVER_WHOLE: ReadonlySet<string | null> = new Set([
  ...["interrupted", "file-changed", "cancelled", "expired", "no-room"],
])

function canRetry({ reason, outgoing }: Transfer): boolean {
  return !NEVER_WHOLE.has(reason) && !(outgoing && reason === "damaged")
}

/** Say which way files go, in the words for it; while our relay was not asked, nobody knows. */
export function wayOf(isDirect: boolean, hasTurn: boolean | null): "direct" | ReturnType<typeof detourOf> {
  return isDirect ? "direct" : detourOf(hasTurn)
}

/** As `wayOf`, where a direct connection is not allowed. */
export function detourOf(hasTurn: boolean | null): "relayed" | "noWay" | "asking" {
  if (hasTurn === null) return "asking"
  return hasTurn ? "relayed" : "noWay"
}

/** Return how far a transfer is, 0 to 1; null if that can't be told or means nothing. */
export function shareOf({ state, done, total }: Transfer): number | null {
  const isCounted = ["preparing", "waiting", "transferring", "paused", "verifying"].includes(state)
  if (!isCounted || total <= 0) return null
  return Math.min(1, done / total)
}

/** Tell whether a transfer is under way, so that its numbers change. */
export function isMoving(state: TransferState): boolean {
  return state === "preparing" || state === "transferring" || state === "verifying"
}

export function isImage({ mediaType, isFolder }: Pick<Transfer, "mediaType" | "isFolder">): boolean {
  return !isFolder && IMAGES.has(mediaType)
}

/** Tell whether opening a file may run something. */
export function isProgram(name: string): boolean {
  return name.includes(".") && PROGRAMS.has(name.slice(name.lastIndexOf(".") + 1).toLowerCase())
}

/**
 * Part a name as it is shown: as it would be saved, and its extension where it can't be pushed out of sight.
 *
 * @returns What may be cut, and what may not.
 */
export function partsOfName(name: string): readonly [string, string] {
  const safe = safeName(name)
  const dot = safe.lastIndexOf(".")
  if (dot <= 0 || safe.length - dot > LONGEST_EXTENSION) return [safe, ""]
  return [safe.slice(0, dot), safe.slice(dot)]
}

export type FileKindName = "folder" | "image" | "video" | "audio" | "archive" | "text" | "program" | "file"

const ARCHIVE = /\.(7z|bz2|gz|rar|tar|tgz|xz|zip|zst)$/i
const TEXT = /\.(csv|doc|docx|epub|md|odp|ods|odt|pdf|ppt|pptx|rtf|tex|txt|xls|xlsx)$/i

/** Tell what kind of thing an offer is, for its picture; the name counts, because it decides what opens it. */
export function kindOf({ name, mediaType, isFolder }: Pick<Transfer, "name" | "mediaType" | "isFolder">): FileKindName {
  if (isFolder) return "folder"
  if (isProgram(name)) return "program"
  if (ARCHIVE.test(name)) return "archive"
  if (TEXT.test(name)) return "text"
  const [family] = mediaType.split("/")
  if (family === "image" || family === "video" || family === "audio" || family === "text") return family
  return "file"
}
