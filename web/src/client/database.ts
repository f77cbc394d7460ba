/**
 * IndexedDB as the store uses it: sealed rows in, sealed rows out, one transaction for each commit.
 *
 * Nothing but IndexedDB is awaited inside a transaction: another await would end it.
 *
 * Source: spec/conventions.md, "At rest".
 */

import { deleteDB, openDB, unwrap } from "idb"
import type { IDBPDatabase } from "idb"

import { HalonyxError, StorageConflict, StoreError } from "../core/errors"
import type { Bytes } from "../core/types"
import { DEVICE } from "./schema"
import type { Migration } from "./schema"
import type { Shape } from "./table"

export type Key = IDBValidKey

/** A row at rest: key and index fields in the clear, the rest sealed. */
export interface StoredRow {
  readonly sealed: Bytes
  readonly keys: readonly CryptoKey[]
  readonly [field: string]: unknown
}

/** The keys of this store; neither can be read out. */
export interface StoreKeys {
  readonly sealing: CryptoKey
  /** HMAC-SHA-256: makes hashes that only this browser can make. */
  readonly blinding: CryptoKey
}

/** Moves with every commit. */
export interface Revision {
  readonly revision: number
  /** By table, the last number given. */
  readonly counters: Readonly<Record<string, number>>
  /** By table, the revision that last wrote to it; an older program does not tell. */
  readonly tables?: Readonly<Record<string, number>>
}

/** Whether a commit is on the disk before it is told. */
export type Durability = "strict" | "relaxed"

/** Rows by table, to be written or (null) deleted. */
export type Writes = ReadonlyMap<string, readonly (readonly [Key, StoredRow | null])[]>

export interface Selection {
  readonly table: string
  /** Null: by key. */
  readonly index: string | null
  /** Null: all. */
  readonly range: Key | IDBKeyRange | null
  readonly limit: number | null
  readonly reverse: boolean
}

const REVISION = "revision"
const KEYS = "keys"
export const ANOTHER_VERSION = "another-version" // code: this tab's program or store is not the one of the other tabs
/** Code: what is stored can't be opened by anybody any more. */
export const DAMAGED = "store-damaged"
const NO_REVISION: Revision = { revision: 0, counters: {} }

/** One open database; closes itself when another tab upgrades or erases it. */
export class Database {
  /** Called when it closed itself. */
  onClosed: () => void = () => undefined
  readonly #database: IDBPDatabase

  private constructor(database: IDBPDatabase) {
    this.#database = database
  }

  /**
   * Open a database, and make it or bring it to the newest version.
   *
   * @throws StoreError: the browser gives no storage, or a newer program made the database.
   */
  static async open(name: string, migrations: readonly Migration[]): Promise<Database> {
    try {
      const raw: IDBPDatabase = await openDB(name, migrations.length, {
        upgrade: (upgraded, from, _, upgrade) => {
          for (const migrate of migrations.slice(from)) migrate(unwrap(upgraded), unwrap(upgrade))
        },
        // Another tab has a newer program, or erases: it waits for us.
        blocking: () => {
          raw.close()
          database.onClosed()
        },
      })
      const database = new Database(raw)
      return database
    } catch (error) {
      throw openingError(error)
    }
  }

  /** Delete a database with all that is in it; every tab that has it open closes it. */
  static async erase(name: string): Promise<void> {
    await guarded(() => deleteDB(name))
  }

  close(): void {
    this.#database.close()
  }

