/** The hash of a whole ciphertext: in one go by the browser, or by parts where that takes too much memory. */

import { expect, test } from "vitest"

import { isWhole } from "../../src/client/saving"
import type { StoredTransfer } from "../../src/client/transfer_row"

const AT_ONCE = 64 * 1_048_576

test.each([1000, AT_ONCE, AT_ONCE + 1])("%i bytes", { timeout: 120_000 }, async (ciphertextSize) => {
  const content = new Uint8Array(ciphertextSize).fill(7)
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content))
  const row = { ciphertextSize, hash } as StoredTransfer
  const told: number[] = []
  const isRight = (bytes: Uint8Array<ArrayBuffer>): Promise<boolean> => {
    return isWhole(new File([bytes], ""), row, (done) => { told.push(done) })
  }
  expect(await isRight(content)).toBe(true)
  expect(told.at(-1)).toBe(ciphertextSize)
  content[ciphertextSize - 1] = 8
  expect(await isRight(content)).toBe(false)
  expect(await isRight(content.subarray(1))).toBe(false)
})
