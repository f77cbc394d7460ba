/**
 * This browser's account: made, recovered, and read.
 *
 * The recovery code and its keys live only as long as a sign-up or a recovery takes. Nothing is stored before the relay
 * has registered the device, and then everything in one transaction: what is cut off leaves nothing.
 *
 * Source: spec/identity.md; spec/handshake.md, "Prekeys".
 */

import { openObject, recordSlot, sealObject } from "../core/directory"
import { toHex } from "../core/encoding"
import { HalonyxError, RemoteError, StoreError, TransportError } from "../core/errors"
import { AccountRecord, OwnDevice, addressOf, checkRecord, makeRecord, nextVersion, usidOf } from "../core/identity"
import * as kdf from "../core/kdf"
import { checkOrigin } from "../core/origin"
import { KeyPair, NONCE_SIZE, SigningKey, VerifyKey, randomBytes, sha256 } from "../core/primitives"
import { ENTROPY_SIZE, accountKeys, encodeRecoveryCode, parseRecoveryCode } from "../core/recovery"
import type { AccountKeys } from "../core/recovery"
import { MAX_DEVICE_ID } from "../core/types"
import type { Address, Bytes, DeviceId, Millis, Usid } from "../core/types"
import { KeyId, MANAGEMENT } from "../wire/http_signature"
import type { Signer } from "../wire/http_signature"
import { parseDone } from "../wire/rest"
import { parseAccountStatus, parseReplaceAccountResponse, parseSignUpResponse } from "../wire/rest_account"
import type { AccountStatus } from "../wire/rest_account"
import { parseLookupResponse } from "../wire/rest_directory"
import type { RelayInfo } from "../wire/rest_relay"
import { asTyped, checkAdmission, prove } from "./admission"
import type { Admission, Progress } from "./admission"
import type { AccountInfo } from "./api"
import { tryLock } from "./locks"
import { cachedRecord } from "./people"
import { AT_RELAY, fullSet, publishedForms, storePrekeys } from "./prekeys"
import type { NewPrekey } from "./prekeys"
import { account } from "./schema"
import type { Reads, Store } from "./store"
import { Refused, Relay } from "./transport"

export const PROFILE_KEY_SIZE = 32
const ACCOUNT_LOCK = "account"
const FIRST_DEVICE = 1 as DeviceId

/** The account row as values. */
export class Account {
  readonly usid: Usid
  readonly origin: string
  /** Pinned at sign-up. */
  readonly relayKey: VerifyKey
  readonly own: OwnDevice
  readonly login: SigningKey
  readonly record: AccountRecord
  readonly profileKey: Bytes
  /** The relay knows the hash of the current access key. */
  readonly isAccessPublished: boolean
  /** Where the mailbox was read up to. */
  readonly epoch: Bytes
  readonly cursor: bigint

  constructor(fields: Omit<Account, "address" | "signer" | "accessHash" | "info">) {
    this.usid = fields.usid
    this.origin = fields.origin
    this.relayKey = fields.relayKey
    this.own = fields.own
    this.login = fields.login
    this.record = fields.record
    this.profileKey = fields.profileKey
    this.isAccessPublished = fields.isAccessPublished
    this.epoch = fields.epoch
    this.cursor = fields.cursor
  }

  /** What the relay knows us by. */
  get address(): Address {
    return this.own.address
  }

  /** Signs calls as this device. */
  get signer(): Signer {
    return { keyId: new KeyId(this.address, this.own.device.id), key: this.login }
  }

  /** SHA-256 of the key that our contacts show. */
  get accessHash(): Bytes {
    return sha256(kdf.accessKey(this.profileKey))
  }

  /** Return what the page may know. */
  info(): AccountInfo {
    const { usid, address, origin, own } = this
    return { usid: toHex(usid), address: toHex(address), origin, device: own.device.id }
  }
}

/** Return the time of this machine. */
export function nowMs(): Millis {
  return Date.now() as Millis
}

/** Return the account of this browser, or null. */
export async function findAccount(reads: Reads): Promise<Account | null> {
  const row = await reads.get(account, 1)
  if (row === undefined) return null
  const record = await cachedRecord(row.record)
  const device = record.device(row.device as DeviceId)
  if (device === undefined) throw new StoreError("the account row is damaged")
  return new Account({
    ...row,
    relayKey: new VerifyKey(row.relayKey),
    own: new OwnDevice(record.address, device, row.identity, row.signing),
    record,
  })
}

/**
 * Read the account row.
 *
 * @throws StoreError: there is none.
 */
export async function loadAccount(reads: Reads): Promise<Account> {
  const found = await findAccount(reads)
  if (found === null) throw new StoreError("there is no account in this browser: make one first")
  return found
}

/**
 * Make an identity and register it at a relay.
 *
 * @param given For a relay that asks for an invite, or for a name and an e-mail address; other relays get neither.
 * @returns The account, and its recovery code: whoever closes the tab before writing it down has none.
 * @throws StoreError: the browser has an account, another tab makes one, or nothing can be stored.
 * Malformed: `origin` is not how it is written; HalonyxError "malformed-invite", "malformed-contact": what is given.
 * Refused: the relay takes no sign-ups, or not this one. TransportError: it can't be reached.
 */
