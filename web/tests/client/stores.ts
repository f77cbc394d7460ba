/** Stores for tests in Node, and rows to put into them. */

import "fake-indexeddb/auto"
import "./locks"

import { deleteDB, openDB } from "idb"

import type { StoredRow } from "../../src/client/database"
import { insertContact } from "../../src/client/people"
import { contacts } from "../../src/client/schema"
import type { StoredContact, StoredMessage } from "../../src/client/schema"
import { Store } from "../../src/client/store"
import type { Transaction } from "../../src/client/store"
import { utf8 } from "../../src/core/encoding"
import type { Millis, Usid } from "../../src/core/types"

export const START = 10 ** 12 as Millis

let made = 0

/** Return the name of a database that is not there yet. */
export function freshName(): string {
  made += 1
  return `test-${made}`
}

/** Run with a store of its own. */
export async function withStore<T>(work: (store: Store, name: string) => Promise<T>): Promise<T> {
  const name = freshName()
  const store = await Store.open(name)
  try {
    return await work(store, name)
  } finally {
    store.close()
    await deleteDB(name)
  }
}

/** Return every row of a database as it lies there, by table. */
export async function storedRows(name: string): Promise<Map<string, StoredRow[]>> {
  const database = await openDB(name)
  const rows = new Map<string, StoredRow[]>()
  for (const table of database.objectStoreNames) rows.set(table, (await database.getAll(table)) as StoredRow[])
  database.close()
  return rows
}

/** Write a row as it is, past the store. */
export async function putStored(name: string, table: string, row: object, key?: string): Promise<void> {
  const database = await openDB(name)
  await database.put(table, row, key)
  database.close()
}

/** Add a contact of this name. */
export async function addContact(
  tx: Transaction,
  name: string,
  change: Partial<StoredContact> = {},
): Promise<StoredContact> {
  const usid = utf8(name.padEnd(32, ".")) as Usid
  const { id } = await insertContact(tx, {
    name,
    usid,
    origin: "http://localhost",
    state: "accepted",
    namedVersion: 0,
    added: START,
  })
  const row = await tx.get(contacts, id)
  if (row === undefined) throw new Error("it was just inserted")
  tx.put(contacts, { ...row, ...change })
  return { ...row, ...change }
}

/** Return a message of theirs. */
export function message(contact: number, text: string, number = 0): Omit<StoredMessage, "position"> {
  return {
    contact,
    isOutgoing: 0,
    messageId: number.toString(16).padStart(32, "0"),
    state: "received",
    device: 1,
    counter: number,
    text,
    sent: START,
    received: START,
  }
}
