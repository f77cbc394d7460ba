/** What tests of files share: offering, accepting, and carrying pieces as torrents would. */

import type { OfferedFile, Transfer } from "../../src/client/api"
import * as table from "../../src/client/schema"
import { PIECE_SIZE } from "../../src/client/torrent_info"
import type { StoredTransfer } from "../../src/client/transfer_row"
import { talking, until, type Tab } from "./persons"

export const QUIET = { down: 0, up: 0, uploaded: 0, path: null, isTrackerReached: true } as const

/** Make a file whose bytes anyone can make again. */
export function file(path: string, size: number, type = ""): OfferedFile {
  const content = Uint8Array.from({ length: size }, (_, at) => (at * 31) % 251)
  return { path, file: new File([content], path, { type }) }
}

/** Return the beginning of a PNG that says how large it is. */
export function png(width: number, height: number): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(33)
  head.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52])
  new DataView(head.buffer).setUint32(16, width)
  new DataView(head.buffer).setUint32(20, height)
  return head
}

/** Offer files, several as a folder; return the id. */
export async function offer(from: Tab, to: string, files: readonly OfferedFile[], options = { drop: false }): Promise<string> {
  const folder = files.length > 1 ? "folder" : null
  const { id } = await from.client.files.offerFiles((await from.contact(to)).id, files, folder, null, options)
  return id
}

/** Return a transfer as the conversation shows it. */
export async function shown(tab: Tab, name: string, id: string): Promise<Transfer | undefined> {
  return (await tab.talk(name)).find((entry) => entry.id === id)?.file ?? undefined
}

/** Wait until a transfer is in a state. */
export async function untilState(tab: Tab, name: string, id: string, state: string): Promise<Transfer> {
  await until(async () => (await shown(tab, name, id))?.state === state)
  const found = await shown(tab, name, id)
  if (found === undefined) throw new Error("it vanished")
  return found
}

/** Change a transfer behind the client's back. */
export async function alter(tab: Tab, id: string, changes: Partial<StoredTransfer>): Promise<void> {
  await tab.client.store.transaction(async (tx) => {
    const row = await tx.get(table.transfers, id)
    if (row !== undefined) tx.put(table.transfers, { ...row, ...changes })
  })
}

/** Do what torrents do. */
export async function carry(from: Tab, to: Tab, id: string, altered = false): Promise<void> {
  const row = await to.client.store.get(table.transfers, id)
  for (let index = 0; index * PIECE_SIZE < (row?.ciphertextSize ?? 0); index++) {
    const piece = await from.client.files.readPiece(id, index)
    if (altered) piece[0] = (piece[0] ?? 0) ^ 1
    await to.client.files.writePiece(id, index, piece)
  }
  await to.client.files.fileArrived(id)
}

/** Return two people who know each other and agreed to direct connections. */
export async function acquainted(origin: string): Promise<readonly [Tab, Tab]> {
  const [alice, bob] = await talking(origin)
  for (const [tab, name] of [[alice, "bob"], [bob, "alice"]] as const) {
    await tab.client.files.allowDirect((await tab.contact(name)).id, true)
  }
  return [alice, bob]
}

/** Offer a file and let it be accepted. */
export async function running(alice: Tab, bob: Tab, files = [file("note", 2 * PIECE_SIZE)]): Promise<string> {
  const id = await offer(alice, "bob", files)
  await untilState(bob, "alice", id, "offered")
  await bob.client.files.acceptFile(id)
  await untilState(alice, "bob", id, "waiting")
  return id
}

/** Save, and return the files by path. */
export async function saved(tab: Tab, id: string): Promise<Map<string, Uint8Array>> {
  const files = await tab.client.files.saveFile(id)
  return new Map(await Promise.all(files.map(async ({ path, file: content }) => [path, new Uint8Array(await content.arrayBuffer())] as const)))
}
