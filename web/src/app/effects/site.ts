/** What the server of this page says of itself. Source: docs/reference/web.md. */

const PATIENCE_MS = 5000

export interface Site {
  /** The relay that a new identity is offered; without an answer, this page's own origin. */
  readonly relay: string
  /** Hash of the build it serves now, or null. */
  readonly build: string | null
}

/** Ask the server of this page. */
export async function askSite(): Promise<Site> {
  const told = await answer().catch(() => null) // offline: the choice of a relay can be changed on the page
  return {
    relay: told !== null && "relay" in told && typeof told.relay === "string" ? told.relay : location.origin,
    build: told !== null && "build" in told && typeof told.build === "string" ? told.build : null,
  }
}

async function answer(): Promise<object | null> {
  const response = await fetch("site.json", {
    signal: AbortSignal.timeout(PATIENCE_MS),
    credentials: "omit",
    cache: "no-store",
  })
  const told: unknown = await response.json()
  return typeof told === "object" ? told : null
}
