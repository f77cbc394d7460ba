/** An invite to our relay, for somebody we know; only where the relay takes people by invite. */

import { Copy } from "lucide-preact"
import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { NewInvite } from "../../client/api"
import { fullDay } from "../text/dates"
import { text } from "../text/text"
import { useApp } from "./context"
import { Button, useCopy } from "./parts"

export function MakeInvite(): JSX.Element | null {
  const app = useApp()
  const copy = useCopy()
  const [isPossible, setPossible] = useState(false)
  const [made, setMade] = useState<NewInvite | null>(null)
  const [isAsking, setAsking] = useState(false)
  useEffect(() => {
    void app.api.takesInvites().then(setPossible, () => undefined) // a relay that can't be asked makes none now
  }, [])
  if (!isPossible) return null
  const make = async (): Promise<void> => {
    setAsking(true) // a second click would use up a second invite
    await app.act(async () => { setMade(await app.api.makeInvite()) }, null)
    setAsking(false)
  }
  if (made === null) {
    return (
      <Button disabled={isAsking} onClick={() => void make()}>
        {text.settings.invite}
      </Button>
    )
  }
  return (
    <div class="made-invite" role="status">
      <p class="mono small build">{made.invite}</p>
      <p class="small soft">{text.settings.invited(fullDay(made.expires))}</p>
      <Button icon={Copy} onClick={() => { copy(made.invite) }}>
        {text.app.copy}
      </Button>
    </div>
  )
}
