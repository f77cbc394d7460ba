/**
 * Locks between the tabs of one browser; the browser drops them when a tab dies.
 *
 * Source: spec/delivery.md, "Client".
 */

export const RECEIVER_LOCK = "receiver"
export const OUTBOX_LOCK = "outbox"

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
