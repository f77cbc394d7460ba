/** What the server of this page says of itself. Source: docs/reference/web.md. */

import { fetchSite } from "../../client/site"

export interface Site {
  /** The relay that a new identity is offered; without one, this page's own origin. */
  readonly relay: string
  /** Hash of the build it serves now, or null. */
  readonly build: string | null
}

/** Ask the server of this page. */
export async function askSite(): Promise<Site> {
  try {
    const { relay, build } = await fetchSite(location.origin)
    return { relay: relay ?? location.origin, build }
  } catch {
    return { relay: location.origin, build: null } // offline: the choice of a relay can be changed on the page
  }
}
