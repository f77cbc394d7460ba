/** The codec of values at rest, and that a sealed value opens only as it was, where it was. */

import fc from "fast-check"
import { describe, expect, test } from "vitest"

import { makeSealingKey, openValue, sealValue } from "../../src/client/seal"
import type { Sealed } from "../../src/client/seal"
import { concat, utf8 } from "../../src/core/encoding"
import { AuthenticationFailed, Malformed, Misuse } from "../../src/core/errors"
import { KeyPair, SigningKey, randomBytes } from "../../src/core/primitives"

const HERE = utf8("messages/1")
const key = await makeSealingKey()

const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => (Object.is(number, -0) ? 0 : number)),
    fc.bigInt(),
    fc.string({ unit: "binary" }),
    fc.constant("\ud800 half a character"),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => new Uint8Array(bytes)),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(fc.string(), tie("value")), { maxLength: 4 }).map((entries) => new Map(entries)),
    fc.dictionary(fc.string().filter((name) => !name.startsWith("$") && name !== "__proto__"), tie("value"), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  ),
})).value

describe("a value at rest", () => {
  test("comes back as it was", async () => {
    await fc.assert(
      fc.asyncProperty(values, async (value) => {
        expect(await openValue(key, await sealValue(key, value, HERE), HERE)).toEqual(value)
      }),
      { numRuns: 200 },
    )
  })

  test("keeps keys that nothing reads out", async () => {
    const [pair, signing] = [await KeyPair.generate(), await SigningKey.generate()]
    const theirs = await KeyPair.generate()

    const sealed = await sealValue(key, { pair, deep: [{ signing }] }, HERE)
    const opened = (await openValue(key, sealed, HERE)) as { pair: KeyPair; deep: [{ signing: SigningKey }] }

    expect(await opened.pair.exchange(theirs.public)).toEqual(await pair.exchange(theirs.public))
    await signing.public.verify(HERE, HERE, await opened.deep[0].signing.sign(HERE, HERE))
    expect(sealed.keys).toHaveLength(2)
    for (const handle of sealed.keys) await expect(crypto.subtle.exportKey("pkcs8", handle)).rejects.toThrow()
  })

  test("is another row of bytes each time", async () => {
    const [first, second] = [await sealValue(key, "the same", HERE), await sealValue(key, "the same", HERE)]

    expect(first.sealed.slice(0, 12)).not.toEqual(second.sealed.slice(0, 12))
    expect(first.sealed).not.toEqual(second.sealed)
  })

  test("opens nowhere else, under no other key, and not altered", async () => {
    const sealed = await sealValue(key, { text: "hello" }, HERE)
    const refused = async (from: Sealed, where = HERE, by = key) =>
      expect(openValue(by, from, where)).rejects.toThrow(AuthenticationFailed)

    await refused(sealed, utf8("messages/2"))
    await refused(sealed, HERE, await makeSealingKey())
    for (const at of sealed.sealed.keys()) {
      const altered = sealed.sealed.slice()
      altered[at] = (altered[at] ?? 0) ^ 1
      await refused({ ...sealed, sealed: altered })
    }
    await refused({ ...sealed, sealed: concat(sealed.sealed, Uint8Array.of(0)) })
  })

  test("needs the keys beside it", async () => {
    const sealed = await sealValue(key, await KeyPair.generate(), HERE)

    await expect(openValue(key, { ...sealed, keys: [] }, HERE)).rejects.toThrow(Malformed)
  })

  test.each([
    ["no number", Number.NaN],
    ["infinity", [Infinity]],
    ["nothing", [undefined]],
    ["a function", { run: () => 1 }],
    ["an object of a class", new Date(0)],
    ["a field like ours", { $bytes: [0, 1] }],
    ["a plain buffer", randomBytes(2).buffer],
  ])("is refused when it is %s", async (_, value) => {
    await expect(sealValue(key, value, HERE)).rejects.toThrow(Misuse)
  })
})
