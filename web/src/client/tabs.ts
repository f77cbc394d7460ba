/**
 * What the tabs of one browser tell each other: what changed, and how the one connection of them all is.
 *
 * Source: spec/delivery.md, "Client".
 */

import type { Change, Connection } from "./api"

/** How the mailbox is reached, and the code of why it is not. */
export interface Reached {
  readonly connection: Connection
  readonly reason: string | null
}

export type TabMessage =
  | { readonly kind: "changes"; readonly changes: readonly Change[] }
  | { readonly kind: "reached"; readonly reached: Reached }
  | { readonly kind: "ask" } // a new tab wants to know what the receiving one knows
  | { readonly kind: "retry" } // a person wants everything to be tried now
  | { readonly kind: "erase" } // everyone lets go of the database, which will be deleted

/** The channel between the tabs that have one database open; a tab does not hear itself. */
export class Tabs {
  readonly #channel: BroadcastChannel
  #isClosed = false

  /**
   * @param database Its name, and the channel's.
   */
  constructor(database: string, heard: (message: TabMessage) => void) {
    this.#channel = new BroadcastChannel(database)
    this.#channel.onmessage = (event: MessageEvent<TabMessage>) => {
      heard(event.data)
    }
  }

  /** Tell the others; once this is closed, nobody. */
  tell(message: TabMessage): void {
    if (!this.#isClosed) this.#channel.postMessage(message)
  }

  close(): void {
    this.#isClosed = true
    this.#channel.close()
  }
}

/** Tell whether two tabs know the same. */
export function isSame(one: Reached, other: Reached | null): boolean {
  return one.connection === other?.connection && one.reason === other.reason
}
