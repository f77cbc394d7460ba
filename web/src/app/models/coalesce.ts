/** Run something again and again, but never twice at once and never more often than needed. */

/**
 * Return a function that runs `work` now, or once more after the run that is under way.
 *
 * @param work Handles its own errors.
 */
export function coalesce(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null
  let isAsked = false

  const run = async (): Promise<void> => {
    do {
      isAsked = false
      await work()
    } while (wasAsked())
    running = null
  }
  const wasAsked = (): boolean => isAsked

  return () => {
    isAsked = true
    running ??= run()
    return running
  }
}
