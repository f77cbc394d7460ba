import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { tellOnce } from "../../src/app/effects/notifications"
import "../client/locks"

beforeEach(() => { vi.useFakeTimers({ toFake: ["setTimeout"] }) })

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

/** Return how three tabs, all visible or all hidden, tell of a message. */
async function told(visibilityState: DocumentVisibilityState): Promise<readonly string[]> {
  vi.stubGlobal("document", { visibilityState })
  const heard: string[] = []
  const tell = (isSeen: boolean): void => { heard.push(isSeen ? "sound" : "sound and notification") }
  const tabs = [1, 2, 3].map(() => tellOnce("message", tell))
  await vi.runAllTimersAsync()
  await Promise.all(tabs)
  return heard
}

test("a message is told of in one tab only, whatever every tab heard", async () => {
  expect(await told("hidden")).toEqual(["sound and notification"])
})

test("a tab that is seen keeps the hidden ones quiet, and shows no notification", async () => {
  let hide = (): void => undefined
  const hidden = new Promise<void>((resolve) => { hide = resolve })
  const seen = navigator.locks.request("halonyx-visible", { mode: "shared" }, () => hidden)
  expect(await told("hidden")).toEqual([])
  expect(await told("visible")).toEqual(["sound"])
  hide()
  await seen
})
