/** What fills the page: the first run, the messages, or what is wrong. */

import { Trash2, TriangleAlert } from "lucide-preact"
import type { JSX } from "preact"
import { text } from "../text/text"
import { problemText } from "../text/problems"
import { useApp } from "./context"
import { Erase } from "./erase"
import { FirstRunSteps } from "./first_run"
import { Button, Empty, Skeleton } from "./parts"
import { Shell } from "./shell"
import { ToastLine, UpdateLine } from "./toast"
import { Recover, Welcome } from "./welcome"

const DAMAGED = "store-damaged" // code: what is kept here can't be opened by anybody
const OUTDATED = "another-version" // code: nothing works here any more, whatever is on the screen

export function Root(): JSX.Element {
  return (
    <>
      <UpdateLine />
      <Screen />
      <ToastLine />
    </>
  )
}

function Screen(): JSX.Element {
  const app = useApp()
  const step = app.firstRun.step.value
  if (app.isErased.value) return <Erased />
  if (app.problem.value === OUTDATED) return <Outdated />
  if (app.status.value === null || (app.account.value === null && step.kind === "done")) {
    const problem = app.problem.value
    if (problem === DAMAGED) return <Lost />
    if (problem !== null) return <Broken code={problem} />
    return (
      <main class="page">
        <h1 class="visually-hidden">{text.app.name}</h1>
        <Skeleton rows={5} label={text.app.loading} />
      </main>
    )
  }
  if (step.kind === "steps") return <FirstRunSteps firstRun={app.firstRun} step={step} />
  if (app.account.value !== null && step.kind !== "creating" && step.kind !== "recovering") return <Shell />
  if (step.kind === "recover" || step.kind === "recovering") return <Recover firstRun={app.firstRun} />
  return <Welcome firstRun={app.firstRun} isInvited={app.invitation.value !== null} />
}

function Broken({ code }: { readonly code: string }): JSX.Element {
  return (
    <main class="page centre">
      <Empty
        isPage
        icon={TriangleAlert}
        title={text.app.brokenTitle}
        // The whole page again: a Worker that did not start stays as it is.
        actions={<Button kind="primary" onClick={() => { location.reload() }}>{text.app.retry}</Button>}
      >
        {problemText(code)}
      </Empty>
    </main>
  )
}

function Lost(): JSX.Element {
  return (
    <main class="page centre">
      <Empty
        isPage
        icon={TriangleAlert}
        title={text.app.lostTitle}
        actions={
          <>
            <Button kind="primary" onClick={() => { location.reload() }}>{text.app.retry}</Button>
            <Erase label={text.settings.eraseStart} />
          </>
        }
      >
        {text.app.lostText}
      </Empty>
    </main>
  )
}

function Erased(): JSX.Element {
  return (
    <main class="page centre">
      <Empty
        isPage
        icon={Trash2}
        title={text.app.erasedTitle}
        actions={<Button kind="primary" onClick={() => { location.reload() }}>{text.app.erasedAgain}</Button>}
      >
        {text.app.erasedText}
      </Empty>
    </main>
  )
}

function Outdated(): JSX.Element {
  return (
    <main class="page centre">
      <Empty
        isPage
        icon={TriangleAlert}
        title={text.app.outdatedTitle}
        actions={<Button kind="primary" onClick={() => { location.reload() }}>{text.app.reload}</Button>}
      >
        {problemText(OUTDATED)}
      </Empty>
    </main>
  )
}
