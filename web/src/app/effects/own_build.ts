/** Which build this page is of: what is kept for offline use may be older than what the server has. */

import type { Site } from "./site"

const HASH = "halonyx-build" // header that the service worker adds to the page it keeps

/**
 * Return the hash of the running build, 64 hex digits, or null if it can't be told.
 *
 * To be asked when the page starts: later, another build may have taken over.
 *
 * @param script Address of the page's own script, whose name holds a hash of it.
 */
export async function ownBuild(script: string, site: Promise<Site>): Promise<string | null> {
  // Not from a service worker: it was fetched from the server a moment ago.
  if ((navigator.serviceWorker as ServiceWorkerContainer | undefined)?.controller == null) return (await site).build
  const kept = await caches.match(new URL("index.html", document.baseURI))
  const name = script.split("/").at(-1) ?? ""
  if (kept === undefined || !(await kept.clone().text()).includes(`/${name}"`)) return null
  return kept.headers.get(HASH)
}
