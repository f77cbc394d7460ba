/**
 * The local store: IndexedDB with sealed rows, short transactions, any number of tabs.
 *
 * A transaction holds a lock that all tabs share before it reads, so what it decided on is still true when it writes;
 * the store's revision, checked in the IndexedDB transaction that writes, tells if a browser's locks failed. The lock is
 * kept for a moment: as long as it is ours, the revision is known without asking.
 *
 * Source: spec/conventions.md, "At rest".
 */

import { toHex, utf8 } from "../core/encoding"
import { Misuse, RemoteError, StoreError } from "../core/errors"
import type { Bytes } from "../core/types"
import type { Change } from "./api"
import { DAMAGED, Database } from "./database"
import type { Durability, Key, Revision, StoreKeys, StoredRow } from "./database"
import { KeptLock, lockName, waitFor } from "./locks"
import { MIGRATIONS, TABLES } from "./schema"
import type { Migration } from "./schema"
import type { Shape, Table } from "./table"
import { makeSealingKey, openValue, sealValue } from "./seal"
import { Memory, Snapshot, selection, tableRevision } from "./snapshot"
import { Transaction } from "./transaction"

export type { Key } from "./database"
export type { Transaction } from "./transaction"

export const DATABASE = "halonyx"
export const STORE_LOCK = "store"

/** Which rows: a key or a range of keys, null for all. */
export type Range = Key | IDBKeyRange | null

export interface Options {
  readonly limit?: number
  /** The largest keys first. */
  readonly reverse?: boolean
}

/** What a store and a transaction both can: read. */
export interface Reads {
  get<Row, Index extends string, Id extends keyof Row>(table: Table<Row, Index, Id>, key: Key): Promise<Row | undefined>
  /** Rows in the order of the index, of its key where that is the same; `index` null: by key. */
  all<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
    options?: Options,
  ): Promise<readonly Row[]>
  count<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
  ): Promise<number>
  /** Keys of rows, in no particular order; reads nothing that is sealed. */
  keys<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
  ): Promise<readonly Key[]>
  /** The different keys of an index; reads nothing that is sealed. */
  distinct<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index>,
    range: Range,
  ): Promise<readonly Key[]>
  /** A hash, 32 hex digits, that only this browser can make: to find by, what must not stand in the clear. */
  blind(value: Bytes): Promise<string>
}

/** Return the range of keys that begin with these fields. */
export function prefix(...fields: readonly (number | string)[]): IDBKeyRange {
  return IDBKeyRange.bound(fields, [...fields, []]) // arrays come after all numbers and strings
}

/** One open store. */
export class Store implements Reads {
  /** Called after a commit with the changes that its transaction noted. */
  onChange: (changes: readonly Change[]) => void = () => undefined
  /** Called when another tab upgraded or erased the store: this one can't use it any more (another-version). */
  onClosed: () => void = () => undefined
  readonly name: string
  readonly #database: Database
  readonly #memory = new Memory()
  readonly #lock: KeptLock
  /** The revision of now; null while another tab may move it. */
  #known: Revision | null = null
  #lookUp: Promise<Revision> | null = null
  #nextLookUp: Promise<Revision> | null = null
  #keys: StoreKeys | null = null
  /** Else they were made for the transaction that runs, and go with it if it fails. */
  #areKeysStored = false

