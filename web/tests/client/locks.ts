/** Web Locks for Node 20, which has none, within one process. The browsers' own are tested there. */

interface LockOptions {
  readonly mode?: "exclusive" | "shared"
  readonly ifAvailable?: boolean
  readonly signal?: AbortSignal
}

interface Lock {
  readonly name: string
  readonly mode: "exclusive" | "shared"
}

interface Asked extends Lock {
  readonly take: () => void
}

type Work<T> = (lock: Lock | null) => Promise<T>

const held = new Set<Lock>()
const pending = new Set<Asked>()

/** Tell whether a lock can be had beside these. */
function isFree({ name, mode }: Lock, beside: Iterable<Lock>): boolean {
  return ![...beside].some((other) => other.name === name && (mode === "exclusive" || other.mode === "exclusive"))
}

/** Give out what is free, in the order in which it was asked for. */
function settle(): void {
  const before: Asked[] = []
  for (const asked of [...pending]) {
    if (!isFree(asked, [...held, ...before])) before.push(asked)
    else if (pending.delete(asked)) asked.take()
  }
}

async function request<T>(name: string, options: LockOptions | Work<T>, given?: Work<T>): Promise<T> {
  const work = typeof options === "function" ? options : given
  const { mode = "exclusive", ifAvailable = false, signal } = typeof options === "function" ? {} : options
  if (work === undefined) throw new TypeError("no callback")
  const lock = { name, mode }
  if (ifAvailable && !isFree(lock, [...held, ...pending])) return work(null)
  await granted(lock, signal)
  try {
    return await work(lock)
  } finally {
    held.delete(lock)
    settle()
  }
}

function granted(lock: Lock, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted()
  return new Promise((resolve, reject) => {
    const take = (): void => {
      held.add(lock)
      resolve()
    }
    const asked = { ...lock, take }
    signal?.addEventListener("abort", () => {
      if (!pending.delete(asked)) return
      reject(signal.reason as Error)
      settle()
    })
    pending.add(asked)
    settle()
  })
}

function query(): Promise<{ readonly held: readonly Lock[]; readonly pending: readonly Lock[] }> {
  return Promise.resolve({ held: [...held], pending: [...pending] })
}

Object.defineProperty(globalThis, "navigator", { value: { locks: { request, query } }, configurable: true })

export {}
