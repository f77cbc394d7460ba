/** What each operation of the envelope and its content vectors means for our code. */

import { Content, Extension, Resend } from "../../src/core/content"
import { concat, sameBytes } from "../../src/core/encoding"
import { Envelope, EnvelopeKeys, openEnvelope, sealEnvelope } from "../../src/core/envelope"
import type { Payload, Recipient } from "../../src/core/envelope"
import { kdfEnvelope } from "../../src/core/kdf"
import { EnvelopePrekey } from "../../src/core/prekeys"
import { KemKeyPair, KemPublicKey, KeyPair, PublicKey, aeadOpen } from "../../src/core/primitives"
import type { Address, Bytes, DeviceId, Fingerprint, PrekeyId } from "../../src/core/types"
import { check } from "./vectors"
import type { Fields, Output, Runner } from "./vectors"

const EMPTY = new Uint8Array()

const recipientOf = (given: Fields): Recipient => {
  return [given.hex("address") as Address, given.hex("device_fingerprint") as Fingerprint]
}

function envelopeParse(given: Fields): Output {
  const { prekey, ephemeral, kemCiphertext, header, ciphertext } = Envelope.parse(given.hex("envelope"))
  return { prekey, ephemeral: ephemeral.raw, kem_ciphertext: kemCiphertext, header, ciphertext }
}

async function envelopeSeal(given: Fields): Promise<Output> {
  const keys = [new PublicKey(given.hex("x25519_public")), KemPublicKey.load(given.hex("mlkem768_public"))] as const
  const [prekey, recipient] = [new EnvelopePrekey(given.number("prekey") as PrekeyId, ...keys), recipientOf(given)]
  const [sender, device] = [given.hex("sender") as Address, given.number("device") as DeviceId]
  const payload: Payload = { sender, device, record: given.hexOrNull("record"), message: given.hex("message") }
  const ephemeral = await KeyPair.fromPrivate(given.hex("ephemeral_private"))
  const [ciphertext, secret] = [given.hexOrNull("kem_ciphertext"), given.hexOrNull("kem_secret")]
  const kem = ciphertext === null || secret === null ? null : ([ciphertext, secret] as const)
  const sealed = await sealEnvelope(prekey, recipient, payload, ephemeral, kem)
  const envelope = Envelope.parse(sealed)
  const ikm = concat(await ephemeral.exchange(prekey.x25519), secret ?? EMPTY)
  const both = ciphertext === null ? EMPTY : concat(prekey.mlkem768.raw, ciphertext)
  const context = concat(envelope.header.slice(1, 38), prekey.x25519.raw, both, ...recipient)
  const [key, nonce] = kdfEnvelope(ikm, context)
  const padded = await aeadOpen(key, nonce, envelope.ciphertext, envelope.header)
  const size = 40 + payload.message.length + (payload.record === null ? 0 : 2 + payload.record.length)
  check(isZero(padded.slice(size)), "padding is not zero")
  return { ikm, context, key, nonce, payload: padded.slice(0, size), envelope: sealed }
}

const isZero = (padding: Bytes): boolean => padding.every((byte) => byte === 0)

async function envelopeOpen(given: Fields): Promise<Output> {
  const x25519 = await KeyPair.fromPrivate(given.hex("x25519_private"))
  const mlkem768 = await KemKeyPair.fromSeed(768, given.hex("mlkem768_seed"))
  const keys = new EnvelopeKeys(given.number("prekey") as PrekeyId, x25519, mlkem768)
  return { ...(await openEnvelope(Envelope.parse(given.hex("envelope")), keys, recipientOf(given))) }
}

function contentParse(given: Fields): Output {
  const data = given.hex("content")
  const content = Content.parse(data)
  return {
    kind: content.kind,
    message_id: content.messageId,
    counter: content.counter,
    sent: content.sent,
    conversation: content.conversation,
    sender_record: content.senderRecord,
    recipient_record: content.recipientRecord,
    reply_to: content.replyTo,
    expires_after: content.expiresAfter,
    body: content.body,
    profile_key: content.extensions.get(Extension.PROFILE_KEY),
    is_canonical: sameBytes(Content.encode(content), data),
  }
}

function resendParse(given: Fields): Output {
  const body = given.hex("body")
  const resend = Resend.parse(body)
  check(sameBytes(Resend.encode(resend), body), "encodes to other bytes")
  return { ...resend }
}

export const ENVELOPE_RUNS: Readonly<Record<string, Runner>> = {
  envelope_parse: envelopeParse,
  envelope_seal: envelopeSeal,
  envelope_open: envelopeOpen,
  content_parse: contentParse,
  resend_parse: resendParse,
}
