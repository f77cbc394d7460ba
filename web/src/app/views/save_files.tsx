/** Handing received files over: decrypted now, saved where the browser puts downloads, never opened. */

import { Download } from "lucide-preact"
import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { OfferedFile, Transfer } from "../../client/api"
import { download, downloadAll } from "../effects/downloads"
import { partsOfName } from "../models/files"
import { sizeText } from "../text/amounts"
import { codeOf } from "../text/problems"
import { text } from "../text/text"
import { useApp } from "./context"
import { Dialog } from "./dialog"
import { FileName } from "./file_name"
import { Button, IconButton, Trouble } from "./parts"

const SHOWN = 200 // of a long list

export function SaveFiles({ transfer }: { readonly transfer: Transfer }): JSX.Element {
  const app = useApp()
  const [files, setFiles] = useState<readonly OfferedFile[] | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const close = (): void => { app.dialog.value = null }
  const open = (): (() => void) => {
    let isOpen = true
    setProblem(null)
    app.api.saveFile(transfer.id).then(
      (opened) => {
        if (!isOpen) return // the person closed the dialog meanwhile
        setFiles(opened)
        const [only] = opened
        if (opened.length !== 1 || only === undefined || transfer.isFolder) return
        download(only.file, lastOf(only.path)) // it was asked for; there is nothing to choose
        close()
      },
      (error: unknown) => { setProblem(codeOf(error)) },
    )
    return () => { isOpen = false }
  }
  useEffect(open, [app, transfer.id])
  return (
    <Dialog title={text.files.saveTitle(partsOfName(transfer.name).join(""))} onClose={close}>
      {problem !== null && <Trouble code={problem} onRetry={open} />}
      {problem === null && files === null && <p role="status" class="soft">{text.files.opening}</p>}
      {files !== null && <SaveList files={files} />}
    </Dialog>
  )
}

function SaveList({ files }: { readonly files: readonly OfferedFile[] }): JSX.Element {
  return (
    <>
      <p class="soft">{text.files.saveText}</p>
      <ul class="parcels">
        {files.slice(0, SHOWN).map(({ path, file }) => (
          <li key={path} class="parcel">
            <div class="file-what">
              <FileName name={lastOf(path)} />
              <p class="small soft cut">{[...path.split("/").slice(0, -1), sizeText(file.size)].join(" · ")}</p>
            </div>
            <IconButton
              icon={Download}
              label={text.files.saveOne(path)}
              onClick={() => { download(file, lastOf(path)) }}
            />
          </li>
        ))}
      </ul>
      <div class="actions end">
        <Button kind="primary" icon={Download} onClick={() => void downloadAll(files)}>
          {text.files.saveAll}
        </Button>
      </div>
    </>
  )
}

function lastOf(path: string): string {
  return path.split("/").at(-1) ?? path
}
