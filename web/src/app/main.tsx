/** Start of the page: the Worker, the models, what is around them, the first drawing. */

import "./styles/fonts.css"
import "./styles/tokens.css"
import "./styles/base.css"
import "./styles/controls.css"
import "./styles/states.css"
import "./styles/pages.css"
import "./styles/shell.css"
import "./styles/thread.css"
import "./styles/composer.css"
import "./styles/dialogs.css"
import "./styles/files.css"
import "./styles/settings.css"
import "./styles/avatar.css"
import "./styles/print.css"

import { effect } from "@preact/signals"
import { render } from "preact"
import { connect } from "../client/connect"
import { ignoreStrayFiles } from "./effects/chosen_files"
import { notify, tellOnce, watchVisibility } from "./effects/notifications"
import { ownBuild } from "./effects/own_build"
import { followHistory, placeOf, went } from "./effects/places"
import { askSite } from "./effects/site"
import { playReceived, playSent } from "./effects/sounds"
import { startTorrents } from "./effects/torrents"
import { workerUrl } from "./effects/trusted"
import { startUpdates } from "./effects/updates"
import type { Alert } from "./models/alerts"
import { App } from "./models/app"
import { cardIn } from "./models/card_link"
import { Preferences } from "./models/preferences"
import { dayOf } from "./text/dates"
import { text } from "./text/text"
import { AppProvider } from "./views/context"
import { Root } from "./views/root"

function start(): void {
  const root = document.querySelector("#app")
  if (root === null) return
  const preferences = new Preferences(storage())
  effect(() => { document.documentElement.dataset["theme"] = preferences.theme.value })
  const client = connect(workerUrl())
  const app = new App(client.api, preferences, {
    now: () => Date.now(),
    dayOf,
    random: (below) => Math.floor((crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % below),
    isVisible: () => document.visibilityState === "visible",
    alert: (alert, name) => { tell(app, alert, name) },
    sent: () => { if (preferences.sounds.value) playSent() },
    went,
  })
  client.onChange((change) => { app.change(change) })
  startTorrents(client)
  effect(() => { document.title = text.app.title(app.people.unread.value) })
  watchVisibility()
  ignoreStrayFiles()
  document.addEventListener("visibilitychange", () => {
    void app.read()
    if (document.visibilityState === "visible") void app.reconnect()
  })
  addEventListener("online", () => void app.reconnect()) // a Worker is not told in every browser
  followHistory(app)
  takeInvitation(app)
  addEventListener("hashchange", () => { takeInvitation(app) })
  render(<AppProvider value={app}><Root /></AppProvider>, root)
  const site = askSite()
  void site.then(({ relay }) => { app.firstRun.offer(relay) })
  void ownBuild(import.meta.url, site).then((build) => { app.build.value = build })
  const started = app.start().then(() => { app.show(placeOf(history.state)) })
  if (import.meta.env.PROD) {
    const open = (contact: number): void => void started.then(() => { app.go({ kind: "thread", contact }) })
    void startUpdates((update) => { app.update.value = update }, open)
  }
}

function tell(app: App, alert: Alert, name: string): void {
  void tellOnce(alert.entry.id, (isSeen) => {
    if (app.preferences.sounds.value) playReceived()
    if (isSeen || !app.preferences.notifications.value) return
    void notify(name, alert.contact, () => { app.go({ kind: "thread", contact: alert.contact }) })
  })
}

/** A card in the address leads to the dialog; it is taken out of the address, where it would be seen and shared. */
function takeInvitation(app: App): void {
  const card = cardIn(location)
  if (card === null) return
  history.replaceState(history.state, "", location.pathname + location.search)
  app.invite(card)
}

function storage(): Storage | null {
  try {
    return localStorage
  } catch {
    return null
  }
}

start()