  async revision(): Promise<Revision> {
    return guarded(async () => ((await this.#database.get(DEVICE, REVISION)) as Revision | undefined) ?? NO_REVISION)
  }

  async keys(): Promise<StoreKeys | undefined> {
    return guarded(async () => (await this.#database.get(DEVICE, KEYS)) as StoreKeys | undefined)
  }

  async get(table: string, key: Key): Promise<StoredRow | undefined> {
    return guarded(async () => (await this.#database.get(table, key)) as StoredRow | undefined)
  }

  async rows(from: Selection): Promise<readonly StoredRow[]> {
    return guarded(async () => {
      if (!from.reverse) return (await this.#source(from).getAll(from.range, from.limit ?? undefined)) as StoredRow[]
      const rows: StoredRow[] = []
      let cursor = await this.#source(from).openCursor(from.range, "prev")
      while (cursor !== null && rows.length < (from.limit ?? Infinity)) {
        rows.push(cursor.value as StoredRow)
        cursor = await cursor.continue()
      }
      return rows
    })
  }

  async count(from: Selection): Promise<number> {
    return guarded(() => this.#source(from).count(from.range))
  }

  /** Return the keys of rows, not the rows. */
  async keysOf(from: Selection): Promise<readonly Key[]> {
    return guarded(() => this.#source(from).getAllKeys(from.range))
  }

  /** Return each key of an index once. */
  async distinct(from: Selection): Promise<readonly Key[]> {
    return guarded(async () => {
      const keys: Key[] = []
      let cursor = await this.#source(from).openKeyCursor(from.range, "nextunique")
      while (cursor !== null) {
        keys.push(cursor.key)
        cursor = await cursor.continue()
      }
      return keys
    })
  }

  /** Tell whether no table has a row. */
  async isEmpty(tables: readonly Shape[]): Promise<boolean> {
    return guarded(async () => {
      const names = tables.map((table) => table.name)
      const transaction = this.#database.transaction(names)
      const counts = await Promise.all(names.map((name) => transaction.objectStore(name).count()))
      return counts.every((count) => count === 0)
    })
  }

  /**
   * Write everything, or nothing.
   *
   * @param keys Of a store that has none yet.
   * @param durability "strict": it is on the disk when this resolves. Else a power failure may undo it until one that is.
   * @throws StorageConflict: another tab wrote since `before` was read. StoreError: there is no room.
   */
  async commit(
    before: Revision,
    after: Revision,
    writes: Writes,
    keys: StoreKeys | null,
    durability: Durability,
  ): Promise<void> {
    await guarded(async () => {
      const transaction = this.#database.transaction([DEVICE, ...writes.keys()], "readwrite", { durability })
      const device = transaction.objectStore(DEVICE)
      // All is asked for at once: IndexedDB answers in order, so that nothing can be committed before this is known.
      const found = device.get(REVISION) as Promise<Revision | undefined>
      const requests: Promise<unknown>[] = [device.put(after, REVISION), transaction.done]
      if (keys !== null) requests.push(device.add(keys, KEYS))
      for (const [name, rows] of writes) {
        const table = transaction.objectStore(name)
        for (const [key, row] of rows) requests.push(row === null ? table.delete(key) : table.put(row))
      }
      const done = Promise.all(requests)
      const { revision } = (await found) ?? NO_REVISION
      if (revision === before.revision) await done
      else await conflict(transaction, done)
    })
  }

  #source(from: Selection) {
    const table = this.#database.transaction(from.table).store
    return from.index === null ? table : table.index(from.index)
  }
}

/** Undo what was asked for. */
async function conflict(transaction: { abort(): void }, done: Promise<unknown>): Promise<never> {
  transaction.abort()
  await done.catch(() => undefined)
  throw new StorageConflict("another tab changed the store meanwhile")
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof HalonyxError || !(error instanceof DOMException)) throw error
    if (error.name === "QuotaExceededError") throw new StoreError("the browser has no room left for this site")
    if (error.name === "InvalidStateError") {
      throw new StoreError("another tab updated or erased this device: reload the page", ANOTHER_VERSION)
    }
    throw new StoreError(`the browser's store did not take it: ${error.name}`)
  }
}

function openingError(error: unknown): StoreError {
  if (error instanceof DOMException && error.name === "VersionError") {
    return new StoreError("a newer program made this store: reload the page to update this one", ANOTHER_VERSION)
  }
  const name = error instanceof Error ? error.name : "unknown"
  if (name === "UnknownError") return new StoreError("the browser can't read what this site stored", DAMAGED)
  return new StoreError(
    `this browser gives the page no storage (${name}): leave the private window, or allow site data for this address`,
  )
}
