/** Back and forward: where we are is kept in the history entry, not in the address. */

import type { App, Place } from "../models/app"

/** Note a place we go to: from the list in a new entry, so that Back leads there; from anywhere else in the same. */
export function went(place: Place): void {
  const before = placeOf(history.state)
  if (JSON.stringify(before) === JSON.stringify(place)) return
  if (before.kind === "list") history.pushState({ place }, "")
  else history.replaceState({ place }, "")
}

/** Show where we were when the page was loaded again, and follow Back. */
export function followHistory(app: App): void {
  addEventListener("popstate", () => {
    app.dialog.value = null
    app.show(placeOf(history.state))
  })
}

/** Read the place of a history entry; whatever else stands there is the list. */
export function placeOf(state: unknown): Place {
  if (typeof state !== "object" || state === null || !("place" in state)) return { kind: "list" }
  const { place } = state
  if (typeof place !== "object" || place === null || !("kind" in place)) return { kind: "list" }
  if (place.kind === "requests") return { kind: "requests" }
  if (place.kind === "thread" && "contact" in place && typeof place.contact === "number")
    return { kind: "thread", contact: place.contact }
  return { kind: "list" }
}
