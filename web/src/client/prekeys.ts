/**
 * Our own prekeys: made, stored, published, renewed, deleted.
 *
 * Source: spec/handshake.md, "Prekeys".
 */

import { Slot, sealObject } from "../core/directory"
import { concat } from "../core/encoding"
import { EnvelopeKeys } from "../core/envelope"
import { UnknownPrekey } from "../core/errors"
import type { Handshake, PrekeyPrivates } from "../core/handshake"
import type { OwnDevice } from "../core/identity"
import {
  ONE_TIME_COUNT,
  PRIVATE_KEPT_AFTER_EXPIRY,
  Prekey,
  PrekeyUse,
  REFILL_BELOW,
  RENEWED_AFTER,
  lifetime,
  signPrekey,
} from "../core/prekeys"
import { KemKeyPair, KeyPair, NONCE_SIZE, randomBytes } from "../core/primitives"
import { DAY, HOUR } from "../core/types"
import type { Bytes, Millis, PrekeyId, Usid } from "../core/types"
import type * as rest from "../wire/rest_directory"
import { account, prekeys } from "./schema"
import type { PrekeyState, StoredPrekey } from "./schema"
import { prefix } from "./store"
import type { Reads, Store, Transaction } from "./store"

export const NEW = 0
export const AT_RELAY = 1
export const TAKEN_BACK = 2
export const ONE_TIME_RENEWED_AFTER = 60 * DAY // the relay would hand out those that expire after 90
export const REFILL_EVERY = HOUR
export const IDS_A_WEEK = 2 ** 17 // four times what refills of a whole week use
const LAST_WEEK = 2 ** 15 - 1 // in 2598; the ids of a later clock would not fit into 32 bits
const ROTATING = [PrekeyUse.SIGNED, PrekeyUse.ENVELOPE, PrekeyUse.LAST_RESORT] as const
const ONE_TIME = [PrekeyUse.ONE_TIME, PrekeyUse.ONE_TIME_KEM] as const
/** By row, which goes when the prekey does: making the public half anew costs more than opening an envelope. */
const expanded = new WeakMap<StoredPrekey, EnvelopeKeys>()

/** A prekey with its private half. */
export interface NewPrekey {
  readonly public: Prekey
  /** The X25519 half, of those that have one. */
  readonly pair: KeyPair | null
  /** The ML-KEM half, 64 bytes, of those that have one. */
  readonly seed: Bytes | null
  readonly made: Millis
}

/** How many one-time X25519 and KEM prekeys the relay says it has. */
export type Left = readonly [number, number]

/** Make all that a new device publishes; ids follow `lastId`. */
export function fullSet(own: OwnDevice, lastId: number, now: Millis): Promise<readonly NewPrekey[]> {
  return make(own, [...ROTATING, ...ONE_TIME.flatMap((use) => repeated(use, ONE_TIME_COUNT))], lastId, now)
}

/**
 * Make the prekeys that are due: rotating ones after a week, one-time ones below twenty or after sixty days.
 *
 * One-time ones once an hour at most: a relay that takes them, or says so, gets no more than that.
 *
 * @param left When the relay just told, else null.
 */
export async function duePrekeys(store: Store, own: OwnDevice, left: Left | null, now: Millis): Promise<void> {
  await store.transaction(async (tx) => {
    await takeBackOneTime(tx, (now - ONE_TIME_RENEWED_AFTER) as Millis)
    const row = await tx.get(account, 1)
    if (row === undefined) return
    const uses: PrekeyUse[] = []
    for (const use of ROTATING) if (!(await isFresh(tx, use, now))) uses.push(use)
    const isRefilled = row.refilled <= now && now < row.refilled + REFILL_EVERY
    for (const [at, use] of isRefilled ? [] : ONE_TIME.entries()) {
      let count = await unspent(tx, use)
      const told = left?.[at]
      if (told !== undefined) count = Math.min(count, told + (await unspent(tx, use, NEW)))
      if (count < REFILL_BELOW) uses.push(...repeated(use, ONE_TIME_COUNT - count))
    }
    if (uses.length === 0) return
    const last = lastId(row.lastPrekey, now)
    storePrekeys(tx, await make(own, uses, last, now), NEW)
    const refilled = uses.some(isOneTime) ? now : row.refilled
    await tx.update(account, 1, { lastPrekey: last + uses.length, refilled })
  })
}

