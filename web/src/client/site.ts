/**
 * What the server of this page tells about itself: the build it serves, and how relays are reached from here.
 *
 * It is no part of the build, which is the same on every server.
 *
 * Source: docs/reference/web.md.
 */

import { TransportError } from "../core/errors"

const MILLIS = 10_000

export interface Site {
  /** Hash of the build, 64 hexadecimal digits. */
  readonly build: string
  /** Relays that the page may reach, as `configureReach` takes them. */
  readonly relays: string
  /** The relay that a new identity is offered; null: the server itself. */
  readonly relay: string | null
}

/**
 * Ask the server of this page.
 *
 * @throws TransportError: it can't be reached, or is no server of this page.
 */
export async function fetchSite(ownOrigin: string): Promise<Site> {
  let told: unknown
  try {
    const signal = AbortSignal.timeout(MILLIS)
    const response = await fetch(`${ownOrigin}/site.json`, { signal, credentials: "omit", cache: "no-store" })
    told = await response.json()
  } catch {
    throw new TransportError("can't reach the server of this page")
  }
  return parsed(told)
}

function parsed(told: unknown): Site {
  if (isObject(told)) {
    const { build, reach, relays, relay } = told
    if (typeof build === "string" && isTexts(relays) && (relay === null || typeof relay === "string")) {
      return { build, relays: reach === "loopback" ? "loopback" : relays.join(" "), relay }
    }
  }
  throw new TransportError("the server of this page does not answer like one")
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === "string")
}
