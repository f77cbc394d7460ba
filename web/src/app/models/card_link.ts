/** Contact cards as links; the client reads what is inside. Source: spec/identity.md, "Contact card". */

const SCHEME = "halonyx:"
const FRAGMENT = "#add="

/** Write a card URI as a link to its relay's page. */
export function linkOf(uri: string, origin: string): string {
  return `${origin}/${FRAGMENT}${uri.slice(SCHEME.length)}`
}

/** Return the card a page address carries, as a link, or null. */
export function cardIn(location: { readonly origin: string; readonly hash: string }): string | null {
  return location.hash.startsWith(FRAGMENT) ? `${location.origin}/${location.hash}` : null
}

/** Tell whether a text that is no card was meant to be one. */
export function isMeantAsCard(typed: string): boolean {
  return typed.trim().toLowerCase().startsWith(SCHEME) || typed.includes(FRAGMENT)
}

/** A relay without its scheme, as people say it. */
export function hostOf(origin: string): string {
  return origin.replace(/^https?:\/\//, "")
}
