/** The relay that a new identity is offered: the server of this page names it. Source: docs/reference/web.md. */

const PATIENCE_MS = 5000

/** Ask the server of this page; offline, or without an answer, it is this page's own origin. */
export async function offeredRelay(): Promise<string> {
  try {
    const response = await fetch("site.json", {
      signal: AbortSignal.timeout(PATIENCE_MS),
      credentials: "omit",
      cache: "no-store",
    })
    const told: unknown = await response.json()
    const relay = typeof told === "object" && told !== null && "relay" in told ? told.relay : null
    if (typeof relay === "string") return relay
  } catch {
    // the choice can be changed on the page
  }
  return location.origin
}
