/** Web Locks for Node 20, which has none: exclusive ones, within one process. The browsers' own are tested there. */

interface LockOptions {
  readonly ifAvailable?: boolean
  readonly signal?: AbortSignal
}

type Work<T> = (lock: { readonly name: string } | null) => Promise<T>

const tails = new Map<string, Promise<unknown>>()
const waiting = new Set<{ readonly name: string }>()

async function request<T>(name: string, options: LockOptions | Work<T>, given?: Work<T>): Promise<T> {
  const work = typeof options === "function" ? options : given
  const { ifAvailable = false, signal } = typeof options === "function" ? {} : options
  if (work === undefined) throw new TypeError("no callback")
  const before = tails.get(name)
  if (ifAvailable && before !== undefined) return work(null)
  let release = (): void => undefined
  const ours = new Promise<void>((resolve) => (release = resolve))
  const tail = Promise.resolve(before).then(() => ours)
  tails.set(name, tail)
  const asked = { name }
  waiting.add(asked)
  try {
    await Promise.race([before, aborted(signal)]).finally(() => waiting.delete(asked))
    return await work({ name })
  } finally {
    release()
    if (tails.get(name) === tail) tails.delete(name)
  }
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => {
      reject(signal.reason as Error)
    })
  })
}

interface Asked {
  readonly held: readonly { readonly name: string }[]
  readonly pending: readonly { readonly name: string }[]
}

function query(): Promise<Asked> {
  return Promise.resolve({ held: [...tails.keys()].map((name) => ({ name })), pending: [...waiting] })
}

Object.defineProperty(globalThis, "navigator", { value: { locks: { request, query } }, configurable: true })

export {}
