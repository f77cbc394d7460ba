/**
 * How a relay is written: scheme://host[:port], in one way only.
 *
 * Source: spec/identity.md, "Origins".
 */

import type { Reader } from "./encoding"
import { Malformed } from "./errors"

export const MAX_ORIGIN_SIZE = 255 // ASCII characters
export const MAX_PORT = 65535
const LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
const ORIGIN = new RegExp(
  `^(?<scheme>https?)://(?<host>${LABEL}(?:\\.${LABEL})*|\\[[0-9a-f:]+\\])(?::(?<port>[1-9][0-9]{0,4}))?$`,
)
const LOOPBACK = /^(?:localhost|127(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}|\[::1\])$/

/**
 * Return `origin` if it is one way to write a relay; plain http is for this machine only.
 *
 * @param origin At most 255 characters, lower case, without the scheme's own port, path or final slash.
 * @throws Malformed: anything else.
 */
export function checkOrigin(origin: string): string {
  const { scheme, host, port } = origin.length > MAX_ORIGIN_SIZE ? {} : (ORIGIN.exec(origin)?.groups ?? {})
  if (scheme === undefined || host === undefined) {
    throw new Malformed("a relay is written https://host or https://host:port, in lower case and without a path")
  }
  if (scheme === "http" && !LOOPBACK.test(host)) {
    throw new Malformed("plain http is allowed only for a relay on this machine")
  }
  if (port !== undefined && (port === (scheme === "http" ? "80" : "443") || Number(port) > MAX_PORT)) {
    throw new Malformed("the port is out of range or the default one, which is left out")
  }
  return origin
}

/** Tell whether an origin that `checkOrigin` took names the machine of whoever connects. */
export function reachesThisMachine(origin: string): boolean {
  const host = ORIGIN.exec(origin)?.groups?.["host"]
  return host !== undefined && LOOPBACK.test(host)
}

/** Take an origin with its length, u8, off the front (Malformed: none, or not ASCII). */
export function readOrigin(reader: Reader): string {
  // One character a byte: what is not ASCII is no origin.
  return checkOrigin(String.fromCharCode(...reader.sized(1, MAX_ORIGIN_SIZE, 1)))
}
