/** The owner of an account with the recovery code in hand: a second device, as a later program will make. */

import { loadAccount, nowMs } from "../../src/client/account"
import { fullSet, publishedForms } from "../../src/client/prekeys"
import * as table from "../../src/client/schema"
import type { Store } from "../../src/client/store"
import { Relay } from "../../src/client/transport"
import { recordSlot, sealObject } from "../../src/core/directory"
import { OwnDevice, makeRecord } from "../../src/core/identity"
import * as kdf from "../../src/core/kdf"
import { KeyPair, NONCE_SIZE, SigningKey, randomBytes, sha256 } from "../../src/core/primitives"
import { accountKeys, parseRecoveryCode } from "../../src/core/recovery"
import type { DeviceId } from "../../src/core/types"
import { KeyId, MANAGEMENT } from "../../src/wire/http_signature"
import { parseAccountStatus } from "../../src/wire/rest_account"

/** Add a device that never runs to the account of a store, at its relay and in its record. */
export async function addDevice(store: Store, recoveryCode: string): Promise<DeviceId> {
  const [keys, account, now] = [await accountKeys(parseRecoveryCode(recoveryCode)), await loadAccount(store), nowMs()]
  const { address, usid, record: former } = account
  const [identity, signing, login] = [await KeyPair.generate(), await SigningKey.generate(), await SigningKey.generate()]
  const id = (account.own.device.id + 1) as DeviceId
  const device = { id, created: BigInt(now), identityKey: identity.public, signingKey: signing.public }
  const own = new OwnDevice(address, device, identity, signing)
  const devices = [...former.devices, device]
  const record = await makeRecord(keys, former.version + 1, former.created, former.origins, devices)
  const prekeys = await publishedForms(usid, own, await fullSet(own, 0, now))
  const signer = { keyId: new KeyId(address, MANAGEMENT), key: keys.management }
  const relay = new Relay(account.origin)
  const status = await relay.call("POST", "/v1/account/status", { address }, parseAccountStatus, signer)
  const request = {
    address,
    replaces: status.recordHash ?? "",
    record: await sealObject(usid, recordSlot(address), record.encoded, randomBytes(NONCE_SIZE)),
    devices: [
      { id: account.own.device.id, loginKey: account.login.public.raw, prekeys: [] },
      { id, loginKey: login.public.raw, prekeys },
    ],
    accessHash: account.accessHash,
    requestHash: sha256(kdf.requestKey(usid)),
  }
  await relay.call("PUT", "/v1/account", request, () => null, signer)
  relay.close()
  await store.transaction((tx) => tx.update(table.account, 1, { record: record.encoded }))
  return id
}
