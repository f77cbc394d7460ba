/** Comparing the safety number, by eye or by camera. */

import { Camera, OctagonX, ShieldCheck } from "lucide-preact"
import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { Contact, SafetyNumber } from "../../client/api"
import type { Bytes } from "../../core/types"
import { codeOf } from "../text/problems"
import { text } from "../text/text"
import { Avatar } from "./avatar"
import { CodeCamera } from "./camera"
import { useApp } from "./context"
import { Dialog } from "./dialog"
import { useContact } from "./known_contact"
import { Button, Trouble } from "./parts"
import { QrCode } from "./qr_code"

const OTHER_CODE: ReadonlySet<string> = new Set(["malformed", "unsupported-version"]) // a card's, or a stranger's

type View = "number" | "camera" | "wrong"

export function SafetyDialog({ contact: id }: { readonly contact: number }): JSX.Element | null {
  const app = useApp()
  const contact = useContact(id)
  const [view, setView] = useState<View>("number")
  const [trouble, setTrouble] = useState<string | null>(null)
  const { number, problem, load } = useSafetyNumber(id)
  const close = (): void => { app.dialog.value = null }
  if (contact === null) return null

  const match = async (shown: { scanned: Bytes } | { number: string }): Promise<void> => {
    try {
      await app.api.verify(id, shown)
      if (contact.frozen !== null) await app.api.trustContact(id)
    } catch (error) {
      // Only numbers that differ are an alarm: one raised for every mishap would soon be ignored.
      const code = codeOf(error)
      if (code === "safety-number-differs") setView("wrong")
      else setTrouble("scanned" in shown && OTHER_CODE.has(code) ? "other-code" : code)
      return
    }
    close()
    app.say(contact.frozen === null ? text.safety.verified(contact.name) : text.safety.trusted(contact.name))
  }
  return (
    <Dialog title={text.safety.title} onClose={close} size={view === "number" ? "wide" : "narrow"}>
      {problem !== null && <Trouble code={problem} onRetry={load} />}
      {trouble !== null && <Trouble code={trouble} onRetry={() => { setTrouble(null); setView("number") }} />}
      {view === "wrong" && <Wrong contact={contact} onAgain={() => { setView("number") }} />}
      {view === "camera" && (
        <CodeCamera
          hint={text.camera.safetyHint}
          onRead={(scanned) => void match({ scanned })}
          onStop={() => { setView("number") }}
        />
      )}
      {view === "number" && number === null && problem === null && <div class="safety waiting" aria-busy="true" />}
      {view === "number" && number !== null && (
        <Numbers
          contact={contact}
          number={number}
          onMatch={() => void match({ number: number.groups.join(" ") })}
          onDiffer={() => { setView("wrong") }}
          onCamera={() => { setView("camera") }}
        />
      )}
    </Dialog>
  )
}

interface NumbersProps {
  readonly contact: Contact
  readonly number: SafetyNumber
  readonly onMatch: () => void
  readonly onDiffer: () => void
  readonly onCamera: () => void
}

function Numbers({ contact, number, onMatch, onDiffer, onCamera }: NumbersProps): JSX.Element {
  return (
    <>
      <p class="soft">{text.safety.lead(contact.name)}</p>
      <div class="safety">
        <div class="safety-words">
          <div class="pair">
            <span>
              <Avatar address={number.ourAddress} size="small" /> {text.safety.you}
            </span>
            <span>
              <Avatar address={number.theirAddress} size="small" /> <bdi class="cut">{contact.name}</bdi>
            </span>
          </div>
          <ol class="digits mono" aria-label={text.safety.number} dir="ltr">
            {number.groups.map((group, at) => (
              <li key={at}>{group}</li>
            ))}
          </ol>
          {contact.verified && (
            <p class="good small">
              <ShieldCheck size={16} /> {text.safety.isVerified(contact.name)}
            </p>
          )}
        </div>
        <div class="safety-scan">
          <div class="qr-card">
            <QrCode content={number.qr} label={text.safety.qr} />
          </div>
          <p class="small soft">{text.safety.qrHint(contact.name)}</p>
        </div>
      </div>
      <div class="actions end">
        <Button kind="quiet" icon={Camera} onClick={onCamera}>
          {text.safety.byCamera}
        </Button>
        <Button onClick={onDiffer}>{text.safety.differ}</Button>
        <Button kind="primary" onClick={onMatch}>
          {text.safety.match}
        </Button>
      </div>
    </>
  )
}

function Wrong({ contact, onAgain }: { readonly contact: Contact; readonly onAgain: () => void }): JSX.Element {
  return (
    <div class="alarm" role="alert">
      <OctagonX size={28} strokeWidth={1.75} />
      <h3>{text.safety.wrongTitle}</h3>
      <p>{text.safety.wrongText(contact.name)}</p>
      <Button onClick={onAgain}>{text.safety.again}</Button>
    </div>
  )
}

function useSafetyNumber(contact: number): {
  readonly number: SafetyNumber | null
  readonly problem: string | null
  readonly load: () => void
} {
  const { api } = useApp()
  const [number, setNumber] = useState<SafetyNumber | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const load = (): void => {
    setProblem(null)
    api.safetyNumber(contact).then(setNumber, (error: unknown) => { setProblem(codeOf(error)) })
  }
  useEffect(load, [api, contact])
  return { number, problem, load }
}
