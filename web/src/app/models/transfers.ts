/** Every offer that was seen on this page, as it is now. */

import { signal, type Signal } from "@preact/signals"
import type { Entry, Transfer, TransferState } from "../../client/api"

/** How an offer ended, for whoever only hears the page. */
export interface Ending {
  readonly transfer: Transfer
  readonly state: "done" | "failed" | "refused" | "cancelled"
}

const ENDS: ReadonlySet<TransferState> = new Set(["done", "failed", "refused", "cancelled"])

export class Transfers {
  readonly #known = new Map<string, Signal<Transfer>>()
  /** Grows with each offer that is seen for the first time, and with each that comes to another state. */
  readonly changes = signal(0)

  /** Follow an offer; what a line of the conversation says of it may be older than what is known. */
  of(transfer: Transfer): Signal<Transfer> {
    const known = this.#known.get(transfer.id)
    if (known !== undefined) return known
    const made = signal(transfer)
    this.#known.set(transfer.id, made)
    return made
  }

  /** Take in what is known now; returns how it ended, if it just did. */
  take(transfer: Transfer): Ending | null {
    const known = this.#known.get(transfer.id)
    const before = known?.peek() ?? null
    if (before !== null && transfer.version < before.version) return null // read before what is known, and told after it
    if (known === undefined) this.#known.set(transfer.id, signal(transfer))
    else known.value = transfer
    const { state } = transfer
    if (before?.state === state) return null
    this.changes.value += 1
    return before !== null && isEnd(state) ? { transfer, state } : null
  }

  /** Take in lines that were added or changed. */
  takeEntries(entries: readonly Entry[]): void {
    for (const { file } of entries) if (file !== null) this.take(file)
  }
}

function isEnd(state: TransferState): state is Ending["state"] {
  return ENDS.has(state)
}
