/** Pictures of others, which may claim more than a page has room for. */

import { afterAll, afterEach, beforeAll, expect, test } from "vitest"

import * as table from "../../src/client/schema"
import { takeOffer } from "../../src/client/transfer_states"
import { concat, utf8 } from "../../src/core/encoding"
import { FileOffer } from "../../src/core/file_offer"
import type { Bytes, MessageId } from "../../src/core/types"
import { RelayProcess } from "../relay_process"
import { acquainted, file, offer, png, untilState } from "./files_kit"
import { closeAll, mayReach } from "./persons"

const PATIENT = 120_000

let relay: RelayProcess

beforeAll(async () => {
  relay = await RelayProcess.start()
  mayReach(relay.origin)
})

afterEach(closeAll)
afterAll(() => relay.remove())

test("one is opened up to 16 MiB and 40 megapixels, and only if it is one", { timeout: PATIENT }, async () => {
  const [alice] = await acquainted(relay.origin)
  const opens = async (head: Bytes, size: number, type = "image/png"): Promise<boolean> => {
    const content = new Uint8Array(size)
    content.set(head)
    const id = await offer(alice, "bob", [{ path: "picture", file: new File([content], "picture", { type }) }])
    await untilState(alice, "bob", id, "offered")
    return (await alice.client.files.openImage(id)) !== null
  }
  expect(await opens(png(8000, 5000), 16 * 1_048_576)).toBe(true)
  expect(await opens(png(8000, 5000), 16 * 1_048_576 + 1)).toBe(false)
  expect(await opens(png(8000, 5001), 1000)).toBe(false)
  expect(await opens(new Uint8Array(), 1000)).toBe(false)
  expect(await opens(png(10, 10), 1000, "image/avif")).toBe(false)
})

test("a thumbnail is kept up to a megapixel", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted(relay.origin)
  const id = await offer(alice, "bob", [file("picture", 5, "image/png")])
  await untilState(bob, "alice", id, "offered")
  const row = await bob.client.store.get(table.transfers, id)
  if (row === undefined) throw new Error("nothing was offered")
  const kept = async (width: number, height: number): Promise<boolean> => {
    const thumbnail = concat(utf8("RIFF"), new Uint8Array(4), utf8("WEBPVP8X"), new Uint8Array(14))
    thumbnail.set([(width - 1) & 255, (width - 1) >> 8, 0, (height - 1) & 255, (height - 1) >> 8], 24)
    const body = FileOffer.encode({ ...row, ciphertextHash: row.hash, thumbnail })
    const messageId = crypto.getRandomValues(new Uint8Array(16)) as MessageId
    const came = { contact: row.contact, messageId, body, received: row.made }
    await bob.client.store.transaction((tx) => takeOffer(tx, came))
    const rows = await bob.client.store.all(table.transfers, null, null)
    return rows.some((found) => found.thumbnail?.length === thumbnail.length)
  }
  expect(await kept(1001, 1000)).toBe(false)
  expect(await kept(1000, 1000)).toBe(true)
})
