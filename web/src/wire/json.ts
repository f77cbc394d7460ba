/**
 * JSON as REST bodies use it: exact fields, strict types, bytes as base64url.
 *
 * Source: spec/delivery.md, "REST".
 */

import { decodeBase64url, encodeBase64url, utf8 } from "../core/encoding"
import { Malformed, Misuse } from "../core/errors"
import type { Bytes } from "../core/types"

/** Makes an answer of parsed JSON (Malformed if it is none). */
export type Parse<Answer> = (value: unknown) => Answer

/**
 * Return JSON in UTF-8 with names in snake case and bytes as base64url.
 *
 * @throws Misuse: a number that JSON does not keep exactly.
 */
export function encodeJson(value: object): Bytes {
  return utf8(JSON.stringify(plain(value)))
}

/** Take an object with exactly these fields. */
export function object(value: unknown, names: readonly string[]): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw new Malformed("no object")
  if (Object.keys(value).length !== names.length || !names.every((name) => Object.hasOwn(value, name))) {
    throw new Malformed("an object with other fields")
  }
  return value
}

/** Take a list of at most `longest`. */
export function list<Item>(value: unknown, parse: Parse<Item>, longest = Infinity): readonly Item[] {
  if (!Array.isArray(value) || value.length > longest) throw new Malformed("no list within its bound")
  return value.map((item: unknown) => parse(item))
}

/** Take a value or null. */
export function orNull<Value>(value: unknown, parse: Parse<Value>): Value | null {
  return value === null ? null : parse(value)
}

/** Take a string of at most `longest` UTF-16 units. */
export function text(value: unknown, longest = Infinity): string {
  if (typeof value !== "string" || value.length > longest) throw new Malformed("no text within its bound")
  return value
}

/** Take true or false. */
export function truth(value: unknown): boolean {
  if (typeof value !== "boolean") throw new Malformed("no truth value")
  return value
}

/** Take an integer within its bounds; without bounds, one that a number holds exactly. */
export function integer(value: unknown, minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < minimum || value > maximum) {
    throw new Malformed("no integer within its bounds")
  }
  return value
}

/** Take base64url of `minimum` to `maximum` bytes. */
export function bytes(value: unknown, minimum: number, maximum = minimum): Bytes {
  const data = decodeBase64url(text(value))
  if (data.length < minimum || data.length > maximum) throw new Malformed("not base64url of the right size")
  return data
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return encodeBase64url(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new Misuse("a number that JSON does not keep")
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [snakeCase(name), plain(part)]))
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
