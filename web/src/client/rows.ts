/**
 * Where a row stands in its table and its indexes, as IndexedDB would have it.
 *
 * Source: spec/conventions.md, "At rest".
 */

import { Misuse } from "../core/errors"
import type { Key } from "./database"
import type { Shape } from "./table"
import type { Options, Range } from "./store"

export type Fields = Readonly<Record<string, unknown>>

/** Return the key of a row. */
export function keyOf(table: Shape, row: Fields): Key {
  const key = keyFrom(table.key, row)
  if (key === null) throw new Misuse(`a row of "${table.name}" without its key`)
  return key
}

/** Return the key of a row in an index, or null if it is not in it. */
export function indexKey(table: Shape, index: string, row: Fields): Key | null {
  return keyFrom(table.indexes[index] ?? [], row)
}

/** Return the rows that an index, or null for the key, finds in a range; in no order. */
export function within<Row extends object>(
  table: Shape,
  index: string | null,
  range: Range,
  rows: Iterable<Row>,
): readonly Row[] {
  const isFound = inside(range)
  return [...rows].filter((row) => {
    const key = index === null ? keyOf(table, row as Fields) : indexKey(table, index, row as Fields)
    return key !== null && isFound(key)
  })
}

/** Return found rows in the order of an index, or null for the key, as many as wanted. */
export function ordered<Row extends object>(
  table: Shape,
  index: string | null,
  rows: readonly Row[],
  { limit = Infinity, reverse = false }: Options,
): readonly Row[] {
  const order = new Map(rows.map((row) => [row, orderOf(table, index, row as Fields)]))
  const direction = reverse ? -1 : 1
  return rows.toSorted((first, second) => indexedDB.cmp(order.get(first), order.get(second)) * direction).slice(0, limit)
}

/** Return each of some keys once, in order. */
export function sortedKeys(keys: readonly (Key | null)[]): readonly Key[] {
  const different = new Map(keys.flatMap((key) => (key === null ? [] : [[JSON.stringify(key), key] as const])))
  return [...different.values()].sort((first, second) => indexedDB.cmp(first, second))
}

function inside(range: Range): (key: Key) => boolean {
  if (range === null) return () => true
  if (range instanceof IDBKeyRange) return (key) => range.includes(key)
  const wanted = JSON.stringify(range)
  return (key) => JSON.stringify(key) === wanted
}

/** Return the key that IndexedDB would take from a row, or null if it would take none. */
function keyFrom(fields: readonly string[], row: Fields): Key | null {
  const values = fields.map((field) => row[field])
  if (!values.every((value) => typeof value === "number" || typeof value === "string")) return null
  return values.length === 1 ? (values[0] ?? null) : values
}

/** Return by what rows are sorted: the index, then the key. */
function orderOf(table: Shape, index: string | null, row: Fields): Key {
  const key = keyOf(table, row)
  return index === null ? key : [indexKey(table, index, row) ?? [], key]
}
