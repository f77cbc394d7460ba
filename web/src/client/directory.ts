/**
 * Records and prekeys of contacts: fetched anonymously, verified, and compared with what they name themselves.
 *
 * Source: spec/identity.md, "Checking a record"; spec/handshake.md, "Prekeys".
 */

import type { RecordName } from "../core/content"
import { Slot, openObject, recordSlot } from "../core/directory"
import { sameBytes } from "../core/encoding"
import { BadSignature, RemoteError, StaleDirectory } from "../core/errors"
import type { Peer } from "../core/handshake"
import { AccountRecord, checkRecord } from "../core/identity"
import type { Device } from "../core/identity"
import { EnvelopePrekey, Prekey, PrekeyBundle, PrekeyUse, RENEWED_AFTER } from "../core/prekeys"
import { DAY, SECOND } from "../core/types"
import type { Bytes, DeviceId, Millis } from "../core/types"
import { parseBundle, parseLookupResponse } from "../wire/rest_directory"
import type { LookupResponse, StoredPrekey } from "../wire/rest_directory"
import { addNotice } from "./events"
import { showHeld } from "./order"
import { contactById, deviceRow, ensureDevice } from "./people"
import type { ContactRow } from "./people"
import { contacts, deliveries, devices, outbox } from "./schema"
import { prefix } from "./store"
import type { Reads, Store, Transaction } from "./store"
import { Refused } from "./transport"
import type { Relay } from "./transport"

export const CHECK_AGAIN = DAY
export const NAMED_TRIES = 3
export const NAMED_PAUSE = 20 * SECOND // three tries within a minute
const STALE = new StaleDirectory("").code

/** Tell whether their record or an envelope prekey must be fetched before writing to them. */
export async function needsRefresh(reads: Reads, contact: ContactRow, now: Millis): Promise<boolean> {
  const { record } = contact
  const { recordChecked } = contact
  const isChecked = recordChecked <= now && now < recordChecked + CHECK_AGAIN // after now: the clock was put back since
  if (record === null || !isChecked) return true
  if (record.version < contact.namedVersion) return contact.namedSince + contact.namedTries * NAMED_PAUSE <= now
  if (recordChecked + NAMED_PAUSE <= now && (await strays(reads, contact.id, record)).length > 0) return true
  for (const device of record.devices) if (!(await hasFreshEnvelopePrekey(reads, contact, device.id, now))) return true
  return false
}

/** Tell whether an envelope to this device can be sealed without asking the relay. */
export async function hasFreshEnvelopePrekey(
  reads: Reads,
  contact: ContactRow,
  device: DeviceId,
  now: Millis,
): Promise<boolean> {
  const { envelopePrekey, envelopeFetched } = await deviceRow(reads, contact.id, device)
  const isFresh = envelopeFetched <= now && now < envelopeFetched + RENEWED_AFTER
  return envelopePrekey !== null && isFresh && envelopePrekey.expiry > BigInt(now)
}

/**
 * Fetch a contact's record and envelope prekeys, and store what verifies.
 *
 * A record that does not verify or goes back freezes the contact; nothing of it is used.
 *
 * @throws Refused: the relay gives nothing out for the key we have. TransportError: the relay can't be reached.
 */
export async function refresh(store: Store, relay: Relay, contact: ContactRow, now: Millis): Promise<void> {
  const answer = await fetched(store, relay, contact)
  await store.transaction(async (tx) => {
    const current = await contactById(tx, contact.id)
    try {
      const sealed = await openObject(current.usid, recordSlot(current.address), answer.record)
      await acceptRecord(tx, current, await AccountRecord.parse(sealed), now)
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error
      // At once for what the relay cannot have served honestly.
      if (error instanceof StaleDirectory) await tx.update(contacts, contact.id, { recordChecked: now })
      await freeze(tx, current, error.code, answer.record, now)
      return
    }
    await storeEnvelopePrekeys(tx, await contactById(tx, contact.id), answer, now)
  })
}

/**
 * Store a record that may be newer; announce devices that came or went.
 *
 * @throws UntrustedIdentity, StaleDirectory: as `checkRecord`.
 */
