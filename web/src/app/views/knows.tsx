/** What our relay holds about an account, and what it could tell a court: the relay's own words about itself. */

import { Check, X, type LucideIcon } from "lucide-preact"
import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { RelayKnows } from "../../wire/rest_relay"
import { hostOf } from "../models/card_link"
import { codeOf } from "../text/problems"
import { text } from "../text/text"
import { useApp } from "./context"
import { Dialog } from "./dialog"
import { Skeleton, Trouble } from "./parts"

type State = { readonly page: RelayKnows } | { readonly code: string } | null

export function RelayKnowsDialog(): JSX.Element {
  const app = useApp()
  const [state, setState] = useState<State>(null)
  const [tries, setTries] = useState(0)
  useEffect(() => {
    let isCurrent = true
    const show = (next: State): void => { if (isCurrent) setState(next) }
    show(null)
    app.api.relayKnows().then((page) => { show({ page }) }, (error: unknown) => { show({ code: codeOf(error) }) })
    return () => { isCurrent = false }
  }, [app, tries])
  return (
    <Dialog title={text.knows.title} size="wide" onClose={() => { app.dialog.value = null }}>
      <div class="knows">
        {state === null && <Skeleton rows={4} label={text.knows.loading} />}
        {state !== null && "code" in state && <Trouble code={state.code} onRetry={() => { setTries(tries + 1) }} />}
        {state !== null && "page" in state && (
          <Page page={state.page} host={hostOf(app.account.value?.origin ?? "")} />
        )}
      </div>
    </Dialog>
  )
}

function Page({ page, host }: { readonly page: RelayKnows; readonly host: string }): JSX.Element {
  const files = [...new Set(page.held.map(({ file }) => file))]
  return (
    <>
      <p class="small soft">{text.knows.lead(host)}</p>
      <Sentences title={text.knows.cannotTell} icon={X} sentences={page.cannotTell} />
      <Sentences title={text.knows.canTell} icon={Check} sentences={page.canTell} />
      <h3>{text.knows.held}</h3>
      <div>
        {files.map((file) => (
          <details key={file}>
            <summary class="mono small">{file}</summary>
            <dl>
              {page.held.filter((one) => one.file === file).map(({ name, text: words }) => (
                <div key={name}>
                  {name !== "" && <dt class="mono">{name}</dt>}
                  <dd>{words}</dd>
                </div>
              ))}
            </dl>
          </details>
        ))}
      </div>
    </>
  )
}

interface SentencesProps {
  readonly title: string
  readonly icon: LucideIcon
  readonly sentences: readonly string[]
}

function Sentences({ title, icon: Icon, sentences }: SentencesProps): JSX.Element {
  return (
    <section>
      <h3>{title}</h3>
      <ul>
        {sentences.map((sentence) => (
          <li key={sentence}>
            <Icon size={16} aria-hidden />
            <span>{sentence}</span>
          </li>
        ))}
      </ul>
    </section>
  )
}
