/** Arrow keys in lists. */

/**
 * Move the focus among the elements that match a selector, with the arrows, Home and End.
 *
 * @returns Whether the key was one of these and the focus moved.
 */
export function moveFocus(event: KeyboardEvent, list: HTMLElement | null, selector: string): boolean {
  if (list === null || event.altKey || event.ctrlKey || event.metaKey) return false
  const items = [...list.querySelectorAll<HTMLElement>(selector)]
  const at = items.findIndex((item) => item === document.activeElement || item.contains(document.activeElement))
  const to = target(event.key, at, items.length)
  const item = to === null ? undefined : items[to]
  if (item === undefined) return false
  event.preventDefault()
  item.focus()
  return true
}

function target(key: string, at: number, count: number): number | null {
  if (key === "ArrowDown") return Math.min(at + 1, count - 1)
  if (key === "ArrowUp") return at < 0 ? count - 1 : at - 1
  if (key === "Home") return 0
  if (key === "End") return count - 1
  return null
}