export async function acceptRecord(
  tx: Transaction,
  contact: ContactRow,
  record: AccountRecord,
  now: Millis,
): Promise<void> {
  checkRecord(record, contact.usid, contact.record, contact.record === null ? contact.namedVersion : 0)
  const isNew = contact.record === null || record.version > contact.record.version
  const namedTries = record.version >= contact.namedVersion ? 0 : contact.namedTries + 1
  await tx.update(contacts, contact.id, {
    record: record.encoded,
    recordVersion: record.version,
    recordChecked: now,
    namedTries,
  })
  if (isNew) {
    await compareDevices(tx, contact, record, now)
    tx.changed({ kind: "contacts" })
  }
  for (const device of await strays(tx, contact.id, record)) await forgetDevice(tx, contact.id, device, now)
  if (namedTries >= NAMED_TRIES) await freeze(tx, contact, STALE, record.encoded, now)
}

/** Take in which record of their own a contact names in a message. */
export async function noteNamed(tx: Transaction, contact: ContactRow, named: RecordName, now: Millis): Promise<void> {
  const { record } = contact
  if (record !== null && named.version === record.version && !sameBytes(named.hash, record.hash)) {
    await freeze(tx, contact, STALE, record.encoded, now)
  }
  if (named.version > Math.max(contact.namedVersion, record?.version ?? 0)) {
    await tx.update(contacts, contact.id, { namedVersion: named.version, namedTries: 0, namedSince: now })
  }
}

/** Stop sending to a contact until the person decides, and keep what did not fit. */
export async function freeze(
  tx: Transaction,
  contact: ContactRow,
  code: string,
  evidence: Bytes,
  now: Millis,
): Promise<void> {
  if (contact.frozen !== null) return
  await tx.update(contacts, contact.id, { frozen: code, evidence })
  await addNotice(tx, "stale", contact.id, now, { code })
  tx.changed({ kind: "contacts" })
}

/**
 * Fetch one of each prekey of a device and verify all of them.
 *
 * @param fetchId 16 random bytes; the same in a repetition, so that a lost answer costs no second prekey.
 * @throws BadSignature: one of them does not verify, has expired, or stands in the wrong place.
 * AuthenticationFailed, Malformed, UnsupportedVersion: what the relay served is not theirs.
 * Refused: the relay gives nothing out for the key we have. TransportError: the relay can't be reached.
 */
export async function fetchBundle(
  relay: Relay,
  contact: ContactRow,
  peer: Peer,
  fetchId: Bytes,
  now: Millis,
): Promise<PrekeyBundle> {
  const request = { address: contact.address, key: contact.access, device: peer.device.id, fetchId }
  const answer = await relay.call("POST", "/v1/bundle", request, parseBundle)
  const opened = async (use: PrekeyUse, stored: StoredPrekey): Promise<Prekey> => {
    const prekey = await openedPrekey(contact, peer, use, stored)
    if (prekey.use === use && prekey.id === stored.id) return prekey
    throw new BadSignature("the relay served a prekey under another name")
  }
  // An owner who was away for long could not renew one-time prekeys: that is as if there were none.
  const unexpired = async (use: PrekeyUse, stored: StoredPrekey | null): Promise<Prekey | null> => {
    const prekey = stored === null ? null : await opened(use, stored)
    return prekey !== null && prekey.expiry > BigInt(now) ? prekey : null
  }
  const bundle = new PrekeyBundle(
    await opened(PrekeyUse.SIGNED, answer.signedPrekey),
    await opened(PrekeyUse.ENVELOPE, answer.envelopePrekey),
    (await unexpired(PrekeyUse.ONE_TIME_KEM, answer.oneTimeKemPrekey)) ??
      (await opened(PrekeyUse.LAST_RESORT, answer.lastResortPrekey)),
    await unexpired(PrekeyUse.ONE_TIME, answer.oneTimePrekey),
  )
  await bundle.verify(peer.device.signingKey, peer.fingerprint, now)
  return bundle
}

/**
 * Fall back to the request key when the access key no longer fits: they changed it, or were recovered.
 *
 * @throws `error` itself, if there is nothing to fall back to.
 */
export async function forgetProfileKey(store: Store, contact: ContactRow, error: unknown): Promise<ContactRow> {
  const refused = contact.profileKey
  if (!(error instanceof Refused) || error.code !== "bad-access-key" || refused === null) throw error
  return store.transaction(async (tx) => {
    // Only the key that was refused: they may have given us the next one meanwhile.
    const { profileKey } = await contactById(tx, contact.id)
    if (profileKey !== null && sameBytes(profileKey, refused)) await tx.update(contacts, contact.id, { profileKey: null })
    return contactById(tx, contact.id)
  })
}

/** Keep a verified envelope prekey. */
export async function storeEnvelopePrekey(
  tx: Transaction,
  contact: ContactRow,
  device: DeviceId,
  prekey: Prekey,
  now: Millis,
): Promise<void> {
  await ensureDevice(tx, contact.id, device)
  await tx.update(devices, [contact.id, device], { envelopePrekey: prekey.encode(), envelopeFetched: now })
}

