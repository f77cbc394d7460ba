import fc from "fast-check"
import { expect, test } from "vitest"
import { Heights, indexAt, windowOf } from "../../src/app/models/heights"
import type { Line } from "../../src/app/models/lines"

const lines = (count: number): Line[] =>
  Array.from({ length: count }, (_, at): Line => ({ key: `day ${at}`, kind: "day", time: at }))

const measured = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 300 })

test("what is drawn covers the view, and the room around it is the rest", () => {
  fc.assert(
    fc.property(measured, fc.nat(50_000), fc.integer({ min: 1, max: 2000 }), (tall, top, height) => {
      const heights = new Heights()
      const all = lines(tall.length)
      all.forEach((line, at) => heights.measure(line.key, tall[at] ?? 0))
      const offsets = heights.offsets(all)
      const total = tall.reduce((sum, one) => sum + one, 0)
      const scrolled = Math.min(top, Math.max(0, total - height))
      const { first, end, above, below } = windowOf(offsets, scrolled, height, 100)
      const drawn = tall.slice(first, end).reduce((sum, one) => sum + one, 0)
      expect(above + drawn + below).toBe(total)
      expect(above).toBeLessThanOrEqual(scrolled)
      expect(above + drawn).toBeGreaterThanOrEqual(Math.min(total, scrolled + height))
    }),
  )
})

test("the number of lines drawn does not grow with the list", () => {
  const offsets = new Heights().offsets(lines(10_000))
  const { first, end } = windowOf(offsets, 200_000, 900, 600)
  expect(end - first).toBeLessThan(60)
})

test("the line at a distance is the last that begins before it", () => {
  const offsets = Float64Array.of(0, 10, 30, 60)
  expect([-5, 0, 9, 10, 29, 30, 59, 60, 900].map((at) => indexAt(offsets, at))).toEqual([0, 0, 0, 1, 1, 2, 2, 2, 2])
})

test("an empty list has nothing to draw", () => {
  expect(windowOf(new Heights().offsets([]), 0, 900, 600)).toEqual({ first: 0, end: 0, above: 0, below: 0 })
})
