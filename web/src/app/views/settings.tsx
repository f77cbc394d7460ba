/** Settings: looks, sounds, notifications, relay, what this program is, and the way out. */

import { Info, Monitor, Moon, Sun, UserX, type LucideIcon } from "lucide-preact"
import type { ComponentChildren, JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import { askForNotifications, notificationPermission } from "../effects/notifications"
import { askSite } from "../effects/site"
import { hostOf } from "../models/card_link"
import { shortId } from "../models/avatar"
import type { Theme } from "../models/preferences"
import { text } from "../text/text"
import { Avatar } from "./avatar"
import { useApp } from "./context"
import { Dialog } from "./dialog"
import { Erase } from "./erase"
import { MakeInvite } from "./make_invite"
import { Button } from "./parts"
import { StorageUse } from "./storage_use"
import { Switch } from "./switch"

export function SettingsDialog(): JSX.Element {
  const app = useApp()
  return (
    <Dialog title={text.settings.title} onClose={() => { app.dialog.value = null }}>
      <div class="settings">
        <You />
        <ThemeChoice />
        <Alerts />
        <RelayPart />
        <BlockedPart />
        <Part title={text.files.storage}>
          <StorageUse />
        </Part>
        <About />
        <Part title={text.settings.erase}>
          <p class="small soft">{text.settings.eraseText}</p>
          <Erase label={text.settings.erase} />
        </Part>
        <Part title={text.leave.title}>
          <p class="small soft">{text.leave.short}</p>
          <Button icon={UserX} onClick={() => { app.dialog.value = { kind: "leave" } }}>
            {text.leave.title}
          </Button>
        </Part>
      </div>
    </Dialog>
  )
}

function Part({ title, children }: { readonly title: string; readonly children: ComponentChildren }): JSX.Element {
  return (
    <section class="setting">
      <h3>{title}</h3>
      {children}
    </section>
  )
}

function You(): JSX.Element | null {
  const account = useApp().account.value
  if (account === null) return null
  return (
    <div class="preview-who">
      <Avatar address={account.address} size="large" />
      <div>
        <p class="small soft">{text.settings.you}</p>
        <p class="mono short-id">{shortId(account.address)}</p>
      </div>
    </div>
  )
}

const THEMES: readonly (readonly [Theme, LucideIcon])[] = [
  ["light", Sun],
  ["dark", Moon],
  ["system", Monitor],
]

function ThemeChoice(): JSX.Element {
  const { preferences } = useApp()
  return (
    <fieldset class="setting">
      <legend>{text.settings.theme}</legend>
      <div class="segments">
        {THEMES.map(([theme, Icon]) => (
          <label key={theme} class="segment">
            <input
              type="radio"
              name="theme"
              class="visually-hidden"
              checked={preferences.theme.value === theme}
              onChange={() => { preferences.chooseTheme(theme) }}
            />
            <span>
              <Icon size={16} /> {text.settings[theme]}
            </span>
          </label>
        ))}
      </div>
    </fieldset>
  )
}

function Alerts(): JSX.Element {
  const { preferences } = useApp()
  const [permission, setPermission] = useState(notificationPermission())
  const hints = {
    none: text.settings.notificationsNone,
    denied: text.settings.notificationsDenied,
    default: text.settings.notificationsHint,
    granted: text.settings.notificationsHint,
  }
  const choose = async (isOn: boolean): Promise<void> => {
    const given = isOn ? await askForNotifications() : permission
    setPermission(given)
    preferences.chooseNotifications(isOn && given === "granted")
  }
  return (
    <>
      <Switch
        label={text.settings.sounds}
        hint={text.settings.soundsHint}
        isOn={preferences.sounds.value}
        onChange={(isOn) => { preferences.chooseSounds(isOn) }}
      />
      <Switch
        label={text.settings.notifications}
        hint={hints[permission]}
        isOn={preferences.notifications.value && permission === "granted"}
        disabled={permission === "none"}
        onChange={(isOn) => void choose(isOn)}
      />
    </>
  )
}

function RelayPart(): JSX.Element | null {
  const app = useApp()
  const status = app.status.value
  if (status?.account == null) return null
  return (
    <Part title={text.settings.relay}>
      <p class="setting-line">
        <span class="mono cut">{hostOf(status.account.origin)}</span>
        <span class={`connection ${status.connection}`}>{text.settings.connection[status.connection]}</span>
      </p>
      {status.waiting > 0 && <p class="small soft">{text.settings.waiting(status.waiting)}</p>}
      {status.connection !== "online" && (
        <Button onClick={() => void app.act(() => app.api.retry(), null)}>{text.settings.retry}</Button>
      )}
      <MakeInvite />
    </Part>
  )
}

function BlockedPart(): JSX.Element {
  const app = useApp()
  const blocked = app.people.blocked.value
  return (
    <Part title={text.settings.blocked}>
      {blocked.length === 0 && <p class="small soft">{text.settings.blockedNone}</p>}
      <ul>
        {blocked.map((contact) => (
          <li key={contact.id} class="setting-line">
            <Avatar address={contact.address} size="small" />
            <bdi class="cut grow">{contact.name}</bdi>
            <Button
              kind="quiet"
              onClick={() =>
                void app.act(() => app.api.unblockContact(contact.id), text.details.unblocked(contact.name))
              }
            >
              {text.details.unblock}
            </Button>
          </li>
        ))}
      </ul>
    </Part>
  )
}

function About(): JSX.Element {
  const app = useApp()
  const build = app.build.value
  const [served, setServed] = useState<string | null>(null)
  useEffect(() => { void askSite().then((site) => { setServed(site.build) }) }, [])
  return (
    <Part title={text.settings.about}>
      <p class="small soft">{text.settings.aboutText}</p>
      <p class="small">{text.settings.build}</p>
      {build === null ? (
        <p class="small soft">{text.settings.buildUnknown}</p>
      ) : (
        <>
          <p class="mono small build">{build}</p>
          <p class="small soft">{text.settings.buildHint}</p>
        </>
      )}
      {build !== null && served !== null && served !== build && (
        <p class="note" role="status">
          <Info size={16} />
          <span>{text.settings.buildOther}</span>
        </p>
      )}
      {app.account.value !== null && (
        <Button onClick={() => { app.dialog.value = { kind: "knows" } }}>{text.knows.title}</Button>
      )}
    </Part>
  )
}
