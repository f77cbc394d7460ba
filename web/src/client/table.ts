/** What a table of the local store is: its rows, its key and its indexes. */

/** A claim that is part of an index: IndexedDB has no index over booleans. */
export type Flag = 0 | 1

type Field<Row> = keyof Row & string

/**
 * One table: rows of type `Row`, found by key or by an `Index`.
 *
 * @typeParam Numbered The key field, if the store numbers the rows itself; `never` if the row brings its key.
 */
export interface Table<Row, Index extends string = never, Numbered extends keyof Row = never> {
  readonly name: string
  /** A key of one field is its value, one of several an array. */
  readonly key: readonly Field<Row>[]
  /** Rows whose value for a field is null are in no index with it. */
  readonly indexes: Readonly<Record<Index, readonly Field<Row>[]>>
  /** It is small and read often: its opened rows stay in memory. Of one that is "read": those that were read by key. */
  readonly isKept?: boolean | "read"
  /** Only a type: what `Store.insert` leaves out. */
  readonly numbered?: Numbered
  /** Only a type. */
  readonly row?: Row
}

/** A table as IndexedDB needs to know it. */
export interface Shape {
  readonly name: string
  readonly key: readonly string[]
  readonly indexes: Readonly<Record<string, readonly string[]>>
}

/** Write the key path of a key or an index as IndexedDB takes it. */
export function keyPath(fields: readonly string[]): string | string[] {
  const [first] = fields
  return fields.length === 1 && first !== undefined ? first : [...fields]
}

/** Make a table and its indexes. */
export function makeTable(database: IDBDatabase, table: Shape): void {
  const made = database.createObjectStore(table.name, { keyPath: keyPath(table.key) })
  for (const [name, fields] of Object.entries(table.indexes)) made.createIndex(name, keyPath(fields))
}
