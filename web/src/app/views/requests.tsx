/** Strangers who wrote first: no name, no text, only what is needed to decide. */

import { ArrowLeft, Inbox } from "lucide-preact"
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import type { Contact } from "../../client/api"
import { shortId } from "../models/avatar"
import { hostOf } from "../models/card_link"
import { fullTime } from "../text/dates"
import { text } from "../text/text"
import { Avatar } from "./avatar"
import { useApp } from "./context"
import { TWO_PANES, useMedia } from "./media"
import { Button, Empty, Field, IconButton } from "./parts"

export function Requests(): JSX.Element {
  const app = useApp()
  const isWide = useMedia(TWO_PANES)
  const requests = app.people.requests.value
  return (
    <section class="requests" aria-labelledby="requests-title">
      <header class="thread-head">
        {!isWide && <IconButton icon={ArrowLeft} label={text.app.back} onClick={() => { app.go({ kind: "list" }) }} />}
        <h1 id="requests-title">{text.requests.title}</h1>
      </header>
      {requests.length === 0 ? (
        <Empty icon={Inbox} title={text.requests.emptyTitle}>
          {text.requests.emptyText}
        </Empty>
      ) : (
        <div class="requests-body">
          <p class="soft">{text.requests.lead}</p>
          <ul>
            {requests.map((request) => (
              <Request key={request.id} request={request} />
            ))}
          </ul>
        </div>
      )}
    </section>
  )
}

function Request({ request }: { readonly request: Contact }): JSX.Element {
  const app = useApp()
  const [name, setName] = useState("")
  const accept = async (): Promise<void> => {
    const chosen = name.trim()
    const accepted = await app.act(() => app.api.acceptRequest(request.id, chosen), text.requests.accepted(chosen))
    if (!accepted) return
    await app.people.refresh()
    app.go({ kind: "thread", contact: request.id })
  }
  return (
    <li class="request">
      <div class="preview-who">
        <Avatar address={request.address} size="large" />
        <div>
          <p class="mono short-id">{shortId(request.address)}</p>
          <p class="small soft">{text.requests.wroteAt(fullTime(request.added))}</p>
          <p class="small faint">{text.requests.from(hostOf(request.origin))}</p>
        </div>
      </div>
      <form onSubmit={(event) => { event.preventDefault(); void accept() }}>
        <Field label={text.requests.name} hint={text.requests.ask} value={name} onInput={setName} maxLength={64} />
        <div class="actions">
          <Button kind="primary" type="submit" disabled={name.trim() === ""}>
            {text.requests.accept}
          </Button>
          <Button onClick={() => void app.act(() => app.api.refuseRequest(request.id), text.requests.refused)}>
            {text.requests.refuse}
          </Button>
        </div>
      </form>
    </li>
  )
}
