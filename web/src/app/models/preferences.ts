/** What a person chose for this browser. Kept in local storage, which holds nothing else. */

import { signal, type Signal } from "@preact/signals"

export type Theme = "light" | "dark" | "system"

const THEME = "halonyx.theme"
const SOUNDS = "halonyx.sounds"
const NOTIFICATIONS = "halonyx.notifications"

export class Preferences {
  readonly theme: Signal<Theme>
  readonly sounds: Signal<boolean>
  readonly notifications: Signal<boolean>
  readonly #storage: Storage | null

  constructor(storage: Storage | null) {
    this.#storage = storage
    const theme = this.#read(THEME)
    this.theme = signal(theme === "light" || theme === "dark" ? theme : "system")
    this.sounds = signal(this.#read(SOUNDS) !== "off")
    this.notifications = signal(this.#read(NOTIFICATIONS) === "on")
  }

  chooseTheme(theme: Theme): void {
    this.theme.value = theme
    this.#write(THEME, theme)
  }

  chooseSounds(isOn: boolean): void {
    this.sounds.value = isOn
    this.#write(SOUNDS, isOn ? "on" : "off")
  }

  chooseNotifications(isOn: boolean): void {
    this.notifications.value = isOn
    this.#write(NOTIFICATIONS, isOn ? "on" : "off")
  }

  #read(key: string): string | null {
    try {
      return this.#storage?.getItem(key) ?? null
    } catch {
      return null // a browser may refuse; the choice then lasts as long as the page
    }
  }

  #write(key: string, choice: string): void {
    try {
      this.#storage?.setItem(key, choice)
    } catch {
      // as above
    }
  }
}
