/**
 * The page's side of the Worker: every call of `Api` as a promise, and changes as they come.
 *
 * Source: spec/delivery.md, "Client".
 */

import { HalonyxError, TransportError } from "../core/errors"
import type { Api, Change } from "./api"
import type { Engine } from "./engine"
import { isMethod, type Call, type Calls, type FromWorker } from "./rpc"

/** A TrustedScriptURL, which the compiler's library does not know yet. */
export interface TrustedScriptUrl {
  toString(): string
}

export interface Connected {
  readonly api: Api
  /** For the torrents, which run in the page. */
  readonly engine: Engine
  /** Be told of every change in any tab; returns what ends that. */
  onChange(listener: (change: Change) => void): () => void
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: HalonyxError) => void
}

/**
 * Start the Worker of this tab.
 *
 * @param workerUrl Its script, as Trusted Types want it where they are enforced.
 */
export function connect(workerUrl: TrustedScriptUrl | string): Connected {
  // Passed on as it is: text made of a TrustedScriptURL would be refused.
  return attach(new Worker(workerUrl as string, { type: "module", name: "halonyx" }))
}

/** Speak to a Worker that was started. */
export function attach(worker: Worker): Connected {
  const waiting = new Map<number, Waiting>()
  const listeners = new Set<(change: Change) => void>()
  let lastId = 0

  const call = (method: keyof Calls, args: readonly unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const message: Call = { id: ++lastId, method, args }
      waiting.set(message.id, { resolve, reject })
      worker.postMessage(message, { transfer: movedBy(method, args) })
    })
  worker.addEventListener("message", (event: MessageEvent<FromWorker>) => {
    const message = event.data
    if ("change" in message) void changed(message.change, listeners)
    else settle(waiting, message)
  })
  worker.addEventListener("error", () => {
    for (const { reject } of waiting.values()) reject(new TransportError("the Worker of this tab ended"))
    waiting.clear()
  })
  const api = new Proxy({} as Calls, {
    // Only the calls there are: a promise is told from other objects by its `then`.
    get: (_, name) => {
      if (!isMethod(name)) return undefined
      if (name === "eraseDevice") return () => call(name, []).then(forgetPage)
      if (name !== "createAccount" && name !== "recoverAccount") return (...args: readonly unknown[]) => call(name, args)
      return (...args: readonly unknown[]) => call(name, args).then(kept)
    },
  })
  return {
    api,
    engine: api,
    onChange: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** Of a piece the Worker gets the memory, not a copy: it is the one call with so much. */
function movedBy(method: keyof Calls, args: readonly unknown[]): ArrayBuffer[] {
  const piece = method === "writePiece" ? args.at(-1) : null
  return piece instanceof Uint8Array && piece.buffer instanceof ArrayBuffer ? [piece.buffer] : []
}

function settle(waiting: Map<number, Waiting>, answer: Exclude<FromWorker, { change: Change }>): void {
  const call = waiting.get(answer.id)
  waiting.delete(answer.id)
  if ("error" in answer) call?.reject(new HalonyxError(answer.error.code, answer.error.message))
  else call?.resolve(answer.result)
}

async function changed(change: Change, listeners: ReadonlySet<(change: Change) => void>): Promise<void> {
  if (change.kind === "erased") await forgetPage()
  for (const listener of [...listeners]) listener(change)
}

/** Ask the browser, once there is an account, not to delete it when space runs out; a Worker may not ask. */
function kept<T>(result: T): T {
  navigator.storage.persist().catch(() => undefined) // not waited for: a person may be asked
  return result
}

/**
 * Delete what lies outside the database: caches, settings, and the service worker that would fill them again.
 *
 * A private window may have neither caches nor service workers: then nothing of ours lies there.
 */
async function forgetPage(): Promise<void> {
  localStorage.clear()
  sessionStorage.clear()
  const { serviceWorker } = navigator as Partial<Navigator>
  const registrations = (await serviceWorker?.getRegistrations()) ?? []
  await Promise.all(registrations.map((registration) => registration.unregister()))
  const names = await caches.keys().catch(() => [])
  await Promise.all(names.map((name) => caches.delete(name)))
}
