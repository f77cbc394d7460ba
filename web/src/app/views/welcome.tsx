/** Before there is an identity: make one, or bring one back. */

import { KeyRound, LoaderCircle } from "lucide-preact"
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { CODE_CHARACTERS, foldCode, isOrigin, type FirstRun } from "../models/first_run"
import { problemText } from "../text/problems"
import { text } from "../text/text"
import { Mark } from "./mark"
import { Button, Field, Mistake } from "./parts"
import { useLongWait } from "./media"

const BAD_CODE = "malformed-code" // code: of the field alone

interface Props {
  readonly firstRun: FirstRun
  readonly isInvited: boolean
}

export function Welcome({ firstRun, isInvited }: Props): JSX.Element {
  const isBusy = firstRun.step.value.kind === "creating"
  const problem = firstRun.problem.value
  return (
    <main class="page welcome">
      <Mark />
      <h1>{text.welcome.title}</h1>
      <p class="lead soft">{text.welcome.lead}</p>
      {isInvited && <p class="card-note">{text.welcome.invited}</p>}
      {problem !== null && <Mistake>{problemText(problem)}</Mistake>}
      {isBusy ? (
        <Working firstRun={firstRun} words={text.welcome.creating} />
      ) : (
        <>
          <div class="stack">
            <AskedFor firstRun={firstRun} />
            <Button kind="primary" disabled={!isOrigin(firstRun.origin.value)} onClick={() => void firstRun.create()}>
              {text.welcome.create}
            </Button>
            <Button icon={KeyRound} onClick={() => { firstRun.show("recover") }}>
              {text.welcome.recover}
            </Button>
          </div>
          <RelayChoice firstRun={firstRun} />
          {!firstRun.asksContact.value && <p class="small faint">{text.welcome.noPhone}</p>}
        </>
      )}
    </main>
  )
}

/** Fields for what the relay has asked for. */
function AskedFor({ firstRun }: Omit<Props, "isInvited">): JSX.Element {
  return (
    <>
      {firstRun.asksInvite.value && (
        <Field
          label={text.welcome.invite}
          value={firstRun.invite.value}
          isMono
          autoFocus
          onInput={(typed) => { firstRun.invite.value = typed.trim().toLowerCase() }}
          hint={text.welcome.inviteHint}
        />
      )}
      {firstRun.asksContact.value && <ForTheOperator firstRun={firstRun} />}
    </>
  )
}

function ForTheOperator({ firstRun }: Omit<Props, "isInvited">): JSX.Element {
  return (
    <>
      <Field
        label={text.welcome.name}
        value={firstRun.name.value}
        maxLength={128} // of two units a character
        autoFocus={!firstRun.asksInvite.value}
        onInput={(typed) => { firstRun.name.value = typed }}
      />
      <Field
        label={text.welcome.email}
        value={firstRun.email.value}
        maxLength={254}
        onInput={(typed) => { firstRun.email.value = typed }}
        hint={text.welcome.contactHint}
      />
    </>
  )
}

export function Recover({ firstRun }: Omit<Props, "isInvited">): JSX.Element {
  const [code, setCode] = useState("")
  const isBusy = firstRun.step.value.kind === "recovering"
  const have = foldCode(code).length
  const problem = firstRun.problem.value
  return (
    <main class="page welcome">
      <Mark />
      <h1>{text.recover.title}</h1>
      <p class="lead soft">{text.recover.lead}</p>
      {problem !== null && problem !== BAD_CODE && <Mistake>{problemText(problem)}</Mistake>}
      {firstRun.isRefused.value && <p class="card-note">{text.recover.isNew}</p>}
      {isBusy ? (
        <Working firstRun={firstRun} words={text.recover.working} />
      ) : (
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault()
            void firstRun.recover(code)
          }}
        >
          <Field
            label={text.recover.label}
            rows={3}
            isMono
            autoFocus={!firstRun.isRefused.value}
            value={code}
            onInput={setCode}
            hint={text.recover.count(have, CODE_CHARACTERS)}
            problem={problem === BAD_CODE ? problemText(problem) : null}
          />
          <AskedFor firstRun={firstRun} />
          <p class="small soft">{text.recover.note}</p>
          <Button kind="primary" type="submit" disabled={have !== CODE_CHARACTERS || !isOrigin(firstRun.origin.value)}>
            {text.recover.submit}
          </Button>
          <Button kind="quiet" onClick={() => { firstRun.show("welcome") }}>
            {text.recover.toNew}
          </Button>
        </form>
      )}
      {!isBusy && <RelayChoice firstRun={firstRun} />}
    </main>
  )
}

function RelayChoice({ firstRun }: Omit<Props, "isInvited">): JSX.Element {
  const [isOpen, setOpen] = useState(false)
  const origin = firstRun.origin.value
  const offered = firstRun.offered.value
  if (!isOpen && offered !== "" && !isOrigin(offered)) setOpen(true)
  if (!isOpen) {
    return (
      <p class="relay-choice small soft">
        {text.welcome.relay}: <span class="mono">{origin.replace(/^https?:\/\//, "")}</span>{" "}
        <button type="button" class="link" onClick={() => { setOpen(true) }}>
          {text.welcome.changeRelay}
        </button>
      </p>
    )
  }
  return (
    <div class="relay-choice">
      <Field
        label={text.welcome.relay}
        value={origin}
        isMono
        placeholder={text.welcome.relayPlaceholder}
        onInput={(typed) => { firstRun.origin.value = typed.trim().replace(/\/$/, "") }}
        hint={text.welcome.relayHint}
        problem={origin === "" || isOrigin(origin) ? null : text.welcome.relayBad}
      />
      {isOrigin(offered) && origin !== offered && (
        <button type="button" class="link small" onClick={() => { firstRun.origin.value = offered; setOpen(false) }}>
          {text.welcome.ownRelay}
        </button>
      )}
    </div>
  )
}

function Working({ firstRun, words }: { readonly firstRun: FirstRun; readonly words: string }): JSX.Element {
  const isLong = useLongWait(true)
  const progress = firstRun.progress.value
  const share = progress === null ? null : 1 - Math.exp(-progress.tried / Math.max(1, progress.expected))
  return (
    <div class={isLong ? "working shown" : "working"} role="status">
      <p class="working-line">
        <LoaderCircle size={20} class="turning" />
        <span>{words}</span>
      </p>
      {share !== null && progress !== null && (
        <>
          <progress max={1} value={share} aria-label={words} />
          <p class="small soft">{text.welcome.work}</p>
          <p class="small faint mono" aria-hidden="true">{text.welcome.workNow(progress.tried)}</p>
        </>
      )}
    </div>
  )
}