/** Have the relay drop the one-time prekeys made until then. */
export async function takeBackOneTime(tx: Transaction, madeUntil: Millis): Promise<void> {
  let isAny = false
  for (const row of await inState(tx, ONE_TIME, AT_RELAY)) {
    if (row.made > madeUntil) continue
    tx.put(prekeys, { ...row, state: TAKEN_BACK })
    isAny = true
  }
  if (isAny) await tx.update(account, 1, { isOneTimeRenewed: true })
}

/**
 * Tell a relay that was put back to an older copy everything anew.
 *
 * One-time prekeys that it has again may have been used before.
 */
export async function publishAgain(tx: Transaction, now: Millis): Promise<void> {
  await takeBackOneTime(tx, now)
  for (const row of await inState(tx, ROTATING, AT_RELAY)) tx.put(prekeys, { ...row, state: NEW })
  await tx.update(account, 1, { isAccessPublished: false })
}

/** Return the smallest id of a one-time prekey that the relay should have; it drops those below. */
export async function firstOneTime(reads: Reads): Promise<PrekeyId> {
  const rows = [...(await inState(reads, ONE_TIME, NEW, 1)), ...(await inState(reads, ONE_TIME, AT_RELAY, 1))]
  const next = ((await reads.get(account, 1))?.lastPrekey ?? 0) + 1
  return Math.min(next, ...rows.map((row) => row.id)) as PrekeyId
}

/** Write prekeys that have just been made. */
export function storePrekeys(tx: Transaction, made: readonly NewPrekey[], state: PrekeyState): void {
  for (const { public: prekey, pair, seed, made: time } of made) {
    const expiry = Number(prekey.expiry) as Millis
    tx.put(prekeys, { id: prekey.id, use: prekey.use, state, pair, seed, public: prekey.encode(), made: time, expiry })
  }
}

/** Return what the relay was not told of yet. */
export async function unpublished(reads: Reads): Promise<readonly Prekey[]> {
  return (await inState(reads, [...ROTATING, ...ONE_TIME], NEW)).map((row) => Prekey.parse(row.public))
}

/** Note that the relay has them. */
export async function markPublished(tx: Transaction, published: readonly Prekey[]): Promise<void> {
  for (const prekey of published) {
    const row = await tx.get(prekeys, prekey.id)
    if (row?.state === NEW) tx.put(prekeys, { ...row, state: AT_RELAY })
  }
}

/** Delete one-time prekeys that the relay has no room for; nobody has seen them. */
export async function forgetUnpublishedOneTime(store: Store): Promise<void> {
  await store.transaction(async (tx) => {
    for (const use of ONE_TIME) await tx.deleteAll(prekeys, "use", [use, NEW])
  })
}

/** Seal prekeys as the relay stores them. */
export function publishedForms(
  usid: Usid,
  own: OwnDevice,
  made: readonly NewPrekey[],
): Promise<readonly rest.Prekey[]> {
  return Promise.all(made.map((prekey) => sealed(usid, own, prekey.public)))
}

/** Seal one prekey as the relay stores it. */
export async function sealed(usid: Usid, own: OwnDevice, prekey: Prekey): Promise<rest.Prekey> {
  const slot = new Slot(own.address, prekey.use, own.device.id, prekey.id)
  const blob = await sealObject(usid, slot, prekey.encode(), randomBytes(NONCE_SIZE))
  return { use: prekey.use, id: prekey.id, blob }
}

/**
 * Return the private halves of one envelope prekey.
 *
 * @throws UnknownPrekey: not ours, or deleted.
 */
export async function envelopeKeys(reads: Reads, id: PrekeyId): Promise<EnvelopeKeys> {
  const row = await found(reads, PrekeyUse.ENVELOPE, id)
  const keys = expanded.get(row) ?? new EnvelopeKeys(id, pairOf(row), await KemKeyPair.fromSeed(768, seedOf(row)))
  expanded.set(row, keys)
  return keys
}

/**
 * Return the private halves of the prekeys that a handshake names.
 *
 * @throws UnknownPrekey: one of them is not ours, or used and deleted.
 */
export async function handshakePrivates(reads: Reads, handshake: Handshake): Promise<PrekeyPrivates> {
  const kemUse = handshake.usesLastResort ? PrekeyUse.LAST_RESORT : PrekeyUse.ONE_TIME_KEM
  const { oneTime } = handshake
  return {
    signed: pairOf(await found(reads, PrekeyUse.SIGNED, handshake.signed)),
    oneTime: oneTime === null ? null : pairOf(await found(reads, PrekeyUse.ONE_TIME, oneTime)),
    kem: await KemKeyPair.fromSeed(1024, seedOf(await found(reads, kemUse, handshake.kem))),
  }
}

