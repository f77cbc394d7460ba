/**
 * Which address a page uses to reach a relay, and which relays it may reach at all.
 *
 * A hosted page talks to its own relay and to those its operator lists (the page's CSP says the same). Served by
 * `halonyx web`, everything goes through the page's own origin, and the program on the person's machine passes it on.
 * Signatures and challenges name the real relay either way.
 */

/** Meta content that says the page is served by `halonyx web`. */
const LOOPBACK = "loopback"

/** Gives the address in front of a relay's paths, without a slash at its end, or null if this page may not reach it. */
export type Reach = (origin: string) => string | null

/**
 * Return how a page reaches relays.
 *
 * @param meta Content of `<meta name="halonyx-relays">`: "loopback", or origins with white space between them.
 * @param ownOrigin The page's origin.
 */
export function reachFrom(meta: string, ownOrigin: string): Reach {
  const listed = meta.split(/\s+/).filter((word) => word !== "")
  if (listed.length === 1 && listed[0] === LOOPBACK) {
    return (origin) => `${ownOrigin}/relay/${encodeURIComponent(origin)}`
  }
  const allowed: ReadonlySet<string> = new Set([ownOrigin, ...listed])
  return (origin) => (allowed.has(origin) ? origin : null)
}

let configured: Reach = () => null

/** Say once, when the Worker starts, how this page reaches relays; before that it reaches none. */
export function configureReach(meta: string, ownOrigin: string): void {
  configured = reachFrom(meta, ownOrigin)
}

/** Return the address in front of a relay's paths, or null if this page may not reach that relay. */
export const reach: Reach = (origin) => configured(origin)