export async function createAccount(
  store: Store,
  origin: string,
  given: Admission,
  progress: Progress,
): Promise<{ readonly account: Account; readonly recoveryCode: string }> {
  checkOrigin(origin)
  checkAdmission(given)
  return alone(store, async () => {
    const entropy = randomBytes(ENTROPY_SIZE)
    const [keys, now, relay] = [await accountKeys(entropy), nowMs(), new Relay(origin)]
    try {
      const info = await relay.info()
      const own = await newDevice(addressOf(usidOf(keys)), FIRST_DEVICE, now)
      const record = await makeRecord(keys, nextVersion(0, now), BigInt(now), [origin], [own.device])
      const made = await signUp(relay, await planned(keys, record, own, info), given, progress)
      return { account: await storeAccount(store, origin, made), recoveryCode: encodeRecoveryCode(entropy) }
    } finally {
      relay.close()
    }
  })
}

/**
 * Get an account back from its recovery code; this device replaces every other.
 *
 * Contacts keep the same USID and safety number; their next message finds this device by itself.
 *
 * @param given For a relay that asks for something and has never had this account, or lost it.
 * @throws HalonyxError "malformed-code": the code has a typing error; "malformed-invite", "malformed-contact": `given`.
 * Malformed: `origin` is not how a relay is written.
 * StoreError: the browser has an account, another tab makes one, or nothing can be stored.
 * Refused: the relay refuses, or the account changed in the same moment. TransportError: it can't be reached.
 */
export async function recoverAccount(
  store: Store,
  origin: string,
  code: string,
  given: Admission,
  progress: Progress,
): Promise<Account> {
  checkOrigin(origin)
  const keys = await accountKeys(asTyped("malformed-code", () => parseRecoveryCode(code)))
  checkAdmission(given)
  return alone(store, async () => {
    const relay = new Relay(origin)
    try {
      return await storeAccount(store, origin, await recovered(relay, keys, given, progress))
    } finally {
      relay.close()
    }
  })
}

/**
 * Delete the account at its relay, with all that waits for it there. What is in this browser stays; repeating it is safe.
 *
 * @param code The recovery code: deleting is signed with a key that no device keeps, so a stolen one can't.
 * @throws HalonyxError "malformed-code": the code has a typing error; "wrong-code": it is another account's;
 * "unknown-account": the relay has no such account, or the clock of this machine is wrong.
 * Refused: the relay refuses. TransportError: it can't be reached.
 */
export async function deleteAccount(store: Store, code: string): Promise<void> {
  const keys = await accountKeys(asTyped("malformed-code", () => parseRecoveryCode(code)))
  const { address, origin } = await loadAccount(store)
  if (toHex(addressOf(usidOf(keys))) !== toHex(address)) {
    throw new HalonyxError("wrong-code", "this is the recovery code of another account")
  }
  const relay = new Relay(origin)
  try {
    await relay.call("POST", "/v1/account/delete", { address }, parseDone, managing(keys, address))
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== "not-authenticated") throw error
    throw new HalonyxError("unknown-account", "the relay has no such account, or the clock of this machine is wrong")
  } finally {
    relay.close()
  }
}

/** All that a device needs, before the relay has heard of it. */
interface Plan {
  readonly keys: AccountKeys
  readonly record: AccountRecord
  readonly own: OwnDevice
  readonly relayKey: VerifyKey
  readonly operatorKey: VerifyKey
  readonly contactRequired: boolean
  readonly login: SigningKey
  readonly profileKey: Bytes
  readonly prekeys: readonly NewPrekey[]
}

/** What the relay has; its mailbox may be put back to an older copy before we first log in. */
interface Registered extends Plan {
  readonly epoch: Bytes
}

/** Run what makes an account, if there is none and no other tab makes one. */
async function alone<T>(store: Store, work: () => Promise<T>): Promise<T> {
  return tryLock(store.name, ACCOUNT_LOCK, async (isHeld) => {
    if (!isHeld) throw new StoreError("another tab makes an account: go on there")
    await checkNone(store)
    return work()
  })
}

async function checkNone(reads: Reads): Promise<void> {
  if ((await reads.count(account, null, null)) > 0) {
    throw new StoreError("this browser has an account already: erase this device first")
  }
}

async function newDevice(address: Address, id: DeviceId, now: Millis): Promise<OwnDevice> {
  const [identity, signing] = [await KeyPair.generate(), await SigningKey.generate()]
  const device = { id, created: BigInt(now), identityKey: identity.public, signingKey: signing.public }
  return new OwnDevice(address, device, identity, signing)
}

