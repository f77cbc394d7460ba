/**
 * Credentials for the TURN server of our own relay, and what else it offers for files; asked when they are needed.
 *
 * Source: spec/file-relay.md, "TURN credentials".
 */

import { MINUTE } from "../core/types"
import { parseTurnCredentials } from "../wire/rest_files"
import { loadAccount, nowMs } from "./account"
import type { IceServer } from "./engine"
import type { Store } from "./store"
import type { Services } from "./transfer_row"
import { Refused, Relay } from "./transport"

const KEPT_SPARE = 10 * MINUTE // before they expire, new ones are asked for
const ASK_AGAIN = 10 * MINUTE

export const NO_SERVICES: Services = { hasDrop: false, hasTurn: null }

/** What our relay gives; one for each Worker. */
export class Turn {
  services: Services = NO_SERVICES
  readonly #store: Store
  #servers: readonly IceServer[] | null = null
  #until = -Infinity
  #asked = -Infinity

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * Return servers that relay for us; none if our relay has no TURN.
   *
   * @throws TransportError, Refused: it can't be asked.
   */
  async servers(): Promise<readonly IceServer[]> {
    if (this.#servers !== null && this.#until > nowMs()) return this.#servers
    const account = await loadAccount(this.#store)
    const relay = new Relay(account.origin)
    const body = { address: account.address, device: account.own.device.id }
    try {
      const found = await relay.call("POST", "/v1/turn", body, parseTurnCredentials, account.signer)
      this.#servers = [{ urls: found.urls, username: found.username, credential: found.credential }]
      this.#until = Math.max(found.expires - KEPT_SPARE, nowMs() + MINUTE)
    } catch (error) {
      if (!(error instanceof Refused) || error.code !== "no-turn") throw error
      this.#servers = []
      this.#until = nowMs() + ASK_AGAIN
    }
    return this.#servers
  }

  /** When what `servers` returned should be asked for anew. */
  get until(): number {
    return this.#until
  }

  /** Forget what was asked: a person wants everything to be tried again. */
  forget(): void {
    this.#until = -Infinity
    this.#asked = -Infinity
  }

  /**
   * Ask our relay what it offers, if that is not known.
   *
   * @returns Whether it is other than before.
   * @throws TransportError, Refused: it can't be asked.
   */
  async learn(): Promise<boolean> {
    if (this.#asked + ASK_AGAIN > nowMs()) return false
    const { files } = await new Relay((await loadAccount(this.#store)).origin).info()
    this.#asked = nowMs()
    const before = this.services
    this.services = { hasDrop: files.drop > 0, hasTurn: files.turn }
    return before.hasDrop !== this.services.hasDrop || before.hasTurn !== this.services.hasTurn
  }
}
