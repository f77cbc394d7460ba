/** The three steps after an identity was made: this is you, keep this code, invite someone. */

import { Check, Copy, Printer } from "lucide-preact"
import type { ComponentChildren, JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { shortId } from "../models/avatar"
import { foldCode, type FirstRun, type Step } from "../models/first_run"
import { text } from "../text/text"
import { Avatar } from "./avatar"
import { useApp } from "./context"
import { Button, Mistake, useCopy } from "./parts"
import { CardParts } from "./share_card"

type Steps = Extract<Step, { kind: "steps" }>

export function FirstRunSteps({ firstRun, step }: { readonly firstRun: FirstRun; readonly step: Steps }): JSX.Element {
  const account = useApp().account.value
  const isKept = firstRun.keeping.value === "kept"
  useWarning(!isKept)
  return (
    <main class="page steps">
      <h1 class="visually-hidden">{text.firstRun.heading}</h1>
      <ol>
        <StepPart number={1} title={text.firstRun.youTitle} isDone>
          <p class="soft">{text.firstRun.youText}</p>
          {account !== null && (
            <div class="you">
              <Avatar address={account.address} size="huge" />
              <div>
                <p class="small soft">{text.firstRun.yourId}</p>
                <p class="mono short-id">{shortId(account.address)}</p>
              </div>
            </div>
          )}
        </StepPart>
        <StepPart number={2} title={text.firstRun.codeTitle} isDone={isKept}>
          <KeepCode firstRun={firstRun} step={step} />
        </StepPart>
        <StepPart number={3} title={text.firstRun.inviteTitle} isDone={false}>
          {isKept ? (
            <>
              <p class="soft">{text.firstRun.inviteText}</p>
              <CardParts />
              <Button kind="primary" onClick={() => { firstRun.show("done") }}>
                {text.firstRun.start}
              </Button>
            </>
          ) : (
            <p class="soft">{text.firstRun.inviteLater}</p>
          )}
        </StepPart>
      </ol>
    </main>
  )
}

interface StepProps {
  readonly number: number
  readonly title: string
  readonly isDone: boolean
  readonly children: ComponentChildren
}

function StepPart({ number, title, isDone, children }: StepProps): JSX.Element {
  return (
    <li class="step">
      <span class={isDone ? "step-number done" : "step-number"} aria-hidden="true">
        {isDone ? <Check size={16} strokeWidth={2.5} /> : number}
      </span>
      <section>
        <h2>{title}</h2>
        {children}
      </section>
    </li>
  )
}

function KeepCode({ firstRun, step }: { readonly firstRun: FirstRun; readonly step: Steps }): JSX.Element {
  const copy = useCopy()
  const keeping = firstRun.keeping.value
  if (keeping === "kept") {
    return (
      <p class="good" role="status">
        <Check size={18} /> {text.firstRun.confirmed}
      </p>
    )
  }
  if (keeping === "asked") return <AskBack firstRun={firstRun} step={step} />
  return (
    <>
      <p class="soft">{text.firstRun.codeText}</p>
      <div class="code-sheet">
        <p class="print-only print-title">{text.firstRun.printTitle}</p>
        <ol class="code mono" aria-label={text.firstRun.codeLabel}>
          {step.groups.map((group, at) => (
            <li key={at}>{group}</li>
          ))}
        </ol>
        <p class="print-only">{text.firstRun.printText}</p>
      </div>
      <div class="actions">
        <Button icon={Copy} onClick={() => { copy(step.groups.join("-")) }}>
          {text.app.copy}
        </Button>
        <Button icon={Printer} onClick={() => { print() }}>
          {text.firstRun.print}
        </Button>
        <Button kind="primary" onClick={() => { firstRun.keeping.value = "asked" }}>
          {text.firstRun.kept}
        </Button>
      </div>
    </>
  )
}

function AskBack({ firstRun, step }: { readonly firstRun: FirstRun; readonly step: Steps }): JSX.Element {
  const [typed, setTyped] = useState<readonly [string, string]>(["", ""])
  const [wrong, setWrong] = useState<readonly [boolean, boolean]>([false, false])
  const isRight = (at: 0 | 1): boolean => foldCode(typed[at]) === step.groups[step.asked[at]]
  const check = (): void => {
    if (isRight(0) && isRight(1)) firstRun.keeping.value = "kept"
    else setWrong([!isRight(0), !isRight(1)])
  }
  return (
    <form onSubmit={(event) => { event.preventDefault(); check() }}>
      <p class="soft">{text.firstRun.askText}</p>
      <div class="groups">
        <GroupField
          number={step.asked[0] + 1}
          value={typed[0]}
          isWrong={wrong[0]}
          isFirst
          onInput={(value) => { setTyped([value, typed[1]]); setWrong([false, wrong[1]]) }}
        />
        <GroupField
          number={step.asked[1] + 1}
          value={typed[1]}
          isWrong={wrong[1]}
          onInput={(value) => { setTyped([typed[0], value]); setWrong([wrong[0], false]) }}
        />
      </div>
      {(wrong[0] || wrong[1]) && <Mistake>{text.firstRun.groupWrong}</Mistake>}
      <div class="actions">
        <Button kind="primary" type="submit" disabled={typed.some((part) => foldCode(part).length < 4)}>
          {text.firstRun.confirm}
        </Button>
        <Button kind="quiet" onClick={() => { firstRun.keeping.value = "shown" }}>
          {text.firstRun.showAgain}
        </Button>
      </div>
    </form>
  )
}

interface GroupProps {
  readonly number: number
  readonly value: string
  readonly isWrong: boolean
  readonly isFirst?: boolean
  readonly onInput: (value: string) => void
}

function GroupField({ number, value, isWrong, isFirst = false, onInput }: GroupProps): JSX.Element {
  const ref = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (isFirst) ref.current?.focus()
  }, [isFirst])
  return (
    <label class="group">
      <span class="small">{text.firstRun.group(number)}</span>
      <input
        ref={ref}
        class="field mono"
        value={value}
        maxLength={6}
        autoComplete="off"
        autoCapitalize="characters"
        spellcheck={false}
        aria-invalid={isWrong}
        onInput={(event) => { onInput(event.currentTarget.value) }}
      />
    </label>
  )
}

/** Ask before the page is left while the code is on it and nowhere else. */
function useWarning(isNeeded: boolean): void {
  useEffect(() => {
    if (!isNeeded) return
    const warn = (event: BeforeUnloadEvent): void => { event.preventDefault() }
    addEventListener("beforeunload", warn)
    return () => { removeEventListener("beforeunload", warn) }
  }, [isNeeded])
}
