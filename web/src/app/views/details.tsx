/** Who someone is and what can be done about them: the third pane, or a dialog where there is no room for it. */

import { Ban, Pencil, ShieldCheck, Shield, Trash2 } from "lucide-preact"
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import type { Contact } from "../../client/api"
import { shortId } from "../models/avatar"
import { hostOf } from "../models/card_link"
import { fullDay } from "../text/dates"
import { text } from "../text/text"
import { Avatar } from "./avatar"
import { useApp } from "./context"
import { Dialog } from "./dialog"
import { useContact } from "./known_contact"
import { Button, Field } from "./parts"
import { DirectSwitch } from "./send_files"
import { SharedFiles } from "./shared_files"

export function DetailsPane({ contact }: { readonly contact: Contact | null }): JSX.Element {
  return (
    <aside class="pane details" aria-label={text.details.label}>
      {contact !== null && <DetailsBody key={contact.id} contact={contact} />}
    </aside>
  )
}

export function DetailsDialog({ contact: id }: { readonly contact: number }): JSX.Element | null {
  const app = useApp()
  const contact = useContact(id)
  if (contact === null) return null
  return (
    <Dialog title={text.details.label} onClose={() => { app.dialog.value = null }}>
      <DetailsBody contact={contact} />
    </Dialog>
  )
}

function DetailsBody({ contact }: { readonly contact: Contact }): JSX.Element {
  const app = useApp()
  const Icon = contact.verified ? ShieldCheck : Shield
  return (
    <div class="details-body">
      <div class="details-head">
        <Avatar address={contact.address} size="huge" />
        <Name contact={contact} />
      </div>
      <section class={contact.verified ? "details-trust verified" : "details-trust"}>
        <h2>
          <Icon size={18} strokeWidth={1.75} /> {contact.verified ? text.thread.verified : text.thread.notVerified}
        </h2>
        <p class="small soft">{contact.verified ? text.details.verifiedHint : text.details.safetyHint}</p>
        <Button onClick={() => { app.dialog.value = { kind: "safety", contact: contact.id } }}>
          {text.details.compare}
        </Button>
      </section>
      <Facts contact={contact} />
      <DirectSwitch contact={contact} />
      <SharedFiles contact={contact} />
      <div class="details-acts">
        <Button kind="quiet" icon={Ban} onClick={() => { app.dialog.value = { kind: "block", contact: contact.id } }}>
          {text.details.block}
        </Button>
        <Button
          kind="quiet"
          icon={Trash2}
          onClick={() => { app.dialog.value = { kind: "remove", contact: contact.id } }}
        >
          {text.details.remove}
        </Button>
      </div>
    </div>
  )
}

function Facts({ contact }: { readonly contact: Contact }): JSX.Element {
  const devices = contact.devices === 0 ? text.details.devicesUnknown : text.details.deviceCount(contact.devices)
  return (
    <dl class="facts">
      <dt>{text.details.id}</dt>
      <dd class="mono">{shortId(contact.address)}</dd>
      <dt>{text.details.relay}</dt>
      <dd class="mono">{hostOf(contact.origin)}</dd>
      <dt>{text.details.devices}</dt>
      <dd>{devices}</dd>
      <dt>{text.details.added}</dt>
      <dd>{fullDay(contact.added)}</dd>
    </dl>
  )
}

function Name({ contact }: { readonly contact: Contact }): JSX.Element {
  const app = useApp()
  const [typed, setTyped] = useState<string | null>(null)
  if (typed === null) {
    return (
      <div class="details-name">
        <h2 dir="auto">{contact.name}</h2>
        <Button kind="quiet" icon={Pencil} onClick={() => { setTyped(contact.name) }}>
          {text.details.rename}
        </Button>
      </div>
    )
  }
  const save = async (): Promise<void> => {
    const name = typed.trim()
    const isDone =
      name === contact.name ||
      (await app.act(() => app.api.renameContact(contact.id, name), text.details.renamed(name)))
    if (isDone) setTyped(null)
  }
  return (
    <form class="rename" onSubmit={(event) => { event.preventDefault(); void save() }}>
      <Field label={text.details.renameLabel} value={typed} onInput={setTyped} maxLength={64} autoFocus />
      <div class="actions">
        <Button kind="quiet" onClick={() => { setTyped(null) }}>
          {text.app.cancel}
        </Button>
        <Button kind="primary" type="submit" disabled={typed.trim() === ""}>
          {text.details.save}
        </Button>
      </div>
    </form>
  )
}
