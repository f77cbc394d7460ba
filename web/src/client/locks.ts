/**
 * Locks between the tabs of one browser; the browser drops them when a tab dies.
 *
 * Source: spec/delivery.md, "Client".
 */

import { StoreError } from "../core/errors"

export const RECEIVER_LOCK = "receiver"
export const OUTBOX_LOCK = "outbox"
const LOCK_MS = 30_000
const IDLE_MS = 20 // longer than sealing and submitting a message pause between two transactions
const LONGEST_MS = 100

/** Return the browser's name of a lock; each database has its own. */
export function lockName(database: string, lock: string): string {
  return `${database}-${lock}`
}

/**
 * Run `work` under the lock if it is free, and return what it returns.
 *
 * @param work Is told whether the lock is held.
 */
export function tryLock<T>(database: string, lock: string, work: (isHeld: boolean) => Promise<T>): Promise<T> {
  const name = lockName(database, lock)
  return navigator.locks.request(name, { ifAvailable: true }, (held) => work(held !== null))
}

/**
 * Wait for the lock and run `work` under it.
 *
 * @param signal Ends the waiting; rejects with its reason then.
 */
export function withLock<T>(database: string, lock: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return navigator.locks.request(lockName(database, lock), { signal }, () => work())
}

/**
 * Wait until nobody has the lock alone, and run `work` while others may share it.
 *
 * `tryLock` finds it free when the last of them has ended.
 */
export function shareLock<T>(database: string, lock: string, work: () => Promise<T>): Promise<T> {
  return navigator.locks.request(lockName(database, lock), { mode: "shared" }, () => work())
}

/**
 * One lock, kept for a moment after the work under it: what follows at once need not ask for it again.
 *
 * Work of one tab is done one after the other. Other tabs wait LONGEST_MS at most, and IDLE_MS when nothing follows.
 */
export class KeptLock {
  readonly #name: string
  readonly #onLetGo: () => void
  #last: Promise<unknown> = Promise.resolve()
  #letGo: (() => void) | null = null // null while the lock is not ours
  #since = 0
  #isWorking = false
  #idle: ReturnType<typeof setTimeout> | undefined

  /**
   * @param onLetGo Called whenever others may have the lock from now on.
   */
  constructor(database: string, lock: string, onLetGo: () => void) {
    this.#name = lockName(database, lock)
    this.#onLetGo = onLetGo
  }

  /**
   * Run `work` under the lock, after all that was to run before.
   *
   * @throws StoreError: another tab held it for half a minute.
   */
  run<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => this.#run(work))
    this.#last = turn.catch(() => undefined)
    return turn
  }

  /** Let others have it, now or when the work that runs is done. */
  release(): void {
    clearTimeout(this.#idle)
    if (this.#isWorking) {
      this.#since = -Infinity
      return
    }
    this.#onLetGo()
    this.#letGo?.()
    this.#letGo = null
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    clearTimeout(this.#idle)
    this.#isWorking = true
    try {
      if (this.#letGo === null) await this.#take()
      return await work()
    } finally {
      this.#isWorking = false
      if (this.#since + LONGEST_MS <= performance.now()) this.release()
      else this.#idle = setTimeout(() => { this.release() }, IDLE_MS)
    }
  }

  #take(): Promise<void> {
    return new Promise((resolve, reject) => {
      waitFor(this.#name, () => {
        this.#since = performance.now()
        resolve()
        return new Promise<void>((letGo) => { this.#letGo = letGo })
      }).catch(reject)
    })
  }
}

/**
 * Wait for a lock and run `work` under it.
 *
 * @param name The browser's name of it.
 * @throws StoreError: another tab held it for half a minute.
 */
export async function waitFor<T>(name: string, work: () => Promise<T>): Promise<T> {
  const waiting = AbortSignal.timeout(LOCK_MS)
  try {
    return await navigator.locks.request(name, { signal: waiting }, work)
  } catch (error) {
    if (error !== waiting.reason || !waiting.aborted) throw error
    throw new StoreError("another tab held the store for half a minute: close it, and try again")
  }
}