async function fetched(store: Store, relay: Relay, contact: ContactRow): Promise<LookupResponse> {
  const lookUp = (known: ContactRow): Promise<LookupResponse> =>
    relay.call("POST", "/v1/lookup", { address: known.address, key: known.access }, parseLookupResponse)
  try {
    return await lookUp(contact)
  } catch (error) {
    return lookUp(await forgetProfileKey(store, contact, error))
  }
}

async function openedPrekey(contact: ContactRow, peer: Peer, use: PrekeyUse, stored: StoredPrekey): Promise<Prekey> {
  const slot = new Slot(contact.address, use, peer.device.id, stored.id)
  return Prekey.parse(await openObject(contact.usid, slot, stored.blob))
}

async function storeEnvelopePrekeys(
  tx: Transaction,
  contact: ContactRow,
  answer: LookupResponse,
  now: Millis,
): Promise<void> {
  for (const entry of answer.devices) {
    const peer = contact.peer(entry.device)
    const prekey = peer && (await verified(contact, peer, entry.envelopePrekey))
    // An old one of theirs must not take the place of one that is valid.
    if (prekey && prekey.expiry > BigInt(now)) await storeEnvelopePrekey(tx, contact, entry.device, prekey, now)
  }
}

/** Return an envelope prekey, or null: without a valid one the message waits, and says so. */
async function verified(contact: ContactRow, peer: Peer, stored: StoredPrekey): Promise<Prekey | null> {
  try {
    const prekey = await openedPrekey(contact, peer, PrekeyUse.ENVELOPE, stored)
    EnvelopePrekey.of(prekey)
    await prekey.verify(peer.device.signingKey, peer.fingerprint)
    return prekey
  } catch (error) {
    if (!(error instanceof RemoteError)) throw error
    return null
  }
}

/**
 * Return devices whose first message could not be read and that the record lacks: the message brought a newer record,
 * which was undone with it, or somebody made the device up.
 */
async function strays(reads: Reads, contact: number, record: AccountRecord): Promise<readonly DeviceId[]> {
  const broken = await reads.all(devices, "broken", [1, contact])
  return broken.map((row) => row.device as DeviceId).filter((id) => record.device(id) === undefined)
}

/** Announce devices that are new and forget those that went. Other keys under an old id are another device. */
async function compareDevices(
  tx: Transaction,
  contact: ContactRow,
  record: AccountRecord,
  now: Millis,
): Promise<void> {
  const former = contact.record?.devices ?? []
  const same = new Set(record.devices.filter((ours) => former.some((old) => isSame(old, ours))).map(({ id }) => id))
  if (contact.record !== null) {
    for (const row of await tx.all(devices, null, prefix(contact.id))) {
      const device = row.device as DeviceId
      const isKnown = former.some((old) => old.id === device) // what broke with one that comes now is to be repaired
      if (isKnown && !same.has(device)) await forgetDevice(tx, contact.id, device, now)
    }
  }
  for (const { id } of record.devices) {
    await ensureDevice(tx, contact.id, id)
    if (contact.record === null || same.has(id)) continue
    await addNotice(tx, "device", contact.id, now, { device: id })
    // A device that is new does not have what the old one was told.
    await tx.update(contacts, contact.id, { hasOurProfileKey: false })
  }
  for (const row of await tx.all(outbox, "contact", prefix(contact.id))) {
    if (row.device === null) tx.put(outbox, { ...row, isExpanded: 0 })
  }
}

function isSame(first: Device, second: Device): boolean {
  return (
    first.id === second.id &&
    first.created === second.created &&
    sameBytes(first.identityKey.raw, second.identityKey.raw) &&
    sameBytes(first.signingKey.raw, second.signingKey.raw)
  )
}

/** Drop a removed device's sessions; what it had not confirmed goes to the devices that are left. */
async function forgetDevice(tx: Transaction, contact: number, device: DeviceId, now: Millis): Promise<void> {
  for (const state of ["sealed", "accepted", "resend"]) {
    for (const row of await tx.all(deliveries, "state", [state, contact])) {
      if (row.device === device) tx.delete(deliveries, row.id)
    }
  }
  await showHeld(tx, contact, device, now)
  for (const row of await tx.all(outbox, "contact", prefix(contact))) {
    if (row.device === device) {
      tx.delete(outbox, row.position)
      await tx.deleteAll(deliveries, "position", prefix(row.position))
    }
  }
  tx.delete(devices, [contact, device])
}
