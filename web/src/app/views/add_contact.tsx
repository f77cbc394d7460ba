/** Adding someone by their card: pasted, scanned, or from a picture; who it is stands there before it is done. */

import { Camera, Image } from "lucide-preact"
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import type { CardInfo } from "../../client/api"
import { readPicture } from "../effects/qr_reader"
import { shortId } from "../models/avatar"
import { hostOf, isMeantAsCard } from "../models/card_link"
import { codeOf, problemText } from "../text/problems"
import { text } from "../text/text"
import { Avatar } from "./avatar"
import { CodeCamera } from "./camera"
import { useApp } from "./context"
import { Dialog } from "./dialog"
import { Button, Field } from "./parts"

export function AddContact({ card: given }: { readonly card: string }): JSX.Element {
  const app = useApp()
  const [card, setCard] = useState(given)
  const [isCamera, setCamera] = useState(false)
  const { info, problem } = useCardInfo(card)
  return (
    <Dialog title={text.card.addTitle} onClose={() => { app.dialog.value = null }}>
      {isCamera ? (
        <CodeCamera
          hint={text.camera.cardHint}
          onStop={() => { setCamera(false) }}
          onRead={(content) => { setCamera(false); setCard(new TextDecoder().decode(content)) }}
        />
      ) : (
        <>
          <p class="soft">{text.card.addText}</p>
          <CardField card={card} problem={problem} onCard={setCard} onCamera={() => { setCamera(true) }} />
          {info !== null && <Preview key={info.usid} card={card} info={info} />}
        </>
      )}
    </Dialog>
  )
}

interface CardFieldProps {
  readonly card: string
  readonly problem: string | null
  readonly onCard: (card: string) => void
  readonly onCamera: () => void
}

function CardField({ card, problem, onCard, onCamera }: CardFieldProps): JSX.Element {
  const app = useApp()
  const file = useRef<HTMLInputElement>(null)
  const [isOver, setOver] = useState(false)
  const readFile = async (picture: File | undefined): Promise<void> => {
    if (picture === undefined) return
    try {
      const content = await readPicture(picture)
      if (content === null) app.say(text.card.noCode, true)
      else onCard(new TextDecoder().decode(content))
    } catch {
      app.say(app.update.value === "taken" ? text.app.updatedElsewhere : text.camera.notLoaded, true)
    }
  }
  return (
    <div
      class={isOver ? "card-field over" : "card-field"}
      onDragOver={(event) => { event.preventDefault(); setOver(true) }}
      onDragLeave={() => { setOver(false) }}
      onDrop={(event) => { event.preventDefault(); setOver(false); void readFile(event.dataTransfer?.files[0]) }}
    >
      <Field
        label={text.card.cardLabel}
        rows={3}
        isMono
        autoFocus
        value={card}
        onInput={onCard}
        placeholder="halonyx:…"
        problem={problem === null ? null : problemText(problem, isMeantAsCard(card) ? "card" : "text")}
      />
      <div class="actions">
        <Button icon={Camera} onClick={onCamera}>
          {text.card.scan}
        </Button>
        <Button kind="quiet" icon={Image} onClick={() => { file.current?.click() }}>
          {text.card.picture}
        </Button>
        <input
          ref={file}
          type="file"
          accept="image/*"
          hidden
          onChange={(event) => void readFile(event.currentTarget.files?.[0])}
        />
      </div>
    </div>
  )
}

function Preview({ card, info }: { readonly card: string; readonly info: CardInfo }): JSX.Element {
  const app = useApp()
  const { known } = info
  const open = (contact: number): void => {
    app.dialog.value = null
    app.go({ kind: "thread", contact })
  }
  return (
    <section class="preview" aria-label={text.card.theirs}>
      <div class="preview-who">
        <Avatar address={info.address} size="large" />
        <div>
          <p class="small soft">{text.card.theirs}</p>
          <p class="mono short-id">{shortId(info.address)}</p>
          <p class="small faint">{text.card.at(hostOf(info.origin))}</p>
        </div>
      </div>
      {info.isOurs && <p class="note">{text.card.ours}</p>}
      {!info.isOurs && known?.state === "accepted" && (
        <>
          <p class="note">{text.card.known(known.name)}</p>
          <Button kind="primary" onClick={() => { open(known.id) }}>
            {text.card.open}
          </Button>
        </>
      )}
      {!info.isOurs && known?.state !== "accepted" && <NameForm card={card} onAdded={open} />}
    </section>
  )
}

interface NameFormProps {
  readonly card: string
  readonly onAdded: (contact: number) => void
}

function NameForm({ card, onAdded }: NameFormProps): JSX.Element {
  const app = useApp()
  const [name, setName] = useState("")
  const add = async (): Promise<void> => {
    await app.act(async () => {
      const contact = await app.api.addContact(card.trim(), name.trim() === "" ? null : name.trim())
      await app.people.refresh()
      onAdded(contact.id)
      app.say(text.card.added(contact.name))
    }, null)
  }
  return (
    <form onSubmit={(event) => { event.preventDefault(); void add() }}>
      <Field label={text.card.name} hint={text.card.nameHint} value={name} onInput={setName} maxLength={64} autoFocus />
      <div class="actions end">
        <Button kind="primary" type="submit">
          {text.card.add}
        </Button>
      </div>
    </form>
  )
}

const PAUSE_MS = 150 // of typing, before a card is read

function useCardInfo(card: string): { readonly info: CardInfo | null; readonly problem: string | null } {
  const { api } = useApp()
  const [info, setInfo] = useState<CardInfo | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  useEffect(() => {
    let isCurrent = true
    setInfo(null)
    setProblem(null)
    if (card.trim() === "") return
    const timer = setTimeout(() => {
      api.readCard(card).then(
        (read) => { if (isCurrent) setInfo(read) },
        (error: unknown) => { if (isCurrent) setProblem(codeOf(error)) },
      )
    }, PAUSE_MS)
    return () => {
      isCurrent = false
      clearTimeout(timer)
    }
  }, [api, card])
  return { info, problem }
}
