/** Word of new messages while the page is in the background: who, never what. */

import { text } from "../text/text"

export type Permission = NotificationPermission | "none"

const VISIBLE = "halonyx-visible" // lock shared by the tabs a person can see
const HOLD_MS = 3000 // how long one tab keeps the others from telling the same

export function notificationPermission(): Permission {
  return "Notification" in globalThis ? Notification.permission : "none"
}

export async function askForNotifications(): Promise<Permission> {
  return "Notification" in globalThis ? Notification.requestPermission() : "none"
}

/** Hold the shared lock as long as this tab can be seen, so that hidden tabs keep quiet. */
export function watchVisibility(): void {
  let release: (() => void) | null = null
  const update = (): void => {
    if (document.visibilityState === "visible" && release === null) {
      const hidden = new Promise<void>((resolve) => { release = resolve })
      void navigator.locks.request(VISIBLE, { mode: "shared" }, () => hidden)
    } else if (document.visibilityState === "hidden") {
      release?.()
      release = null
    }
  }
  document.addEventListener("visibilitychange", update)
  update()
}

/**
 * Tell of a message in one tab only: in one that is seen by a sound, else by a notification, too.
 *
 * @param id Of the message; every tab hears of it.
 */
export async function tellOnce(id: string, tell: (isSeen: boolean) => void): Promise<void> {
  const { held } = await navigator.locks.query()
  const isSeen = held?.some(({ name }) => name === VISIBLE) ?? false
  if (isSeen && document.visibilityState !== "visible") return
  await navigator.locks.request(`halonyx-alert-${id}`, { ifAvailable: true }, async (lock) => {
    if (lock === null) return
    tell(isSeen)
    await new Promise((resolve) => setTimeout(resolve, HOLD_MS))
  })
}

/** Show a notification; a click on it brings the conversation up. */
export async function notify(name: string, contact: number, onClick: () => void): Promise<void> {
  if (notificationPermission() !== "granted") return
  const options = { body: text.thread.newFrom(name), tag: `contact-${contact}`, icon: "icon-192.png" }
  try {
    const registration = await navigator.serviceWorker.getRegistration()
    if (registration?.active) {
      await registration.showNotification(text.app.name, { ...options, data: { contact } })
      return
    }
    const notification = new Notification(text.app.name, options)
    notification.onclick = () => {
      window.focus()
      notification.close()
      onClick()
    }
  } catch {
    // a desktop without notifications: the message is in the list all the same
  }
}
