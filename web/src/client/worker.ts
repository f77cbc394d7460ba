/**
 * The Worker of one tab: all cryptography, storage and networking, behind the calls of `Api`.
 *
 * Source: spec/delivery.md, "Client".
 */

import { HalonyxError } from "../core/errors"
import type { Api, ApiError } from "./api"
import { Client } from "./client"
import { configureReach } from "./reach"
import { isMethod, type Call, type FromPage, type FromWorker, type Start } from "./rpc"

/** What a dedicated Worker has that the compiler's library of a page has not. */
interface WorkerScope {
  readonly origin: string
  postMessage(message: FromWorker): void
  addEventListener(type: "message", listener: (event: MessageEvent<FromPage>) => void): void
  addEventListener(type: "online", listener: () => void): void
}

const scope = globalThis as unknown as WorkerScope
let opening: Promise<Client> | null = null

scope.addEventListener("message", ({ data }) => {
  if ("start" in data) opening ??= start(data)
  else void answer(data)
})
scope.addEventListener("online", () => {
  opening?.then((client) => client.retry()).catch(console.error)
})

function start({ start }: Start): Promise<Client> {
  configureReach(start.relays ?? "", scope.origin)
  const opened = Client.open({
    buildHash: start.buildHash,
    onChange: (change) => {
      scope.postMessage({ change })
    },
  })
  opened.catch(() => undefined) // every call tells why
  return opened
}

async function answer({ id, method, args }: Call): Promise<void> {
  try {
    const client = await opening
    if (client === null || !isMethod(method)) throw new HalonyxError("misuse", "no such call")
    // The page is ours: its compiler has checked the arguments.
    const calls = client as unknown as Readonly<Record<keyof Api, (...args: readonly unknown[]) => Promise<unknown>>>
    scope.postMessage({ id, result: await calls[method](...args) })
  } catch (error) {
    scope.postMessage({ id, error: told(error) })
  }
}

/** A fault of ours has no code: its text goes to the console, not to the page. */
function told(error: unknown): ApiError {
  if (error instanceof HalonyxError) return { code: error.code, message: error.message }
  console.error(error)
  return { code: "internal", message: "a fault of this program" }
}
