/**
 * Our anonymous connections: one to each contact written to lately, and never one for two contacts.
 *
 * Source: spec/delivery.md, "Client".
 */

import { TransportError } from "../core/errors"
import { reachesThisMachine } from "../core/origin"
import { SEND_PATH, type Accepted, type Submit } from "../wire/frames"
import type { ContactRow } from "./people"
import type { Socket } from "./socket"
import { Refused, Relay, submit } from "./transport"

const IDLE_MS = 45_000 // the relay closes a sending connection after 60 s

interface Line {
  readonly relay: Relay
  socket: Socket | null
  used: number
}

/** The connections of one tab; changes as the network does. */
export class Lines {
  readonly #lines = new Map<number, Line>()
  readonly #barred = new Set<number>()

  /** Make connections to a contact from now on, or, after too long a time, none and end those there are. */
  allow(contact: number, isAllowed: boolean): void {
    if (isAllowed) this.#barred.delete(contact)
    else this.#barred.add(contact)
    if (!isAllowed) this.drop(contact)
  }

  /**
   * Return the relay of a contact, the first of theirs; made anew when they moved.
   *
   * @param ourOrigin Where we receive.
   * @throws Refused: it is a relay on their own machine. TransportError: it took too long.
   */
  relay(contact: ContactRow, ourOrigin: string): Relay {
    return this.#line(contact, ourOrigin).relay
  }

  /** Submit on the connection that is open; if it died since it was used, once more on a fresh one. */
  async submit(contact: ContactRow, ourOrigin: string, frames: readonly Submit[]): Promise<readonly Accepted[]> {
    const open = this.#line(contact, ourOrigin)
    if (open.socket !== null) {
      try {
        return await answers(open, open.socket, frames)
      } catch (error) {
        if (!(error instanceof TransportError)) throw error
        this.drop(contact.id)
      }
    }
    const line = this.#line(contact, ourOrigin)
    line.socket = await line.relay.socket(SEND_PATH)
    return answers(line, line.socket, frames)
  }

  /** Close the connection to a contact, or every one. */
  drop(contact?: number): void {
    for (const [id, line] of this.#lines) {
      if (contact === undefined || id === contact) this.#close(id, line)
    }
  }

  /**
   * Close what was not used lately.
   *
   * @param busy Contacts that are being sent to: whether their connections are used shows only at the end.
   */
  dropIdle(busy: ReadonlySet<number>): void {
    for (const [id, line] of this.#lines) {
      if (!busy.has(id) && line.used + IDLE_MS < performance.now()) this.#close(id, line)
    }
  }

  #line(contact: ContactRow, ourOrigin: string): Line {
    if (this.#barred.has(contact.id)) throw new TransportError("the relay takes too long")
    const [origin = contact.origin] = contact.origins
    if (reachesThisMachine(origin) && !reachesThisMachine(ourOrigin)) {
      throw new Refused("loopback-origin", "they receive at a relay on their own machine only")
    }
    const known = this.#lines.get(contact.id)
    if (known?.relay.origin === origin) return known
    if (known !== undefined) this.#close(contact.id, known)
    const line = { relay: new Relay(origin), socket: null, used: performance.now() }
    this.#lines.set(contact.id, line)
    return line
  }

  #close(contact: number, line: Line): void {
    this.#lines.delete(contact)
    line.socket?.close()
    line.relay.close()
  }
}

async function answers(line: Line, socket: Socket, frames: readonly Submit[]): Promise<readonly Accepted[]> {
  const found = await submit(socket, frames)
  line.used = performance.now()
  return found
}
