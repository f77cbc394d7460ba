/** The page as a whole, over a client that a test answers for. */

import { expect, test } from "vitest"
import { App, type Dialog } from "../../src/app/models/app"
import type { Parcel } from "../../src/app/models/parcels"
import { Preferences } from "../../src/app/models/preferences"
import type { Api } from "../../src/client/api"

const nothing = (): undefined => undefined
const around = { now: () => 0, dayOf: () => 0, random: () => 0, isVisible: () => false }

const parcel = (name: string): Parcel => ({ folder: null, files: [{ path: name, file: new File([], name) }] })

/** Return an app whose files are chosen, and what sends the next of them. */
function choosing(...parcels: readonly Parcel[]): readonly [App, () => Promise<void>] {
  const waiting: (() => void)[] = []
  const offerFiles = (): Promise<void> => new Promise((resolve) => { waiting.push(resolve) })
  const api = { offerFiles } as unknown as Api
  const app = new App(api, new Preferences(null), { ...around, alert: nothing, sent: nothing, went: nothing })
  app.prepareFiles(1, parcels)
  void app.offerAll(1, parcels, () => Promise.resolve(null), { drop: false })
  return [app, async () => {
    await expect.poll(() => waiting.length).toBe(1)
    waiting.pop()?.()
    await new Promise(setImmediate)
  }]
}

test("what was sent leaves the dialog, which closes with the last of it", async () => {
  const [first, second] = [parcel("first"), parcel("second")]
  const [app, sends] = choosing(first, second)
  await sends()
  expect(app.dialog.value).toEqual({ kind: "send-files", contact: 1, parcels: [second] })
  await sends()
  expect(app.dialog.value).toBeNull()
})

test.each<Dialog>([
  { kind: "settings" },
  { kind: "send-files", contact: 2, parcels: [parcel("other")] },
  { kind: "send-files", contact: 1, parcels: [parcel("added meanwhile")] },
])("the end of sending closes no other dialog: %j", async (other) => {
  const [app, sends] = choosing(parcel("first"))
  app.dialog.value = other
  await sends()
  expect(app.dialog.value).toEqual(other)
})
