/** What the window is like, as it changes. */

import { useEffect, useState } from "preact/hooks"

export const THREE_PANES = "(min-width: 1100px)"
export const TWO_PANES = "(min-width: 720px)"

/** Tell whether a media query holds. */
export function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => matchMedia(query).matches)
  useEffect(() => {
    const media = matchMedia(query)
    const update = (): void => {
      setHolds(media.matches)
    }
    update()
    media.addEventListener("change", update)
    return () => {
      media.removeEventListener("change", update)
    }
  }, [query])
  return holds
}

/** Turn true once something has taken longer than 300 ms: nothing shorter deserves a sign of waiting. */
export function useLongWait(isWaiting: boolean, afterMs = 300): boolean {
  const [isLong, setLong] = useState(false)
  useEffect(() => {
    setLong(false)
    if (!isWaiting) return
    const timer = setTimeout(() => {
      setLong(true)
    }, afterMs)
    return () => {
      clearTimeout(timer)
    }
  }, [isWaiting, afterMs])
  return isWaiting && isLong
}
