/** An offer of files in the conversation: what it is, how far it is, what can be done. */

import { CircleAlert, TriangleAlert } from "lucide-preact"
import type { JSX } from "preact"
import type { MessageState, Transfer } from "../../client/api"
import { actionsOf, isMoving, isProgram, partsOfName, shareOf, wayOf, type FileAction } from "../models/files"
import { durationText, percentText, ratioText, sizeText, speedText } from "../text/amounts"
import { fileReasonText } from "../text/problems"
import { text } from "../text/text"
import { useApp } from "./context"
import { FileName } from "./file_name"
import { FilePicture, KindIcon } from "./file_picture"
import { MessageStateIcon } from "./message_state"
import { Button } from "./parts"

interface Props {
  readonly file: Transfer
  /** Of the contact. */
  readonly name: string
  readonly messageState: MessageState
}

export function FileCard({ file: told, name, messageState }: Props): JSX.Element {
  const file = useApp().transfers.of(told).value
  const shown = partsOfName(file.name).join("")
  const size = sizeText(file.size)
  return (
    <div class="file" role="group" aria-label={text.files.offer(shown, size)}>
      <FilePicture file={file} />
      <div class="file-head">
        {file.thumbnail === null && <KindIcon of={file} />}
        <div class="file-what">
          <p>
            <FileName name={file.name} />
          </p>
          <p class="small file-note">
            {size}
            {file.isFolder && ` · ${text.files.inFolder(file.count)}`}
          </p>
        </div>
        <MessageStateIcon state={messageState} />
      </div>
      <Progress file={file} shown={shown} />
      <Status file={file} name={name} />
      {file.state === "offered" && !file.outgoing && <Before file={file} name={name} />}
      <Actions file={file} />
    </div>
  )
}

function Progress({ file, shown }: { readonly file: Transfer; readonly shown: string }): JSX.Element | null {
  const share = shareOf(file)
  if (share === null || (file.state === "waiting" && share === 0)) return null
  return <progress max={1} value={share} aria-label={text.files.progress(shown)} />
}

/** Where it stands, in words and numbers; nothing here is spoken by itself. */
function Status({ file, name }: { readonly file: Transfer; readonly name: string }): JSX.Element {
  const state = file.state === "waiting" && file.reason === null ? "connecting" : file.state
  const words = text.files.states[state][file.outgoing ? "ours" : "theirs"](name)
  const share = shareOf(file)
  const isCounted = share !== null && (isMoving(file.state) || share > 0)
  return (
    <>
      <p class="small file-status">
        {words}
        {isCounted && <span class="file-percent"> · {percentText(share)}</span>}
        {file.secondsLeft !== null && ` · ${text.files.left(durationText(file.secondsLeft))}`}
      </p>
      {file.state === "transferring" && <Numbers file={file} />}
      {file.reason !== null && <Reason file={file} code={file.reason} name={name} />}
      {file.inDrop && file.state !== "done" && <p class="small file-note">{text.files.inDrop}</p>}
    </>
  )
}

function Numbers({ file }: { readonly file: Transfer }): JSX.Element {
  const parts = [
    text.files.down(speedText(file.down)),
    text.files.up(speedText(file.up)),
    text.files.peers(file.peers),
    text.files.ratio(ratioText(file.ratio)),
    ...(file.path === null ? [] : [text.files.paths[file.path]]),
  ]
  return (
    <ul class="small file-numbers">
      {parts.map((part, at) => (
        <li key={at}>{part}</li>
      ))}
    </ul>
  )
}

interface ReasonProps {
  readonly file: Transfer
  readonly code: string
  readonly name: string
}

function Reason({ file, code, name }: ReasonProps): JSX.Element {
  return (
    <p class={file.state === "failed" ? "note bad" : "note file-note"}>
      <CircleAlert size={16} />
      <span>{fileReasonText(code, name, file.outgoing)}</span>
    </p>
  )
}

/** What to know before an offer is accepted. */
function Before({ file, name }: { readonly file: Transfer; readonly name: string }): JSX.Element {
  const hasTurn = useApp().status.value?.hasTurn ?? null // what the offer says may be from before our relay was asked
  const way = text.files[wayOf(file.directAllowed, hasTurn)]
  return (
    <>
      {isProgram(file.name) && (
        <p class="note warn-note">
          <TriangleAlert size={16} />
          <span>{text.files.program}</span>
        </p>
      )}
      <p class="small file-note">{way(name)}</p>
    </>
  )
}

function Actions({ file }: { readonly file: Transfer }): JSX.Element | null {
  const app = useApp()
  const actions = actionsOf(file)
  if (actions.length === 0) return null
  const { id, contact } = file
  const work: Readonly<Record<FileAction, () => void>> = {
    accept: () => void app.act(() => app.api.acceptFile(id), null),
    refuse: () => void app.act(() => app.api.refuseFile(id), null),
    pause: () => void app.act(() => app.api.pauseFile(id), null),
    resume: () => void app.act(() => app.api.resumeFile(id), null),
    retry: () => void app.act(() => app.api.retryFile(id), null),
    allowDirect: () => void app.act(() => app.api.allowDirect(contact, true), null),
    save: () => { app.dialog.value = { kind: "save-files", transfer: file } },
    cancel: () => { app.dialog.value = { kind: "cancel-file", transfer: file } },
    forget: () => { app.dialog.value = { kind: "forget-file", transfer: file } },
  }
  return (
    <div class="actions file-actions">
      {actions.map((action, at) => (
        <Button key={action} kind={at === 0 && isWanted(action) ? "primary" : "plain"} onClick={work[action]}>
          {text.files.actions[action]}
        </Button>
      ))}
    </div>
  )
}

/** Actions that move things on; pausing and cancelling are there when they are looked for. */
function isWanted(action: FileAction): boolean {
  return ["accept", "save", "resume", "retry", "allowDirect"].includes(action)
}