async function planned(
  keys: AccountKeys,
  record: AccountRecord,
  own: OwnDevice,
  relay: RelayInfo,
): Promise<Plan> {
  // Before anything is registered: a key that is none would be found out when there is no way back.
  const [relayKey, operatorKey] = [new VerifyKey(relay.relayKey), new VerifyKey(relay.operatorKey)]
  const { contactRequired } = relay
  const login = await SigningKey.generate()
  const [profileKey, prekeys] = [randomBytes(PROFILE_KEY_SIZE), await fullSet(own, 0, nowMs())]
  return { keys, record, own, relayKey, operatorKey, contactRequired, login, profileKey, prekeys }
}

async function recovered(
  relay: Relay,
  keys: AccountKeys,
  given: Admission,
  progress: Progress,
): Promise<Registered> {
  const [usid, now] = [usidOf(keys), nowMs()]
  const address = addressOf(usid)
  const info = await relay.info()
  const found = await status(relay, managing(keys, address), address)
  const previous = found.exists ? await previousRecord(relay, usid) : null
  if (found.highestDevice === MAX_DEVICE_ID) {
    throw new Refused("device-id-used", "this account has used up its 255 device ids")
  }
  const own = await newDevice(address, (found.highestDevice + 1) as DeviceId, now)
  const version = nextVersion(previous?.version ?? 0, now)
  const record = await makeRecord(keys, version, previous?.created ?? BigInt(now), [relay.origin], [own.device])
  const plan = await planned(keys, record, own, info)
  return found.recordHash === null ? signUp(relay, plan, given, progress) : replace(relay, plan, found.recordHash)
}

async function signUp(relay: Relay, plan: Plan, given: Admission, progress: Progress): Promise<Registered> {
  const contact = plan.contactRequired ? given.contact : null
  if (plan.contactRequired && contact === null) {
    throw new Refused("contact-required", "this relay asks for a name and an e-mail address")
  }
  const request = {
    ...(await published(plan)),
    managementKey: plan.keys.management.public.raw,
    device: await device(plan),
    work: await prove(relay, plan.record.address, given.invite, progress),
    invite: given.invite,
    contact,
  }
  const signer = managing(plan.keys, plan.record.address)
  const { epoch } = await relay.call("POST", "/v1/accounts", request, parseSignUpResponse, signer)
  return { ...plan, epoch }
}

async function replace(relay: Relay, plan: Plan, replaces: string): Promise<Registered> {
  const request = { ...(await published(plan)), replaces, devices: [await device(plan)] }
  const signer = managing(plan.keys, plan.record.address)
  const { epochs } = await relay.call("PUT", "/v1/account", request, parseReplaceAccountResponse, signer)
  const [epoch] = epochs
  if (epoch === undefined) throw new TransportError("the relay named no mailbox")
  return { ...plan, epoch }
}

async function published({ record, profileKey }: Plan) {
  const { address, usid } = record
  return {
    address,
    record: await sealObject(usid, recordSlot(address), record.encoded, randomBytes(NONCE_SIZE)),
    accessHash: sha256(kdf.accessKey(profileKey)),
    requestHash: sha256(kdf.requestKey(usid)),
  }
}

async function device({ own, login, record, prekeys }: Plan) {
  return { id: own.device.id, loginKey: login.public.raw, prekeys: await publishedForms(record.usid, own, prekeys) }
}

function managing(keys: AccountKeys, address: Address): Signer {
  return { keyId: new KeyId(address, MANAGEMENT), key: keys.management }
}

async function storeAccount(store: Store, origin: string, plan: Registered): Promise<Account> {
  return store.transaction(async (tx) => {
    await checkNone(tx)
    tx.put(account, {
      one: 1,
      usid: plan.record.usid,
      origin,
      relayKey: plan.relayKey.raw,
      operatorKey: plan.operatorKey.raw,
      device: plan.own.device.id,
      identity: plan.own.identity,
      signing: plan.own.signing,
      login: plan.login,
      record: plan.record.encoded,
      profileKey: plan.profileKey,
      isAccessPublished: true,
      isOneTimeRenewed: false,
      refilled: 0 as Millis,
      lastPrekey: plan.prekeys.length,
      epoch: plan.epoch,
      cursor: 0n,
    })
    storePrekeys(tx, plan.prekeys, AT_RELAY)
    tx.changed({ kind: "status" })
    return loadAccount(tx)
  })
}

/** Ask what the relay holds; it answers an unknown account and a wrong key alike. */
async function status(relay: Relay, signer: Signer, address: Address): Promise<AccountStatus> {
  try {
    return await relay.call("POST", "/v1/account/status", { address }, parseAccountStatus, signer)
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== "not-authenticated") throw error
    return { exists: false, recordHash: null, devices: [], highestDevice: 0 }
  }
}

/** Fetch our own record, for its version; one that does not verify is as good as none. */
async function previousRecord(relay: Relay, usid: Usid): Promise<AccountRecord | null> {
  const address = addressOf(usid)
  const request = { address, key: kdf.requestKey(usid) }
  const answer = await relay.call("POST", "/v1/lookup", request, parseLookupResponse)
  try {
    const record = await AccountRecord.parse(await openObject(usid, recordSlot(address), answer.record))
    checkRecord(record, usid, null)
    return record
  } catch (error) {
    if (!(error instanceof RemoteError)) throw error
    return null
  }
}
