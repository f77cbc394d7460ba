/** The service worker: keeps one build for offline use; a new one waits until the person says so. */

import { serviceWorkerUrl } from "./trusted"

const EVERY_MS = 60 * 60_000 // between looks for a new build

/** Sent to the waiting service worker. */
export const TAKE_OVER = "take-over"

let waiting: ServiceWorker | null = null

/** A new build waits, or another tab let it take over already. */
export type Update = "ready" | "taken"

/**
 * Register the service worker.
 *
 * @param onUpdate Called when there is a new build.
 * @param onOpen Called with the contact of a notification that was clicked.
 */
export async function startUpdates(
  onUpdate: (update: Update) => void,
  onOpen: (contact: number) => void,
): Promise<void> {
  if (!("serviceWorker" in navigator)) return
  navigator.serviceWorker.addEventListener("message", (event: MessageEvent<unknown>) => {
    const { data } = event
    if (typeof data === "object" && data !== null && "open" in data && typeof data.open === "number") onOpen(data.open)
  })
  try {
    const registration = await navigator.serviceWorker.register(serviceWorkerUrl() as string, {
      updateViaCache: "none",
    })
    watch(registration, onUpdate)
    setInterval(() => void registration.update().catch(() => undefined), EVERY_MS)
  } catch {
    // a private window or plain http: the page works, only not offline
  }
}

/** Let the new build take over and load it; without one that waits, load what is there. */
export function applyUpdate(): void {
  if (waiting === null) {
    location.reload()
    return
  }
  navigator.serviceWorker.addEventListener("controllerchange", () => { location.reload() }, { once: true })
  waiting.postMessage(TAKE_OVER)
}

function watch(registration: ServiceWorkerRegistration, onUpdate: (update: Update) => void): void {
  const ready = (worker: ServiceWorker): void => {
    // Without a controller it is the first build: there is nothing to update.
    if (navigator.serviceWorker.controller === null) return
    waiting = worker
    onUpdate("ready")
  }
  const follow = (worker: ServiceWorker | null): void => {
    worker?.addEventListener("statechange", () => {
      if (worker.state === "installed") ready(worker)
    })
  }
  if (registration.waiting !== null) ready(registration.waiting)
  follow(registration.installing) // the browser looks for a new build by itself, and may have found it before
  registration.addEventListener("updatefound", () => { follow(registration.installing) })
  // Another tab let the new build take over: this one still runs the old, whose other parts are gone, and says so.
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    waiting = null
    onUpdate("taken")
  })
}
