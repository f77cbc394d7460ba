/** What the service worker does with a click on a notification; the browser around it is the test's. */

import { afterEach, expect, test, vi } from "vitest"

afterEach(() => {
  vi.unstubAllGlobals()
  vi.resetModules()
})

/** Click on a notification of contact 7 with so many tabs open; return what the tabs, old or new, were told and did. */
async function clicked(count: number): Promise<readonly unknown[]> {
  const happened: unknown[] = []
  const listeners = new Map<string, (event: object) => void>()
  const tab = {
    focus: () => Promise.resolve(happened.push("focused")),
    postMessage: (message: unknown) => happened.push(message),
  }
  vi.stubGlobal("BUILD", "")
  vi.stubGlobal("FILES", [])
  vi.stubGlobal("self", {
    registration: { scope: "https://page.example/" },
    clients: {
      matchAll: () => Promise.resolve(Array<typeof tab>(count).fill(tab)),
      openWindow: (address: string) => {
        happened.push(address)
        return Promise.resolve(tab)
      },
    },
    addEventListener: (type: string, listener: (event: object) => void) => listeners.set(type, listener),
  })
  await import("../../src/service_worker")
  let work: Promise<void> | undefined
  const notification = { data: { contact: 7 }, close: () => undefined }
  listeners.get("notificationclick")?.({ notification, waitUntil: (until: Promise<void>) => { work = until } })
  await work
  return happened
}

test("a click on a notification shows its conversation, in a tab that is open or a new one", async () => {
  expect(await clicked(1)).toEqual(["focused", { open: 7 }])
  vi.resetModules()
  expect(await clicked(0)).toEqual(["https://page.example/", { open: 7 }])
})
