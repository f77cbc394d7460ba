/**
 * Names of files: which ones may be sent, and what they become on the disk of whoever saves them.
 *
 * A parser refuses what no honest program sends. Saving changes the rest, because a name that is right where it was
 * written can mislead a person or a file system elsewhere.
 *
 * Source: spec/files.md, "Names" and "Saved names".
 */

import { utf8 } from "./encoding"
import { Malformed } from "./errors"

export const MAX_PATH_SIZE = 1024 // bytes of UTF-8
export const MAX_COMPONENT_SIZE = 255 // bytes of UTF-8; what file systems take
export const MAX_FOLDERS = 10_000 // of all paths together
export const MAX_EXTENSION_SIZE = 16 // bytes kept when a name is cut, the dot included
export const NAMELESS = "file"

const CONTROL = /\p{Cc}/u
const SURROGATE = /\p{Cs}/u
// Characters without a shape of their own (Unicode's Default_Ignorable_Code_Point, and the annotation marks): they turn
// the direction of what follows or make two names look alike. Joiners and variation selectors stay, because Persian,
// Indic scripts and emoji are written with them. Listed and not named: browsers differ in their version of Unicode.
const UNSEEN = new RegExp(
  String.raw`[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e` +
    String.raw`\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\u{1bca0}-\u{1bca3}` +
    String.raw`\u{1d173}-\u{1d17a}\u{e0000}-\u{e00ff}\u{e01f0}-\u{e0fff}]`,
  "gu",
)
// White_Space: fifty spaces push the true extension out of sight, and a line break ends the name in a list.
const SPACE = /[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g
const RESERVED_CHARACTER = /[/\\:*?"<>|]/g // of Windows; a colon names a stream there
const RESERVED_NAME = /^(?:CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:\.|$)/i
const HEAD = /^[.\-~ ]+/
const TAIL = /[. ]+$/

/**
 * Return a name that may stand between the slashes of a path.
 *
 * @throws Malformed: empty, `.` or `..`, over 255 bytes, no Unicode text, or with a slash, backslash or control
 * character.
 */
export function checkComponent(name: string): string {
  if (["", ".", ".."].includes(name) || /[/\\]/.test(name) || CONTROL.test(name)) {
    throw new Malformed("a name that no file may have")
  }
  if (sizeOf(name) > MAX_COMPONENT_SIZE) throw new Malformed(`a name of more than ${MAX_COMPONENT_SIZE} bytes`)
  return name
}

/**
 * Return a path that stays inside the folder it is saved in.
 *
 * @throws Malformed: over 1,024 bytes, or a component that `checkComponent` refuses: absolute paths have an empty one.
 */
export function checkPath(path: string): string {
  if (sizeOf(path) > MAX_PATH_SIZE) throw new Malformed(`a path of more than ${MAX_PATH_SIZE} bytes`)
  for (const component of path.split("/")) checkComponent(component)
  return path
}

/**
 * Refuse paths that some file system takes for one, and a file where another path has a folder.
 *
 * @throws Malformed: two such paths.
 */
export function checkDistinct(paths: readonly string[]): void {
  // With the lowest character for a slash, whatever lies inside a folder follows it at once.
  const inOrder = paths.map((path) => folded(path).replaceAll("/", "\0")).sort(byCodeUnit)
  for (const [at, after] of inOrder.slice(1).entries()) {
    const before = inOrder[at] ?? ""
    if (after === before || after.startsWith(`${before}\0`)) throw new Malformed("two files that need one place")
  }
}

/**
 * Refuse paths that need more folders than an offer has files.
 *
 * Ten thousand paths of five hundred components would be five million folders, and gigabytes of memory to place them.
 *
 * @throws Malformed: more than 10,000 folders.
 */
export function checkFolders(paths: readonly string[]): void {
  const folders = new Set<string>()
  for (const path of paths) {
    for (let folder = folderOf(path); folder !== "" && !folders.has(folder); folder = folderOf(folder)) {
      folders.add(folder)
    }
    if (folders.size > MAX_FOLDERS) throw new Malformed(`more than ${MAX_FOLDERS} folders`)
  }
}

/**
 * Return what a file system that ignores case and composition may make of a path.
 *
 * At least as coarse as Unicode's case folding, and within the reach of every language's standard library.
 */
export function folded(path: string): string {
  return path.normalize("NFC").toLowerCase().toUpperCase().normalize("NFC")
}

/** Return the bytes of a text in UTF-8 (Malformed if it has none: half a surrogate pair). */
export function sizeOf(text: string): number {
  if (SURROGATE.test(text)) throw new Malformed("a name that is not Unicode text")
  return utf8(text).length
}

/**
 * Return the name under which to show and to save what a peer calls `component`.
 *
 * Unseen characters go, white space becomes single spaces, characters that Windows reserves become `_`. So do dots,
 * dashes and tildes in front, which hide a file, make it an option of a command, or name someone's home; dots and
 * spaces at the end, which Windows drops, go. A device's name gets a `_` in front. At most 255 bytes remain, cut
 * before the extension; of nothing, `file` remains.
 *
 * @param component Any text; no path.
 * @returns 1 to 255 bytes in UTF-8, which `checkComponent` takes and this function leaves as they are.
 */
export function safeName(component: string): string {
  const seen = component.replaceAll(UNSEEN, "").normalize("NFC").replaceAll(SPACE, " ")
  const plain = seen.replaceAll(RESERVED_CHARACTER, "_").replace(TAIL, "")
  const text = plain.replace(HEAD, (head) => (head.trim() === "" ? "" : "_"))
  const shortened = shorten(RESERVED_NAME.test(text) ? `_${text}` : text, "")
  return shortened === "" ? NAMELESS : shortened
}

/**
 * Return where to save each path: safe names, and no two in one place.
 *
 * @param paths As a manifest lists them.
 * @returns As many paths, in the same order; a name that is taken gets ` (2)` before its extension.
 */
export function safePaths(paths: readonly string[]): readonly string[] {
  const taken = new Map<string, number>()
  const chosen = new Map<string, string>() // what a sent folder or file is called here
  const place = (sent: string): string => {
    const folder = folderOf(sent)
    const name = sent.slice(folder === "" ? 0 : folder.length + 1)
    const here = chosen.get(sent) ?? free(folder === "" ? "" : place(folder), safeName(name), taken)
    chosen.set(sent, here)
    return here
  }
  return paths.map(place)
}

/**
 * Return a path in a folder that nothing else takes, and take it.
 *
 * `taken` holds the last number given to each path, so that ten thousand names that become one are no long search.
 */
function free(folder: string, name: string, taken: Map<string, number>): string {
  const first = folded(joined(folder, name))
  let path = joined(folder, name)
  while (taken.has(folded(path))) {
    const number = (taken.get(first) ?? 1) + 1
    taken.set(first, number)
    path = joined(folder, shorten(name, ` (${number})`))
  }
  taken.set(folded(path), 1)
  return path
}

/** Return a name with a mark before its extension, cut before the mark so that 255 bytes suffice. */
function shorten(name: string, mark: string): string {
  const dot = name.lastIndexOf(".")
  const hasExtension = dot > 0 && utf8(name.slice(dot)).length <= MAX_EXTENSION_SIZE
  const stem = hasExtension ? name.slice(0, dot) : name
  const end = mark + (hasExtension ? name.slice(dot) : "")
  const room = MAX_COMPONENT_SIZE - utf8(end).length
  // As many whole characters as fit: `read` counts code units of the text.
  const { read } = new TextEncoder().encodeInto(stem, new Uint8Array(room))
  return (read === stem.length ? stem : stem.slice(0, read).replace(TAIL, "")) + end
}

/** Return the folder a path lies in; empty at the top. */
function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")))
}

function joined(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`
}

function byCodeUnit(first: string, second: string): number {
  return first < second ? -1 : Number(first > second)
}
