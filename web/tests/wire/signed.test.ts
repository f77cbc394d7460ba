/** What may be signed; the signatures themselves are in delivery.json. */

import { expect, test } from "vitest"

import { Misuse } from "../../src/core/errors"
import { SigningKey } from "../../src/core/primitives"
import type { Address, DeviceId } from "../../src/core/types"
import { KeyId, sign, signatureBase } from "../../src/wire/http_signature"
import { challengeBody, loginBody } from "../../src/wire/login"

const ADDRESS = new Uint8Array(32).fill(1) as Address
const NONCE = new Uint8Array(32)

test("a key is named by an address and a number of 0 to 255", () => {
  expect(new KeyId(ADDRESS, 255).toString()).toBe(`${"01".repeat(32)}.255`)
  for (const device of [-1, 256, 0.5]) expect(() => new KeyId(ADDRESS, device)).toThrow(Misuse)
  expect(() => new KeyId(new Uint8Array(31) as Address, 1)).toThrow(Misuse)
})

test("a call is signed with 16 bytes of nonce at a whole second", async () => {
  const signer = { keyId: new KeyId(ADDRESS, 1), key: await SigningKey.generate() }
  const target = { method: "POST", authority: "relay.example", path: "/v1/account/status" }
  const body = new Uint8Array()
  await expect(sign(signer, target, body, 1, new Uint8Array(15))).rejects.toThrow(Misuse)
  for (const created of [0.5, -1, NaN]) {
    await expect(sign(signer, target, body, created, new Uint8Array(16))).rejects.toThrow(Misuse)
  }
})

test("the authority is signed in lower case", () => {
  const target = { method: "PUT", authority: "Relay.Example", path: "/" }
  expect(new TextDecoder().decode(signatureBase(target, "d", "p"))).toContain('"@authority": relay.example\n')
})

test("a login names an origin of 1 to 255 ASCII characters and a device of 1 to 255", () => {
  const device = 1 as DeviceId
  for (const origin of ["", `https://${"a".repeat(248)}`, "https://ä.example"]) {
    expect(() => challengeBody(NONCE, 0n, origin)).toThrow(Misuse)
    expect(() => loginBody(NONCE, origin, ADDRESS, device)).toThrow(Misuse)
  }
  for (const wrong of [0, 256]) expect(() => loginBody(NONCE, "https://r", ADDRESS, wrong as DeviceId)).toThrow(Misuse)
  expect(() => loginBody(new Uint8Array(31), "https://r", ADDRESS, device)).toThrow(Misuse)
})
