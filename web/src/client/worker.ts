/**
 * The Worker of one tab: all cryptography, storage and networking, behind the calls of `Api`.
 *
 * Source: spec/delivery.md, "Client".
 */

import { HalonyxError } from "../core/errors"
import type { Api, ApiError } from "./api"
import { Client } from "./client"
import { Folders } from "./folders"
import { configureReach } from "./reach"
import { isFileMethod, isMethod, type Call, type Calls, type FromWorker } from "./rpc"
import { fetchSite } from "./site"
import { DATABASE, Store } from "./store"

/** What a dedicated Worker has that the compiler's library of a page has not. */
interface WorkerScope {
  readonly origin: string
  postMessage(message: FromWorker, handedOver?: Transferable[]): void
  addEventListener(type: "message", listener: (event: MessageEvent<Call>) => void): void
  addEventListener(type: "online", listener: () => void): void
}

const scope = globalThis as unknown as WorkerScope
let build: Promise<string> | null = null
const opening = Client.open({
  prepare,
  onChange: (change) => {
    scope.postMessage({ change })
  },
})
opening.catch(() => undefined) // every call tells why

scope.addEventListener("message", ({ data }) => void answer(data))
scope.addEventListener("online", () => {
  opening.then((client) => client.retry()).catch(console.error)
})

/** Learn how relays are reached from here, once; returns the hash of the build. */
function prepare(): Promise<string> {
  build ??= fetchSite(scope.origin).then(
    (site) => {
      configureReach(site.relays, scope.origin)
      return site.build
    },
    (error: unknown) => {
      build = null
      throw error
    },
  )
  return build
}

async function answer({ id, method, args }: Call): Promise<void> {
  try {
    if (!isMethod(method)) throw new HalonyxError("misuse", "no such call")
    // What can't be opened can still be erased.
    const client = await opening.catch((error: unknown) => {
      if (method === "eraseDevice") return eraser
      throw error
    })
    // The page is ours: its compiler has checked the arguments.
    const target: unknown = isFileMethod(method) && "files" in client ? client.files : client
    const calls = target as Readonly<Record<keyof Calls, (...args: readonly unknown[]) => Promise<unknown>>>
    const result = await calls[method](...args)
    scope.postMessage({ id, result }, result instanceof Uint8Array ? [result.buffer] : [])
  } catch (error) {
    scope.postMessage({ id, error: told(error) })
  }
}

const eraser: Pick<Api, "eraseDevice"> = {
  eraseDevice: async () => {
    await new Folders(DATABASE).erase()
    await Store.erase()
    scope.postMessage({ change: { kind: "erased" } })
  },
}

/** A fault of ours has no code: its text goes to the console, not to the page. */
function told(error: unknown): ApiError {
  if (error instanceof HalonyxError) return { code: error.code, message: error.message }
  console.error(error)
  return { code: "internal", message: "a fault of this program" }
}
