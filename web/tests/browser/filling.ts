/** Gives the account of a page a past, by the client's own store: what takes days or thousands of messages to come about. */

import type { MessageState, NoticeKind } from "../../src/client/api"
import { addNotice } from "../../src/client/events"
import { addMessage } from "../../src/client/history"
import type { ContactRow } from "../../src/client/people"
import { contactsIn, insertContact } from "../../src/client/people"
import { contacts, transfers, type StoredContact, type StoredEvent } from "../../src/client/schema"
import { Store, type Transaction } from "../../src/client/store"
import type { StoredTransfer } from "../../src/client/transfer_row"
import { toHex } from "../../src/core/encoding"
import { randomBytes } from "../../src/core/primitives"
import { MESSAGE_ID_SIZE, type FileKey, type Millis, type Usid } from "../../src/core/types"

const BATCH = 500 // messages in one transaction
const USID_SIZE = 32
const ORIGIN = "http://localhost:9" // of strangers, whom nobody asks for anything

/** A message as it will stand in the history; theirs are "received". */
export interface Written {
  readonly text: string
  readonly time: number
  readonly state: MessageState
}

export interface Noted {
  readonly kind: NoticeKind
  readonly time: number
  readonly data: StoredEvent["data"]
}

/** Add messages to the conversation with `name`, oldest first. */
export async function write(name: string, messages: readonly Written[]): Promise<void> {
  for (let at = 0; at < messages.length; at += BATCH) {
    await withContact(name, async (tx, { id }) => {
      for (const { text, time, state } of messages.slice(at, at + BATCH)) {
        await addMessage(tx, {
          contact: id,
          isOutgoing: state === "received" ? 0 : 1,
          messageId: toHex(randomBytes(MESSAGE_ID_SIZE)),
          state,
          device: 1,
          counter: 0,
          text,
          sent: time as Millis,
          received: time as Millis,
        })
      }
    })
  }
}

/** Add quiet lines to the conversation with `name`. */
export async function note(name: string, notices: readonly Noted[]): Promise<void> {
  await withContact(name, async (tx, { id }) => {
    for (const { kind, time, data } of notices) await addNotice(tx, kind, id, time as Millis, data)
  })
}

/** Change what is stored of a contact. */
export async function change(name: string, fields: Partial<StoredContact>): Promise<void> {
  await withContact(name, async (tx, { id }) => {
    await tx.update(contacts, id, fields)
  })
}

/** An offer of files as it will stand in the conversation; bytes as base64. */
export interface Offered extends Pick<StoredTransfer, "isOutgoing" | "stage" | "name" | "mediaType" | "size"> {
  readonly time: number
  readonly thumbnail: string
  readonly fields: Partial<StoredTransfer>
}

/** Add offers to the conversation with `name`, oldest first; none of them can be carried out. */
export async function offer(name: string, offers: readonly Offered[]): Promise<void> {
  await withContact(name, async (tx, { id }) => {
    for (const { time, thumbnail, fields, ...offered } of offers) {
      const messageId = fields.id ?? toHex(randomBytes(MESSAGE_ID_SIZE))
      const made = time as Millis
      const nothing = new Uint8Array(32)
      tx.put(transfers, {
        ...offered,
        ...{ id: messageId, contact: id, reason: null, isFolder: false, count: 1, key: nothing as FileKey },
        thumbnail: thumbnail === "" ? null : Uint8Array.from(atob(thumbnail), (sign) => sign.charCodeAt(0)),
        ...{ ciphertextSize: offered.size, hash: nothing, infoHash: nothing.slice(12), info: null, origin: ORIGIN },
        ...{ done: 0, uploaded: 0, wantsDrop: false, inDrop: false, isDirectAsked: false, made, told: made },
        ...fields,
      })
      await addMessage(tx, {
        ...{ contact: id, isOutgoing: offered.isOutgoing, messageId, device: 1, counter: 0, text: "" },
        ...{ state: offered.isOutgoing === 1 ? "delivered" : "received", sent: made, received: made, isOffer: true },
      })
    }
  })
}

/** Let so many strangers wait for a decision. */
export async function strangers(count: number): Promise<void> {
  await withStore(async (tx) => {
    for (let number = 0; number < count; number++) {
      const usid = randomBytes(USID_SIZE) as Usid
      const added = Date.now() as Millis
      await insertContact(tx, { name: toHex(usid), usid, origin: ORIGIN, state: "request", namedVersion: 1, added })
    }
  })
}

async function withContact(name: string, work: (tx: Transaction, contact: ContactRow) => Promise<void>): Promise<void> {
  await withStore(async (tx) => {
    const contact = (await contactsIn(tx, "accepted")).find((one) => one.name === name)
    if (contact === undefined) throw new Error(`there is no ${name}`)
    await work(tx, contact)
  })
}

async function withStore(work: (tx: Transaction) => Promise<void>): Promise<void> {
  const store = await Store.open()
  try {
    await store.transaction(work)
  } finally {
    store.close()
  }
}
