/** The page's side of the Worker, with a Worker that answers every call at once. */

import { afterEach, expect, test, vi } from "vitest"

import { attach } from "../../src/client/connect"
import type { Call, FromWorker } from "../../src/client/rpc"

class Answering extends EventTarget {
  postMessage({ id }: Call): void {
    queueMicrotask(() => { this.say({ id, result: undefined }) })
  }

  say(data: FromWorker): void {
    this.dispatchEvent(new MessageEvent("message", { data }))
  }
}

afterEach(() => { vi.unstubAllGlobals() })

test("a private window without caches and service workers is told of its end, and by its end", async () => {
  const cleared: string[] = []
  const storage = (name: string): unknown => ({ clear: () => cleared.push(name) })
  vi.stubGlobal("localStorage", storage("local"))
  vi.stubGlobal("sessionStorage", storage("session"))
  vi.stubGlobal("navigator", {})
  vi.stubGlobal("caches", { keys: () => Promise.reject(new DOMException("as a private window says it", "SecurityError")) })
  const worker = new Answering()
  const client = attach(worker as unknown as Worker)
  const erased = new Promise((resolve) => client.onChange(resolve))
  await client.api.eraseDevice()
  worker.say({ change: { kind: "erased" } })
  expect(await erased).toEqual({ kind: "erased" })
  expect(cleared).toEqual(["local", "session", "local", "session"])
})
