import { expect, test } from "vitest"
import { lacksReceipt } from "../../src/app/models/receipts"
import type { Entry, MessageState } from "../../src/client/api"

const DAY = 24 * 60 * 60 * 1000
const START = 20_000 * DAY

function written(state: MessageState): Entry {
  const times = { time: START, received: START }
  return { position: 1, id: "00".repeat(16), contact: 1, outgoing: true, text: "text", ...times, state, file: null }
}

test("a message that only the relay has says so after a day", () => {
  expect(lacksReceipt(written("accepted"), START + DAY - 1)).toBe(false)
  expect(lacksReceipt(written("accepted"), START + DAY)).toBe(true)
})

test.each<MessageState>(["waiting", "delivered", "failed", "received"])("one that is %s does not", (state) => {
  expect(lacksReceipt(written(state), START + 2 * DAY)).toBe(false)
})
