/** Before files are offered: which, how large, and which way they will go. */

import { FilePlus, FolderPlus, ShieldAlert, X } from "lucide-preact"
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import type { Contact } from "../../client/api"
import { chosenFolder, dropped, holdsFiles } from "../effects/chosen_files"
import { thumbnailOf } from "../effects/thumbnail"
import { detourOf, wayOf } from "../models/files"
import { nameOf, problemOf, single, sizeOf, type Parcel } from "../models/parcels"
import { sizeText } from "../text/amounts"
import { text } from "../text/text"
import { useApp } from "./context"
import { Dialog } from "./dialog"
import { FileName } from "./file_name"
import { KindIcon, useObjectUrl } from "./file_picture"
import { useContact } from "./known_contact"
import { Button, IconButton } from "./parts"
import { Switch } from "./switch"

interface Props {
  readonly contact: number
  readonly parcels: readonly Parcel[]
}

export function SendFiles({ contact: id, parcels }: Props): JSX.Element | null {
  const app = useApp()
  const contact = useContact(id)
  const [hasDrop, setDrop] = useState(false)
  const [isBusy, setBusy] = useState(false)
  if (contact === null) return null
  const show = (shown: readonly Parcel[]): void => {
    app.dialog.value = { kind: "send-files", contact: id, parcels: shown }
  }
  const send = async (): Promise<void> => {
    setBusy(true)
    await app.offerAll(id, parcels, thumbnailOf, { drop: hasDrop })
    setBusy(false)
  }
  const isReady = parcels.length > 0 && parcels.every((parcel) => problemOf(parcel) === null)
  return (
    <Dialog title={text.files.title(contact.name)} onClose={() => { app.dialog.value = null }}>
      {!contact.verified && <Unverified contact={contact} />}
      <Chosen contact={contact} parcels={parcels} onChange={show} />
      <Way contact={contact} />
      {app.status.value?.hasDrop === true && (
        <Switch label={text.files.drop} hint={text.files.dropHint(contact.name)} isOn={hasDrop} onChange={setDrop} />
      )}
      <div class="actions end">
        <Button onClick={() => { app.dialog.value = null }}>{text.app.cancel}</Button>
        <Button kind="primary" disabled={!isReady || isBusy} onClick={() => void send()}>
          {isBusy ? text.files.sending : text.files.send(parcels.length)}
        </Button>
      </div>
    </Dialog>
  )
}

function Unverified({ contact }: { readonly contact: Contact }): JSX.Element {
  const app = useApp()
  return (
    <p class="look">
      <ShieldAlert size={18} strokeWidth={1.75} />
      <span>
        {text.files.unverified(contact.name)}{" "}
        <button
          type="button"
          class="link"
          onClick={() => { app.dialog.value = { kind: "safety", contact: contact.id } }}
        >
          {text.details.compare}
        </button>
      </span>
    </p>
  )
}

interface ChosenProps {
  readonly contact: Contact
  readonly parcels: readonly Parcel[]
  readonly onChange: (parcels: readonly Parcel[]) => void
}

