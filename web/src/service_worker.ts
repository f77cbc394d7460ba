/**
 * Keeps the files of exactly one build, so that the page opens offline and never mixes versions.
 *
 * The build puts the list of files with their SHA-256 in place of FILES (making/service_worker_build.ts). A new build
 * is fetched whole into a cache of its own, checked file by file, and waits until the person lets it take over. Nothing
 * but these files is ever touched: /v1, /relay and /site.json go to the network as if this were not here.
 */

interface BuildFile {
  readonly path: string
  /** Hex. */
  readonly sha256: string
}

/** An event that keeps the service worker alive until something is done. */
interface Lasting {
  waitUntil(work: Promise<void>): void
}

interface Fetching extends Lasting {
  readonly request: Request
  respondWith(answer: Promise<Response>): void
}

interface Clicked extends Lasting {
  readonly notification: { readonly data: unknown; close(): void }
}

interface Tab {
  focus(): Promise<unknown>
  postMessage(message: { readonly open: unknown }): void
}

/** What a service worker's global is; the compiler's library for it excludes the one for pages. */
interface Scope {
  readonly registration: { readonly scope: string }
  readonly clients: {
    matchAll(options: { readonly type: "window" }): Promise<readonly Tab[]>
    openWindow(address: string): Promise<Tab | null>
  }
  skipWaiting(): Promise<void>
  addEventListener(type: "install" | "activate", listener: (event: Lasting) => void): void
  addEventListener(type: "message", listener: (event: MessageEvent<unknown>) => void): void
  addEventListener(type: "fetch", listener: (event: Fetching) => void): void
  addEventListener(type: "notificationclick", listener: (event: Clicked) => void): void
}

export {}
declare const BUILD: string
declare const FILES: readonly BuildFile[]

const scope = self as unknown as Scope
const CACHE = `halonyx-${BUILD}`
const PAGE = "index.html"
const SCRIPT = "service_worker.js"
const HASH_HEADER = "halonyx-build" // of the page that is kept: the hash of the whole build
const TAKE_OVER = "take-over"

const addressOf = (path: string): string => new URL(path, scope.registration.scope).href

scope.addEventListener("install", (event) => {
  event.waitUntil(keepBuild())
})

scope.addEventListener("activate", (event) => {
  event.waitUntil(dropOthers())
})

scope.addEventListener("message", (event) => {
  if (event.data === TAKE_OVER) void scope.skipWaiting()
})

scope.addEventListener("fetch", (event) => {
  const { request } = event
  if (request.method !== "GET") return
  const address = new URL(request.url)
  address.hash = ""
  const asked = address.origin + address.pathname
  const isPage = request.mode === "navigate" && [addressOf(""), addressOf(PAGE)].includes(asked)
  const file = isPage ? addressOf(PAGE) : address.href
  if (!FILES.some(({ path }) => addressOf(path) === file)) return
  event.respondWith(answer(file, request))
  if (isPage) event.waitUntil(renewPolicy())
})

scope.addEventListener("notificationclick", (event) => {
  event.notification.close()
  const { data } = event.notification
  event.waitUntil(bringUp(typeof data === "object" && data !== null && "contact" in data ? data.contact : null))
})

/** Fetch the whole build past every cache, and refuse it, keeping nothing, if a file is not the one that was built. */
async function keepBuild(): Promise<void> {
  const files = await Promise.all(FILES.map(async (file) => [file.path, await fetched(file)] as const))
  const hash = await buildHash(new Map(files))
  const cache = await caches.open(CACHE)
  await Promise.all(
    files.map(([path, response]) => cache.put(addressOf(path), path === PAGE ? withHash(response, hash) : response)),
  )
}

/**
 * Compute the hash that servers print for a build; null if this script was replaced on the server meanwhile.
 *
 * Source: docs/reference/web.md, "The build's hash".
 */
async function buildHash(files: ReadonlyMap<string, Response>): Promise<string | null> {
  const script = await fetch(addressOf(SCRIPT), { cache: "no-store" })
  if (!script.ok || !(await script.clone().text()).includes(JSON.stringify(BUILD))) return null
  const parts: Uint8Array[] = []
  const add = (part: Uint8Array): void => {
    const length = new DataView(new ArrayBuffer(8))
    length.setBigUint64(0, BigInt(part.length))
    parts.push(new Uint8Array(length.buffer), part)
  }
  const all = [...files, [SCRIPT, script] as const].sort(([one], [other]) => (one < other ? -1 : 1))
  for (const [path, response] of all) {
    add(new TextEncoder().encode(path))
    add(new Uint8Array(await response.clone().arrayBuffer()))
  }
  return hashOf(await new Blob(parts as BlobPart[]).arrayBuffer())
}

function withHash(page: Response, hash: string | null): Response {
  const headers = new Headers(page.headers)
  if (hash !== null) headers.set(HASH_HEADER, hash)
  return new Response(page.body, { status: page.status, headers })
}

async function fetched({ path, sha256 }: BuildFile): Promise<Response> {
  const response = await fetch(addressOf(path), { cache: "no-store" })
  if (!response.ok || response.redirected) throw new Error("a file of the build is missing")
  const content = await response.clone().arrayBuffer()
  if ((await hashOf(content)) !== sha256) throw new Error("a file is of another build")
  return response
}

async function hashOf(content: ArrayBuffer): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content))
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")
}

async function dropOthers(): Promise<void> {
  const names = await caches.keys()
  const others = names.filter((name) => name.startsWith("halonyx-") && name !== CACHE)
  await Promise.all(others.map((name) => caches.delete(name)))
}

async function answer(file: string, request: Request): Promise<Response> {
  const cache = await caches.open(CACHE)
  // A browser may clear caches: the network then has the file, or it is of a build that is gone.
  return (await cache.match(file)) ?? fetch(request)
}

/**
 * Keep the same files under the policy that the server has now, for the next time: it names the relays that may be
 * reached, and its operator can change them without a new build.
 */
async function renewPolicy(): Promise<void> {
  const cache = await caches.open(CACHE)
  const [kept, served] = await Promise.all([
    cache.match(addressOf(PAGE)),
    fetch(addressOf(PAGE), { cache: "no-store" }).catch(() => null),
  ])
  if (kept === undefined || served?.ok !== true || policyOf(served) === policyOf(kept)) return
  await keepBuild().catch(() => undefined) // no file of another build is taken
}

function policyOf(response: Response): string | null {
  return response.headers.get("content-security-policy")
}

/** Show a tab of ours and the conversation in it. */
async function bringUp(contact: unknown): Promise<void> {
  const [open] = await scope.clients.matchAll({ type: "window" })
  await open?.focus()
  const tab = open ?? (await scope.clients.openWindow(addressOf("")))
  tab?.postMessage({ open: contact }) // to a new one it is kept by the browser until its page has loaded
}