  private constructor(name: string, database: Database) {
    this.name = name
    this.#database = database
    this.#lock = new KeptLock(name, STORE_LOCK, () => {
      this.#known = null
    })
    database.onClosed = () => {
      this.onClosed()
    }
  }

  /**
   * Open the store of this browser, and make it if there is none.
   *
   * @throws StoreError: the browser gives no storage, or a newer program made the store.
   */
  static async open(name = DATABASE, migrations: readonly Migration[] = MIGRATIONS): Promise<Store> {
    return new Store(name, await Database.open(name, migrations))
  }

  /** Delete a store with all that is in it; tabs that have it open can't use it any more. */
  static async erase(name = DATABASE): Promise<void> {
    await waitFor(lockName(name, STORE_LOCK), () => Database.erase(name))
  }

  /** Close the connection, and forget what was read. */
  close(): void {
    this.#database.close()
    this.#memory.clear()
    this.#lock.release()
  }

  /**
   * Run `work` under the lock and commit what it wrote, or nothing if it throws.
   *
   * @param work Must await nothing but the transaction and cryptography, and not call `transaction`: that never ends well.
   * @param durability "relaxed" only for what may be undone by a power failure: what it is about happens again then.
   * @throws StoreError: no lock for half a minute, no room, or a damaged store. StorageConflict: another tab wrote
   *   although the lock was ours; read again and retry.
   */
  async transaction<T>(work: (tx: Transaction) => Promise<T>, durability: Durability = "strict"): Promise<T> {
    const [result, changes] = await this.#lock.run(async () => {
      this.#known ??= await this.#database.revision()
      const before = this.#known
      await this.#prepareKeys()
      const tx = new Transaction(this, this.#snapshot(before), before.counters)
      try {
        const result = await work(tx)
        const { writes, counters, changes } = tx.end()
        if (writes.size > 0) await this.#commit(before, counters, writes, durability)
        return [result, changes] as const
      } finally {
        if (!this.#areKeysStored) this.#keys = null
      }
    })
    if (changes.length > 0) this.onChange(changes)
    return result
  }

  /** Return what is committed now, or at the first read: several reads of it cost little more than one. */
  snapshot(): Snapshot {
    return this.#snapshot(this.#known)
  }

  /**
   * Look up the revision; for snapshots.
   *
   * Who asks while one look-up is under way shares the next with all who do: it is as new as each of them needs.
   */
  revision(): Promise<Revision> {
    if (this.#lookUp === null) {
      this.#lookUp = this.#database.revision().finally(() => {
        this.#lookUp = null
      })
      return this.#lookUp
    }
    this.#nextLookUp ??= this.#lookUp.catch(() => undefined).then(() => {
      this.#nextLookUp = null
      return this.revision()
    })
    return this.#nextLookUp
  }

  get<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    key: Key,
  ): Promise<Row | undefined> {
    return this.snapshot().get(table, key)
  }

  all<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
    options: Options = {},
  ): Promise<readonly Row[]> {
    return this.snapshot().all(table, index, range, options)
  }

  count<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
  ): Promise<number> {
    return this.snapshot().count(table, index, range)
  }

  keys<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index> | null,
    range: Range,
  ): Promise<readonly Key[]> {
    return this.snapshot().keys(table, index, range)
  }

  distinct<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    index: NoInfer<Index>,
    range: Range,
  ): Promise<readonly Key[]> {
    return this.snapshot().distinct(table, index, range)
  }

  async blind(value: Bytes): Promise<string> {
    const { blinding } = await this.#storeKeys()
    return toHex(new Uint8Array(await crypto.subtle.sign("HMAC", blinding, value)).slice(0, 16))
  }

  /** Read rows as they lie there; for transactions. */
  sealedRows(table: Shape, index: string | null, range: Range, options: Options): Promise<readonly StoredRow[]> {
    return this.#database.rows(selection(table, index, range, options))
  }

  /**
   * Open a row; for transactions.
   *
   * @throws StoreError: the row was altered or belongs elsewhere, or the key is gone.
   */
  async opened<Row, Index extends string, Id extends keyof Row>(
    table: Table<Row, Index, Id>,
    stored: StoredRow,
  ): Promise<Row> {
    const { sealing } = await this.#storeKeys()
    const clear = clearFields(table)
    try {
      const hidden = await openValue(sealing, stored, placeOf(table, stored))
      // Sealed by us under the key of this store, so it is what was put there.
      return { ...Object.fromEntries(clear.map((field) => [field, stored[field]])), ...(hidden as object) } as Row
    } catch (error) {
      if (error instanceof RemoteError || error instanceof TypeError) throw damaged(table.name)
      throw error
    }
  }

  async #commit(
    before: Revision,
    counters: Revision["counters"],
    writes: ReadonlyMap<string, readonly Write[]>,
    durability: Durability,
  ): Promise<void> {
    const keys = await this.#storeKeys()
    const sealed = [...writes].map(async ([name, rows]) => {
      const table = shapeOf(name)
      const entries = rows.map(async ([key, row]) => [key, row && (await sealedRow(keys, table, row))] as const)
      return [name, await Promise.all(entries)] as const
    })
    const revision = before.revision + 1
    const tables = TABLES.map(({ name }) => [name, writes.has(name) ? revision : tableRevision(before, name)] as const)
    const after: Revision = { revision, counters, tables: Object.fromEntries<number>(tables) }
    const stored = new Map(await Promise.all(sealed))
    this.#known = null // known again only if this does not fail
    await this.#database.commit(before, after, stored, this.#areKeysStored ? null : keys, durability)
    this.#areKeysStored = true
    this.#known = after
    this.#memory.write(before, after, writes, stored)
  }

  #snapshot(revision: Revision | null): Snapshot {
    return new Snapshot(this, this.#database, this.#memory, revision)
  }

  /** Make sure that there are keys; under the lock. */
  async #prepareKeys(): Promise<void> {
    if ((await this.#foundKeys()) !== null) return
    if (!(await this.#database.isEmpty(TABLES))) throw keyGone()
    const [sealing, blinding] = await Promise.all([
      makeSealingKey(),
      crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]),
    ])
    this.#keys = { sealing, blinding }
  }

  async #foundKeys(): Promise<StoreKeys | null> {
    if (this.#keys === null) {
      const stored = await this.#database.keys()
      if (stored !== undefined) [this.#keys, this.#areKeysStored] = [stored, true]
    }
    return this.#keys
  }

  async #storeKeys(): Promise<StoreKeys> {
    const keys = await this.#foundKeys()
    if (keys === null) throw keyGone()
    return keys
  }
}

/** A row to be written, or null: to be deleted. */
export type Write = readonly [Key, object | null]

function shapeOf(name: string): Shape {
  const table = TABLES.find((known) => known.name === name)
  if (table === undefined) throw new Misuse("no table of this store")
  return table
}

/** Return the fields that stand in the clear. */
function clearFields(table: Shape): readonly string[] {
  return [...new Set([...table.key, ...Object.values(table.indexes).flat()])]
}

/** Return the associated data of a row: its table and all that stands in the clear, so that nothing of it can be altered. */
function placeOf(table: Shape, row: Readonly<Record<string, unknown>>): Bytes {
  return utf8(JSON.stringify([table.name, ...clearFields(table).map((field) => row[field])]))
}

async function sealedRow(keys: StoreKeys, table: Shape, row: object): Promise<StoredRow> {
  const clear = clearFields(table)
  const fields = Object.entries(row)
  const inClear = Object.fromEntries(fields.filter(([field]) => clear.includes(field)))
  const hidden = Object.fromEntries(fields.filter(([field]) => !clear.includes(field)))
  return { ...inClear, ...(await sealValue(keys.sealing, hidden, placeOf(table, inClear))) }
}

function damaged(table: string): StoreError {
  return new StoreError(
    `a row of "${table}" was damaged or altered: erase this device, then get the account back by its recovery code`,
    DAMAGED,
  )
}

function keyGone(): StoreError {
  return new StoreError(
    "the browser lost the key of this store: erase this device, then get the account back by its recovery code",
    DAMAGED,
  )
}