/** Delete the one-time keys of an accepted handshake, in the transaction that stores its first message. */
export function deleteUsed(tx: Transaction, handshake: Handshake): void {
  if (handshake.oneTime !== null) tx.delete(prekeys, handshake.oneTime)
  if (!handshake.usesLastResort) tx.delete(prekeys, handshake.kem)
}

/** Delete private keys 45 days after their prekey expired. */
export async function deleteExpired(tx: Transaction, now: Millis): Promise<void> {
  for (const row of await tx.all(prekeys, null, null)) {
    if (row.expiry + PRIVATE_KEPT_AFTER_EXPIRY <= now) tx.delete(prekeys, row.id)
  }
}

async function found(reads: Reads, use: PrekeyUse, id: PrekeyId): Promise<StoredPrekey> {
  const row = await reads.get(prekeys, id)
  if (row?.use !== use) throw new UnknownPrekey("the prekey is not ours, or was used")
  return row
}

function pairOf(row: StoredPrekey): KeyPair {
  if (row.pair === null) throw new UnknownPrekey("the prekey has no X25519 half")
  return row.pair
}

function seedOf(row: StoredPrekey): Bytes {
  if (row.seed === null) throw new UnknownPrekey("the prekey has no ML-KEM half")
  return row.seed
}

async function inState(
  reads: Reads,
  uses: readonly PrekeyUse[],
  state: PrekeyState,
  limit = Infinity,
): Promise<readonly StoredPrekey[]> {
  const options = limit === Infinity ? {} : { limit }
  return (await Promise.all(uses.map((use) => reads.all(prekeys, "use", [use, state], options)))).flat()
}

/** Count prekeys that were not used, and not taken back. */
function unspent(reads: Reads, use: PrekeyUse, upTo: PrekeyState = AT_RELAY): Promise<number> {
  return reads.count(prekeys, "use", IDBKeyRange.bound([use, NEW], [use, upTo]))
}

/**
 * Return the id after which new ones are counted: above every one used, and from a number of its own each week.
 *
 * A store put back to an older copy does not know what it has used since, and the relay passes over every id that it
 * knows: nobody could write to us until as many were made again.
 */
function lastId(used: number, now: Millis): number {
  return Math.max(used, Math.min(Math.floor(now / RENEWED_AFTER), LAST_WEEK) * IDS_A_WEEK)
}

/** Tell whether there is one of the last week; not one that a clock which ran ahead has made for later. */
async function isFresh(reads: Reads, use: PrekeyUse, now: Millis): Promise<boolean> {
  const found = await reads.all(prekeys, "use", prefix(use))
  return found.some(({ made }) => made <= now && now < made + RENEWED_AFTER)
}

function isOneTime(use: PrekeyUse): boolean {
  return use === PrekeyUse.ONE_TIME || use === PrekeyUse.ONE_TIME_KEM
}

function repeated(use: PrekeyUse, count: number): readonly PrekeyUse[] {
  return Array.from({ length: count }, () => use)
}

function make(own: OwnDevice, uses: readonly PrekeyUse[], lastId: number, now: Millis): Promise<readonly NewPrekey[]> {
  return Promise.all(
    uses.map(async (use, at) => {
      const { key, pair, kem } = await freshKey(use)
      const expiry = BigInt(now + lifetime(use))
      const prekey = await signPrekey(own, use, (lastId + 1 + at) as PrekeyId, expiry, key)
      return { public: prekey, pair, seed: kem?.seed() ?? null, made: now }
    }),
  )
}

interface FreshKey {
  readonly key: Bytes
  readonly pair: KeyPair | null
  readonly kem: KemKeyPair | null
}

async function freshKey(use: PrekeyUse): Promise<FreshKey> {
  if (use === PrekeyUse.SIGNED || use === PrekeyUse.ONE_TIME) {
    const pair = await KeyPair.generate()
    return { key: pair.public.raw, pair, kem: null }
  }
  if (use === PrekeyUse.ENVELOPE) {
    const [pair, kem] = [await KeyPair.generate(), await KemKeyPair.generate(768)]
    return { key: concat(pair.public.raw, kem.public.raw), pair, kem }
  }
  const kem = await KemKeyPair.generate(1024)
  return { key: kem.public.raw, pair: null, kem }
}
