/**
 * Ids and their sizes.
 *
 * Source: spec/conventions.md, "Types".
 */

/** Bytes that are ours alone: never a view of shared memory. */
export type Bytes = Uint8Array<ArrayBuffer>

declare const brand: unique symbol
type Branded<T, B extends string> = T & { readonly [brand]: B }

/** 32 bytes; self-certifying name of an account; known to the owner and the contacts only. */
export type Usid = Branded<Bytes, "Usid">
/** 32 bytes; SHA-256 of the USID; what the relay knows. */
export type Address = Branded<Bytes, "Address">
/** 1 to 255; never reused within an account. */
export type DeviceId = Branded<number, "DeviceId">
/** 32 bytes; hash over the keys of an account or a device. */
export type Fingerprint = Branded<Bytes, "Fingerprint">
/** 8 bytes; derived by both sides from the handshake. */
export type SessionId = Branded<Bytes, "SessionId">
/** 16 random bytes inside the encryption; the same in every resend. */
export type MessageId = Branded<Bytes, "MessageId">
/** 16 random bytes the relay sees; fresh for each recipient device ("envelope id" in spec/delivery.md). */
export type EnvelopeId = Branded<Bytes, "EnvelopeId">
/** 16 bytes; names a conversation inside the encryption. */
export type ConversationId = Branded<Bytes, "ConversationId">
/** 32 random bytes, fresh for every offer of a file; all else about the file is derived from it. */
export type FileKey = Branded<Bytes, "FileKey">
/** 1 to 2^32-1; never reused by a device. */
export type PrekeyId = Branded<number, "PrekeyId">
/** Milliseconds since 1970-01-01 UTC. */
export type Millis = Branded<number, "Millis">

export const HASH_SIZE = 32
export const KEY_SIZE = 32
export const SIGNATURE_SIZE = 64
export const SESSION_ID_SIZE = 8
export const MESSAGE_ID_SIZE = 16
export const ACCESS_KEY_SIZE = 16
export const MAX_DEVICE_ID = 255
export const MAX_PREKEY_ID = 2 ** 32 - 1

export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR
