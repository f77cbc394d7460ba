/**
 * The two loops of one tab: receive, if no other tab does, and send whatever waits.
 *
 * Nothing depends on their end: a tab that is killed loses its locks, and another goes on where the store stands.
 *
 * Source: spec/delivery.md, "Client".
 */

import { BadSignature, HalonyxError, StoreError } from "../core/errors"
import { HOUR, MINUTE, SECOND } from "../core/types"
import { nowMs } from "./account"
import { Alarm } from "./alarm"
import { RECEIVER_LOCK, withLock } from "./locks"
import { holdsAnything, showOverdue } from "./order"
import { expire, nextDue } from "./outbox"
import { Receiver } from "./receiving"
import { Sender } from "./sending"
import type { Reads, Store } from "./store"
import type { Reached } from "./tabs"
import { DeviceReplaced, Refused } from "./transport"

const BURST_MS = 10 // receipts of one burst go out together
const TICK_MS = SECOND
const AGAIN_MS = 30 * SECOND
const UPKEEP_MS = HOUR
const EXPIRE_MS = MINUTE

/** The loops of one tab, once there is an account. */
export class Running {
  readonly sender: Sender
  readonly #store: Store
  readonly #onReached: (reached: Reached) => void
  readonly #toSend = new Alarm()
  readonly #urgent = new Alarm()
  readonly #again = new Alarm()
  readonly #stopped = new AbortController()
  readonly #loops: Promise<unknown>
  #receiver: Receiver | null = null
  #later: ReturnType<typeof setTimeout> | undefined
  #expired = -Infinity

  /**
   * @param onReached Called in the tab that receives, when the connection came or went.
   */
  constructor(store: Store, onReached: (reached: Reached) => void) {
    this.#store = store
    this.#onReached = onReached
    this.sender = new Sender(store, () => {
      this.#toSend.set()
    })
    this.#loops = Promise.all([this.#receiveAlone(), this.#send()])
  }

  /**
   * Look what is to be sent.
   *
   * @param when A person waits for it: now. It may be more in a moment: soon. Another tab does, unless it ends: later.
   */
  wake(when: "now" | "soon" | "later" = "soon"): void {
    this.sender.noteNews()
    if (when === "later") {
      this.#later ??= setTimeout(() => {
        this.#later = undefined
        this.#toSend.set()
      }, TICK_MS)
      return
    }
    if (when === "now") this.#urgent.set()
    this.#toSend.set()
  }

  /** Try everything now, whatever failed before. */
  hurry(): void {
    this.sender.hurry()
    this.wake("now")
    this.#receiver?.hurry()
    this.#again.set()
  }

  /** Whether this tab is the one that receives. */
  get isReceiving(): boolean {
    return this.#receiver !== null
  }

  /** End both loops, and what they are doing. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    clearTimeout(this.#later)
    this.#receiver?.stop()
    this.#again.set()
    this.#toSend.set()
    await Promise.all([this.#loops, this.sender.stop()])
  }

  /** Wait until no other tab receives, then receive until stopped. */
  async #receiveAlone(): Promise<void> {
    const { signal } = this.#stopped
    try {
      await withLock(this.#store.name, RECEIVER_LOCK, signal, () => this.#receive())
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  #hasStopped(): boolean {
    return this.#stopped.signal.aborted
  }

  async #receive(): Promise<void> {
    while (!this.#hasStopped()) {
      const receiver = new Receiver(this.#store, () => {
        this.#tell(receiver)
      })
      this.#receiver = receiver
      this.#tell(receiver)
      const error: unknown = await receiver.run().catch((reason: unknown) => reason)
      if (this.#hasStopped()) return
      await this.#again.wait(this.#ended(error) ? null : AGAIN_MS)
    }
  }

  /** Say why receiving ended; true if trying again helps only if a person wants it. */
  #ended(error: unknown): boolean {
    const isRefused = error instanceof Refused || error instanceof BadSignature
    if (!isRefused && !(error instanceof StoreError)) console.error(error)
    const reason = error instanceof HalonyxError ? error.code : "internal"
    this.#onReached({ connection: isRefused ? "refused" : "offline", reason })
    return isRefused
  }

  #tell({ problem, hasLoggedIn }: Receiver): void {
    if (problem !== null) this.#onReached({ connection: "offline", reason: problem.code })
    else this.#onReached({ connection: hasLoggedIn ? "online" : "connecting", reason: null })
    this.wake()
  }

  /** Send receipts, repairs and whatever waits. */
  async #send(): Promise<void> {
    while (!this.#hasStopped()) {
      const pause = await this.#sendDue().catch((error: unknown) => {
        // The outermost loop: what waits is still there, and is tried again.
        if (!this.#hasStopped()) console.error(error)
        return AGAIN_MS
      })
      await this.#toSend.wait(pause)
      await this.#urgent.wait(BURST_MS)
    }
  }

  /** Do what is due, and return in how many milliseconds the next thing is, if nothing happens before. */
  async #sendDue(): Promise<number> {
    if (this.#expired + EXPIRE_MS <= performance.now()) {
      await expire(this.#store, nowMs())
      this.#expired = performance.now()
    }
    const reads = this.#store.snapshot() // what is written after it wakes us again
    // Before anything is sent: it is shown whether our relay knows us or not.
    await showOverdue(this.#store, nowMs(), reads)
    const pause = await this.#startSending(reads)
    const [due, isHeld] = await Promise.all([nextDue(reads, nowMs()), holdsAnything(reads)])
    const times = [pause ?? UPKEEP_MS, isHeld ? TICK_MS : UPKEEP_MS, due === null ? UPKEEP_MS : due - nowMs()]
    return Math.max(Math.min(...times), 0)
  }
  /** Begin to send; a device that was replaced sends nothing, and says so. */
  async #startSending(reads: Reads): Promise<number | null> {
    try {
      return await this.sender.start(this.#receiver?.takeLeft() ?? null, reads)
    } catch (error) {
      if (!(error instanceof DeviceReplaced)) throw error
      this.#onReached({ connection: "refused", reason: error.code })
      return null
    }
  }
}
