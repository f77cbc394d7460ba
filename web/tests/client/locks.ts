/** Web Locks for Node 20, which has none: exclusive ones, within one process. The browsers' own are tested there. */

interface LockOptions {
  readonly ifAvailable?: boolean
  readonly signal?: AbortSignal
}

type Work<T> = (lock: { readonly name: string } | null) => Promise<T>

const tails = new Map<string, Promise<unknown>>()

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
  try {
    await Promise.race([before, aborted(signal)])
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

Object.defineProperty(globalThis, "navigator", { value: { locks: { request } }, configurable: true })

export {}
