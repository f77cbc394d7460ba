/**
 * What one transaction wrote so far, and reading as if it were written already.
 *
 * Source: spec/conventions.md, "At rest".
 */

import { Misuse } from "../core/errors"
import type { Bytes } from "../core/types"
import type { Change } from "./api"
import type { Key } from "./database"
import { mergedChanges } from "./model"
import type { Shape, Table } from "./table"
import { indexKey, keyOf, ordered, sortedKeys, within } from "./rows"
import type { Fields } from "./rows"
import type { Snapshot } from "./snapshot"
import type { Options, Range, Reads, Store, Write } from "./store"

/** Made by `Store.transaction`. Rows are values: `put` takes a new one, and nobody changes one that was read. */
export class Transaction implements Reads {
  readonly #store: Store
  readonly #before: Snapshot
  readonly #counters: Record<string, number>
  readonly #buffers = new Map<string, Map<string, Write>>()
  readonly #changes: Change[] = []
  #isOver = false

  constructor(store: Store, before: Snapshot, counters: Readonly<Record<string, number>>) {
    this.#store = store
    this.#before = before
    this.#counters = { ...counters }
  }

  async get<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    key: Key,
  ): Promise<Row | undefined> {
    const write = this.#buffers.get(table.name)?.get(JSON.stringify(key))
    if (write === undefined) return this.#before.get(table, key)
    return (write[1] as Row | null) ?? undefined
  }

  async all<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
    options: Options = {},
  ): Promise<readonly Row[]> {
    const buffer = this.#buffers.get(table.name)
    if (buffer === undefined) return this.#before.all(table, index, range, options)
    // Each buffered row hides one at most.
    const enough = options.limit === undefined ? options : { ...options, limit: options.limit + buffer.size }
    const stored = await this.#before.all(table, index, range, enough)
    const found = [...this.#untouched(table, stored as readonly object[]), ...this.#buffered(table, index, range)]
    return ordered(table, index, found, options) as readonly Row[]
  }

  async count<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
  ): Promise<number> {
    if (!this.#buffers.has(table.name)) return this.#before.count(table, index, range)
    return (await this.keys(table, index, range)).length
  }

  async keys<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
  ): Promise<readonly Key[]> {
    const stored = await this.#before.keys(table, index, range)
    const buffer = this.#buffers.get(table.name)
    if (buffer === undefined) return stored
    const written = this.#buffered(table, index, range).map((row) => keyOf(table, row as Fields))
    return [...stored.filter((key) => !buffer.has(JSON.stringify(key))), ...written]
  }

  async distinct<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index>,
    range: Range,
  ): Promise<readonly Key[]> {
    if (!this.#buffers.has(table.name)) return this.#before.distinct(table, index, range)
    const stored = this.#untouched(table, (await this.#before.all(table, index, range)) as readonly object[])
    const rows = [...stored, ...this.#buffered(table, index, range)]
    return sortedKeys(rows.map((row) => indexKey(table, index, row as Fields)))
  }

  blind(value: Bytes): Promise<string> {
    return this.#store.blind(value)
  }

  /** Write a row in place of the one of the same key. */
  put<Row extends object, Index extends string, Id extends keyof Row>(table: Table<Row, Index, Id>, row: Row): void {
    this.#write(table, keyOf(table, row as Fields), row)
  }

  /** Write a row under the next number, and return that. */
  insert<Row extends object, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    row: Omit<Row, Id>,
  ): number {
    const number = (this.#counters[table.name] ?? 0) + 1
    this.#counters[table.name] = number
    this.#write(table, number, { ...row, [numbered(table)]: number })
    return number
  }

  /** Change some fields of a row, but none of its key; false if there is no such row. */
  async update<Row extends object, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    key: Key,
    change: Partial<NoInfer<Row>>,
  ): Promise<boolean> {
    const row = await this.get(table, key)
    if (row !== undefined) this.#write(table, key, { ...row, ...change })
    return row !== undefined
  }

  delete<Row, Index extends string, Id extends keyof Row>(table: Table<Row, Index, Id>, key: Key): void {
    this.#write(table, key, null)
  }

  /** Delete rows, and return how many. */
  async deleteAll<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
  ): Promise<number> {
    const keys = await this.keys(table, index, range)
    for (const key of keys) this.delete(table, key)
    return keys.length
  }

  /** Note what to tell every tab once this is committed. */
  changed(change: Change): void {
    this.#changes.push(change)
  }

  /** End it; for the store. */
  end(): {
    readonly writes: ReadonlyMap<string, readonly Write[]>
    readonly counters: Readonly<Record<string, number>>
    readonly changes: readonly Change[]
  } {
    this.#isOver = true
    const writes = new Map([...this.#buffers].map(([name, buffer]) => [name, [...buffer.values()]]))
    return { writes, counters: this.#counters, changes: mergedChanges(this.#changes) }
  }

  #write(table: Shape, key: Key, row: object | null): void {
    if (this.#isOver) throw new Misuse("the transaction is over: was a promise not awaited?")
    const buffer = this.#buffers.get(table.name) ?? new Map<string, Write>()
    this.#buffers.set(table.name, buffer.set(JSON.stringify(key), [key, row]))
  }

  /** Leave out the stored rows that this transaction replaced or deleted. */
  #untouched(table: Shape, rows: readonly object[]): readonly object[] {
    const buffer = this.#buffers.get(table.name)
    return rows.filter((row) => !buffer?.has(JSON.stringify(keyOf(table, row as Fields))))
  }

  #buffered(table: Shape, index: string | null, range: Range): readonly object[] {
    const written = [...(this.#buffers.get(table.name)?.values() ?? [])].flatMap(([, row]) => row ?? [])
    return within(table, index, range, written)
  }
}

function numbered(table: Shape): string {
  const [field] = table.key
  if (field === undefined || table.key.length > 1) throw new Misuse("the rows of this table bring their keys")
  return field
}
