/**
 * Runs vectors/*.json, the known answers that every implementation reproduces.
 *
 * Imports no Node module: the same code runs in Node and in a page.
 */

import { fromHex, toHex } from "../../src/core/encoding"
import { HalonyxError } from "../../src/core/errors"
import type { Bytes, Millis } from "../../src/core/types"

/** What a runner returns: every value that results; `plain` makes JSON of it. */
export type Output = Readonly<Record<string, unknown>>

/** Does one operation with a vector's input. */
export type Runner = (given: Fields) => Output | Promise<Output>

type Values = Readonly<Record<string, unknown>>

/** One known answer; `expect` is "ok" or an error code, `output` is undefined for a refusal. */
export interface Vector {
  readonly file: string
  readonly name: string
  readonly spec: string
  readonly operation: string
  readonly input: Values
  readonly expect: string
  readonly output: Values | undefined
}

/** One vector that did not do what its file says. */
export interface Failure {
  readonly name: string
  readonly reason: string
}

const FIELDS_OF_A_VECTOR = new Set(["name", "spec", "operation", "input", "expect", "output"])

/** A JSON object whose every field must be read. */
export class Fields {
  readonly #values: Values
  readonly #unread: Set<string>
  readonly #inside: Fields[] = []

  constructor(values: Values) {
    this.#values = values
    this.#unread = new Set(Object.keys(values))
  }

  /** Return bytes. */
  hex(name: string): Bytes {
    return fromHex(this.text(name))
  }

  /** Return bytes, or null. */
  hexOrNull(name: string): Bytes | null {
    return this.isNull(name) ? null : this.hex(name)
  }

  /** Return a list of bytes. */
  hexes(name: string): readonly Bytes[] {
    return this.#list(name).map((item) => fromHex(stringOf(name, item)))
  }

  /** Return a string. */
  text(name: string): string {
    return stringOf(name, this.#take(name))
  }

  /** Return a list of strings. */
  texts(name: string): readonly string[] {
    return this.#list(name).map((item) => stringOf(name, item))
  }

  /** Return an integer that a number holds exactly. */
  number(name: string): number {
    const value = this.#take(name)
    if (!Number.isSafeInteger(value)) throw new TypeError(`${name} is no integer`)
    return Number(value)
  }

  /** Return an integer in the form u64 fields have. */
  u64(name: string): bigint {
    return BigInt(this.number(name))
  }

  /** Return a time. */
  millis(name: string): Millis {
    return this.number(name) as Millis
  }

  /** Return an object. */
  inside(name: string): Fields {
    return this.#keep(name, this.#take(name))
  }

  /** Return an object, or null. */
  insideOrNull(name: string): Fields | null {
    return this.isNull(name) ? null : this.inside(name)
  }

  /** Return a list of objects. */
  allInside(name: string): readonly Fields[] {
    return this.#list(name).map((item) => this.#keep(name, item))
  }

  /** Tell whether a field is null. */
  isNull(name: string): boolean {
    return this.#take(name) === null
  }

  /** Return the names nobody asked for, objects inside included. */
  unread(): readonly string[] {
    return [...this.#unread, ...this.#inside.flatMap((part) => part.unread())]
  }

  #take(name: string): unknown {
    if (!Object.hasOwn(this.#values, name)) throw new TypeError(`there is no ${name}`)
    this.#unread.delete(name)
    return this.#values[name]
  }

  #list(name: string): readonly unknown[] {
    const value = this.#take(name)
    if (!Array.isArray(value)) throw new TypeError(`${name} is no list`)
    return value
  }

  #keep(name: string, value: unknown): Fields {
    const part = new Fields(objectOf(name, value))
    this.#inside.push(part)
    return part
  }
}

/** Fail a vector for a reason of the runner's own; never a refusal that a vector expects. */
export function check(isRight: boolean, reason: string): asserts isRight {
  if (!isRight) throw new TypeError(reason)
}

/** Return one file's vectors; a field that is none of Vector's fails. */
export function readVectors(file: string, document: unknown): readonly Vector[] {
  const { vectors } = objectOf(file, document)
  check(Array.isArray(vectors), `${file} has no vectors`)
  return vectors.map((found: unknown) => {
    const values = objectOf(file, found)
    const unknown = Object.keys(values).filter((name) => !FIELDS_OF_A_VECTOR.has(name))
    check(unknown.length === 0, `${file}: unknown field ${unknown.join(", ")}`)
    const text = (name: string): string => stringOf(`${file}: ${name}`, values[name])
    return {
      file,
      name: text("name"),
      spec: text("spec"),
      operation: text("operation"),
      input: objectOf("input", values["input"]),
      expect: text("expect"),
      output: values["output"] === undefined ? undefined : objectOf("output", values["output"]),
    }
  })
}

/** Return what a vector is called in a report. */
export function titleOf(vector: Vector): string {
  return `${vector.file}: ${vector.operation}: ${vector.name}`
}

/** Return a value as JSON holds it: bytes as lowercase hex, bigint as number, undefined as null. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === "bigint") {
    check(value <= BigInt(Number.MAX_SAFE_INTEGER), "a u64 that JSON does not hold")
    return Number(value)
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]))
  }
  return value === undefined ? null : value
}

/** Run one vector; returns why it fails, or null. */
export async function failureOf(vector: Vector, runners: ReadonlyMap<string, Runner>): Promise<string | null> {
  const run = runners.get(vector.operation)
  if (run === undefined) return `no runner for ${vector.operation}`
  const given = new Fields(vector.input)
  let found: unknown
  try {
    found = plain(await run(given))
  } catch (error) {
    if (!(error instanceof HalonyxError)) return `failed: ${String(error)}`
    if (error.code !== vector.expect) return `expected ${vector.expect}, got ${error.code}: ${error.message}`
    return vector.output === undefined ? null : "a refusal with an output"
  }
  if (vector.expect !== "ok") return `expected ${vector.expect}, was not refused`
  const unread = given.unread()
  return unread.length > 0 ? `not read: ${unread.join(", ")}` : difference("output", found, vector.output)
}

/** Say where two JSON values differ first, or null. */
export function difference(at: string, found: unknown, expected: unknown): string | null {
  if (!isContainer(found) || !isContainer(expected) || Array.isArray(found) !== Array.isArray(expected)) {
    return Object.is(found, expected) ? null : `${at} is ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`
  }
  for (const name of new Set([...Object.keys(found), ...Object.keys(expected)])) {
    if (!Object.hasOwn(found, name)) return `${at}.${name} is missing`
    if (!Object.hasOwn(expected, name)) return `${at}.${name} is in no vector`
    const reason = difference(`${at}.${name}`, found[name], expected[name])
    if (reason !== null) return reason
  }
  return null
}

function isContainer(value: unknown): value is Values {
  return typeof value === "object" && value !== null
}

function objectOf(name: string, value: unknown): Values {
  if (!isContainer(value) || Array.isArray(value)) throw new TypeError(`${name} is no object`)
  return value
}

function stringOf(name: string, value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`${name} is no string`)
  return value
}