function Chosen({ contact, parcels, onChange }: ChosenProps): JSX.Element {
  const app = useApp()
  const [isOver, setOver] = useState(false)
  const files = useRef<HTMLInputElement>(null)
  const folder = useRef<HTMLInputElement>(null)
  const add = (more: readonly Parcel[]): void => { app.prepareFiles(contact.id, more) }
  const drop = (event: DragEvent): void => {
    event.preventDefault()
    setOver(false)
    if (event.dataTransfer === null) return
    dropped(event.dataTransfer).then(add, () => { app.say(text.files.notRead, true) })
  }
  return (
    <div
      class={isOver ? "drop-zone over" : "drop-zone"}
      onDragOver={(event) => {
        if (!holdsFiles(event.dataTransfer)) return
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => { setOver(false) }}
      onDrop={drop}
    >
      {parcels.length === 0 ? (
        <p class="soft">{text.files.empty}</p>
      ) : (
        <ul class="parcels" aria-label={text.files.list}>
          {parcels.map((parcel, at) => (
            <ParcelRow
              key={at}
              parcel={parcel}
              onRemove={() => { onChange(parcels.filter((other) => other !== parcel)) }}
            />
          ))}
        </ul>
      )}
      {parcels.length > 1 && <p class="small soft">{text.files.each(contact.name)}</p>}
      <div class="actions">
        <Button icon={FilePlus} onClick={() => { files.current?.click() }}>
          {text.files.choose}
        </Button>
        <Button icon={FolderPlus} kind="quiet" onClick={() => { folder.current?.click() }}>
          {text.files.chooseFolder}
        </Button>
      </div>
      <input
        ref={files}
        type="file"
        multiple
        hidden
        onChange={({ currentTarget }) => {
          add(single([...(currentTarget.files ?? [])]))
          currentTarget.value = ""
        }}
      />
      <input
        ref={(input) => {
          folder.current = input
          if (input !== null) input.webkitdirectory = true
        }}
        type="file"
        hidden
        onChange={({ currentTarget }) => {
          if (currentTarget.files !== null) add(chosenFolder(currentTarget.files))
          currentTarget.value = ""
        }}
      />
    </div>
  )
}

function ParcelRow({ parcel, onRemove }: { readonly parcel: Parcel; readonly onRemove: () => void }): JSX.Element {
  const [name, problem] = [nameOf(parcel), problemOf(parcel)]
  const picture = useObjectUrl(useThumbnail(parcel))
  const isFolder = parcel.folder !== null
  return (
    <li class="parcel">
      {picture === null ? (
        <KindIcon of={{ name, isFolder, mediaType: parcel.files[0]?.file.type ?? "" }} />
      ) : (
        <img class="file-icon" src={picture} alt="" />
      )}
      <div class="file-what">
        <FileName name={name} />
        {problem === null ? (
          <p class="small soft">
            {sizeText(sizeOf(parcel))}
            {isFolder && ` · ${text.files.count(parcel.files.length)}`}
          </p>
        ) : (
          <p class="small bad">{text.files.problems[problem]}</p>
        )}
      </div>
      <IconButton icon={X} label={text.files.remove(name)} onClick={onRemove} />
    </li>
  )
}

function useThumbnail({ folder, files: [first] }: Parcel): Uint8Array<ArrayBuffer> | null {
  const [made, setMade] = useState<Uint8Array<ArrayBuffer> | null>(null)
  const file = folder === null ? first?.file : undefined
  useEffect(() => {
    let isCurrent = true
    setMade(null)
    if (file !== undefined) void thumbnailOf(file).then((small) => { if (isCurrent) setMade(small) })
    return () => { isCurrent = false }
  }, [file])
  return made
}

/** Which way the files will go, and the question that is asked once. */
function Way({ contact }: { readonly contact: Contact }): JSX.Element {
  const hasTurn = useApp().status.value?.hasTurn ?? null
  const isDirect = contact.verified || contact.directAllowed
  const way = text.files[wayOf(isDirect, hasTurn)]
  return (
    <section class="way">
      <h3>{text.files.way}</h3>
      <p class="small soft">{way(contact.name)}</p>
      <DirectSwitch contact={contact} isFirst />
    </section>
  )
}

interface DirectProps {
  readonly contact: Contact
  /** Asked before the first file, where nobody knows yet where to change it. */
  readonly isFirst?: boolean
}

/** Whether a contact may see the address of this machine. */
export function DirectSwitch({ contact, isFirst = false }: DirectProps): JSX.Element {
  const app = useApp()
  const { id, name } = contact
  if (contact.verified) return <p class="small soft">{text.files.verifiedDirect(name)}</p>
  const otherwise = text.files.allowWithout[detourOf(app.status.value?.hasTurn ?? null)]
  const allow = (isAllowed: boolean): void => {
    const said = isAllowed ? text.files.allowed(name) : text.files.forbidden(name)
    void app.act(() => app.api.allowDirect(id, isAllowed), said)
  }
  return (
    <Switch
      label={text.files.allow}
      hint={[
        text.files.allowHint(name),
        contact.directAllowed ? "" : otherwise,
        isFirst ? text.files.allowOnce : "",
      ].join(" ")}
      isOn={contact.directAllowed}
      onChange={allow}
    />
  )
}
