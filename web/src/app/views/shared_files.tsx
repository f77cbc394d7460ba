/** All files of a conversation, the newest first. */

import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { Contact, Transfer } from "../../client/api"
import { sizeText } from "../text/amounts"
import { text } from "../text/text"
import { useApp } from "./context"
import { FileName } from "./file_name"
import { KindIcon } from "./file_picture"
import { Button } from "./parts"

const AT_ONCE = 20

export function SharedFiles({ contact }: { readonly contact: Contact }): JSX.Element {
  const app = useApp()
  const [files, setFiles] = useState<readonly Transfer[]>([])
  const [shown, setShown] = useState(AT_ONCE)
  const changes = app.transfers.changes.value
  useEffect(() => {
    let isCurrent = true
    app.api.filesOf(contact.id).then((found) => { if (isCurrent) setFiles(found) }, () => undefined)
    return () => { isCurrent = false }
  }, [app, contact.id, changes])
  return (
    <section class="shared">
      <h2>{text.files.shared}</h2>
      {files.length === 0 && <p class="small soft">{text.files.sharedNone}</p>}
      <ul class="parcels">
        {files.slice(0, shown).map((file) => (
          <li key={file.id} class="parcel">
            <KindIcon of={file} />
            <div class="file-what">
              <FileName name={file.name} />
              <p class="small soft cut">
                {sizeText(file.size)} · {file.outgoing ? text.files.sharedByYou : text.files.sharedFrom(contact.name)}
              </p>
            </div>
            {file.state === "done" && !file.outgoing && (
              <Button kind="quiet" onClick={() => { app.dialog.value = { kind: "save-files", transfer: file } }}>
                {text.files.actions.save}
              </Button>
            )}
          </li>
        ))}
      </ul>
      {files.length > shown && (
        <Button kind="quiet" onClick={() => { setShown(shown + AT_ONCE) }}>
          {text.app.more}
        </Button>
      )}
    </section>
  )
}
