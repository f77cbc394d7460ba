/** Requests for several blocks at once, on a wire that only notes them. */

import { expect, test } from "vitest"

import { askForMany } from "../../src/app/effects/large_requests"
import type { Answer, Wire } from "../../src/app/effects/web_torrent"

const BLOCK = 16_384
const WEB_TORRENT = "2d57573330303231"

interface Noted {
  readonly asked: readonly [piece: number, offset: number, length: number][]
  readonly answers: readonly Answer[]
  readonly wire: Wire
}

function noting(peerId = WEB_TORRENT): Noted {
  const asked: [number, number, number][] = []
  const answers: Answer[] = []
  const wire: Wire = {
    peerId,
    peerPieces: { get: () => true },
    downloadSpeed: () => 800,
    request: (piece, offset, length, answer) => {
      asked.push([piece, offset, length])
      answers.push(answer)
    },
    on: () => undefined,
    destroy: () => undefined,
  }
  askForMany(wire)
  return { asked, answers, wire }
}

test("blocks that follow one another are asked for together, and each is answered", async () => {
  const { wire, asked, answers } = noting()
  const came: (readonly [number, number | undefined])[] = []
  for (let at = 0; at < 11; at++) {
    wire.request(3, at * BLOCK, at === 10 ? 100 : BLOCK, (_, block) => { came.push([block?.length ?? 0, block?.[0]]) })
    expect(asked.length).toBe(at < 7 ? 0 : at < 10 ? 1 : 2) // at once: whoever asks counts them
  }
  await Promise.resolve()
  expect(asked).toEqual([[3, 0, 8 * BLOCK], [3, 8 * BLOCK, 2 * BLOCK + 100]])
  for (const [index, answer] of answers.entries()) {
    const [, , length = 0] = asked[index] ?? []
    answer(null, Uint8Array.from({ length }, (_, at) => 10 * index + Math.floor(at / BLOCK)))
  }
  const first = [0, 1, 2, 3, 4, 5, 6, 7].map((number) => [BLOCK, number])
  expect(came).toEqual([...first, [BLOCK, 10], [BLOCK, 11], [100, 12]])
})

test("what does not follow is asked for apart, and nothing waits for what never comes", async () => {
  const { wire, asked } = noting()
  for (const [piece, block] of [[0, 0], [0, 1], [0, 3], [1, 4], [0, 4]] as const) {
    wire.request(piece, block * BLOCK, BLOCK, () => undefined)
  }
  await Promise.resolve()
  expect(asked).toEqual([[0, 0, 2 * BLOCK], [0, 3 * BLOCK, BLOCK], [1, 4 * BLOCK, BLOCK], [0, 4 * BLOCK, BLOCK]])
})

test("a request that fails fails for each block", async () => {
  const { wire, answers } = noting()
  const failed: (Error | null)[] = []
  for (const block of [0, 1]) wire.request(0, block * BLOCK, BLOCK, (error) => failed.push(error))
  await Promise.resolve()
  const error = new Error("wire was closed")
  answers[0]?.(error, null)
  expect(failed).toEqual([error, error])
})

test("as many bytes are open as before, in fewer requests", () => {
  expect(noting().wire.downloadSpeed()).toBe(100)
})

test.each(["2d4c54323131302d", "2d5858303030302d"])("a program that may not answer it is asked as ever: %s", (peerId) => {
  const { wire, asked } = noting(peerId)
  for (const block of [0, 1]) wire.request(0, block * BLOCK, BLOCK, () => undefined)
  expect(asked).toEqual([[0, 0, BLOCK], [0, BLOCK, BLOCK]])
  expect(wire.downloadSpeed()).toBe(800)
})
