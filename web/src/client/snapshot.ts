/**
 * Reading the store as of one revision; small tables from memory, as far as no other tab has written to them.
 *
 * Asking IndexedDB costs more than all the cryptography of a message, and opening a row as much again.
 *
 * Source: spec/conventions.md, "At rest".
 */

import { toHex } from "../core/encoding"
import { NONCE_SIZE } from "../core/primitives"
import type { Bytes } from "../core/types"
import type { Database, Key, Revision, Selection, StoredRow, Writes } from "./database"
import { indexKey, keyOf, ordered, sortedKeys, within } from "./rows"
import type { Fields } from "./rows"
import type { Shape, Table } from "./table"
import type { Options, Range, Reads, Store } from "./store"

/** A table with more rows is read from IndexedDB: looking through all of them would cost more. */
export const MAX_KEPT = 512

/** An opened row, and the nonce it was sealed under: the same nonce is the same row. */
interface KeptRow {
  readonly nonce: string
  readonly row: object
}

type Kept = ReadonlyMap<string, KeptRow>

/** Opened rows of small tables, each as of the revision that last wrote to it. */
export class Memory {
  readonly #tables = new Map<string, { readonly at: number; readonly rows: Map<string, KeptRow> }>()

  /** Return the rows of a table, if they are of this revision at least. */
  get(table: string, at: number): Kept | null {
    const kept = this.#tables.get(table)
    return kept !== undefined && kept.at >= at ? kept.rows : null
  }

  /** Return a row of any revision that was sealed under this nonce. */
  row(table: string, key: string, nonce: string): object | null {
    const known = this.#tables.get(table)?.rows.get(key)
    return known?.nonce === nonce ? known.row : null
  }

  set(table: string, at: number, rows: Map<string, KeptRow>): void {
    if (this.get(table, at) === null) this.#tables.set(table, { at, rows })
  }

  /** Take in one more row of a table that is not kept as a whole. */
  add(table: string, at: number, key: string, row: KeptRow): void {
    const kept = this.#tables.get(table)
    if (kept?.at !== at) this.set(table, at, new Map([[key, row]]))
    else if (kept.rows.size < MAX_KEPT) kept.rows.set(key, row)
  }

  /** Take in what was committed. */
  write(before: Revision, after: Revision, opened: ReadonlyMap<string, readonly (readonly [Key, object | null])[]>, sealed: Writes): void {
    for (const [name, writes] of opened) {
      const rows = this.#tables.get(name)
      this.#tables.delete(name)
      if (rows?.at !== tableRevision(before, name)) continue
      for (const [at, [key, row]] of writes.entries()) {
        const stored = sealed.get(name)?.[at]?.[1]
        if (row === null || !stored) rows.rows.delete(JSON.stringify(key))
        else rows.rows.set(JSON.stringify(key), { nonce: nonceOf(stored), row })
      }
      if (rows.rows.size <= MAX_KEPT) this.set(name, tableRevision(after, name), rows.rows)
    }
  }

  clear(): void {
    this.#tables.clear()
  }
}

/** Return the revision that last wrote to a table. */
export function tableRevision(revision: Revision, table: string): number {
  return revision.tables?.[table] ?? revision.revision
}

/** What can be read as of one revision, that of the first read; what is not kept in memory, as it is when it is read. */
export class Snapshot implements Reads {
  readonly #store: Store
  readonly #database: Database
  readonly #memory: Memory
  #revision: Promise<Revision> | null

  constructor(store: Store, database: Database, memory: Memory, revision: Revision | null) {
    this.#store = store
    this.#database = database
    this.#memory = memory
    this.#revision = revision && Promise.resolve(revision)
  }

  async get<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    key: Key,
  ): Promise<Row | undefined> {
    // Only to learn the revision, nobody is asked: reading the row costs as much.
    if (table.isKept === "read" && this.#revision !== null) return this.#readBefore(table, key, await this.#revision)
    const kept = await this.#kept(table)
    if (kept !== null) return kept.get(JSON.stringify(key))?.row as Row | undefined
    const stored = await this.#database.get(table.name, key)
    return stored && this.#store.opened(table, stored)
  }

  async all<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
    options: Options = {},
  ): Promise<readonly Row[]> {
    const kept = await this.#kept(table)
    if (kept === null) {
      const rows = await this.#database.rows(selection(table, index, range, options))
      return Promise.all(rows.map((row) => this.#store.opened(table, row)))
    }
    return ordered(table, index, this.#found(table, index, range, kept), options) as readonly Row[]
  }

  async count<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
  ): Promise<number> {
    const kept = await this.#kept(table)
    if (kept === null) return this.#database.count(selection(table, index, range))
    return this.#found(table, index, range, kept).length
  }

  async keys<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
  ): Promise<readonly Key[]> {
    const kept = await this.#kept(table)
    if (kept === null) return this.#database.keysOf(selection(table, index, range))
    return this.#found(table, index, range, kept).map((row) => keyOf(table, row as Fields))
  }

  async distinct<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index>,
    range: Range,
  ): Promise<readonly Key[]> {
    const kept = await this.#kept(table)
    if (kept === null) return this.#database.distinct(selection(table, index, range))
    return sortedKeys(this.#found(table, index, range, kept).map((row) => indexKey(table, index, row as Fields)))
  }

  blind(value: Bytes): Promise<string> {
    return this.#store.blind(value)
  }

  #found(table: Shape, index: string | null, range: Range, kept: Kept): object[] {
    return [...within(table, index, range, [...kept.values()].map(({ row }) => row))]
  }

  /** Return the rows of a small table, or null. */
  async #kept<Row, Index extends string, Id extends keyof Row>(table: Table<Row, Index, Id>): Promise<Kept | null> {
    if (table.isKept !== true) return null
    this.#revision ??= this.#store.revision()
    // Rows read now are as new as that at least, so that what is kept as of it is never older.
    const at = tableRevision(await this.#revision, table.name)
    const known = this.#memory.get(table.name, at)
    if (known !== null) return known
    if ((await this.#database.count(selection(table, null, null))) > MAX_KEPT) return null
    const stored = await this.#database.rows(selection(table, null, null))
    const rows = new Map(await Promise.all(stored.map((row) => this.#keptRow(table, row))))
    this.#memory.set(table.name, at, rows)
    return rows
  }

  /** Return a row from memory if it was read by its key before. */
  async #readBefore<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    key: Key,
    revision: Revision,
  ): Promise<Row | undefined> {
    const [at, slot] = [tableRevision(revision, table.name), JSON.stringify(key)]
    const known = this.#memory.get(table.name, at)?.get(slot)
    if (known !== undefined) return known.row as Row
    const stored = await this.#database.get(table.name, key)
    if (stored === undefined) return undefined
    const row = await this.#store.opened(table, stored)
    this.#memory.add(table.name, at, slot, { nonce: nonceOf(stored), row: row as object })
    return row
  }

  async #keptRow<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    stored: StoredRow,
  ): Promise<readonly [string, KeptRow]> {
    const [key, nonce] = [JSON.stringify(keyOf(table, stored)), nonceOf(stored)]
    const known = this.#memory.row(table.name, key, nonce)
    return [key, { nonce, row: known ?? ((await this.#store.opened(table, stored)) as object) }]
  }
}

/** Say which rows. */
export function selection(table: Shape, index: string | null, range: Range, options: Options = {}): Selection {
  return { table: table.name, index, range, limit: options.limit ?? null, reverse: options.reverse ?? false }
}

function nonceOf(stored: StoredRow): string {
  return toHex(stored.sealed.subarray(0, NONCE_SIZE))
}
