/** Relays that lie, as processes; what is expected of each lie stands beside the Python client's tests, for both. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"

import table from "../../../tests/hostile/lies.json"
import { lacksReceipt } from "../../src/app/models/receipts"
import { DAY } from "../../src/core/types"
import { RelayProcess } from "../relay_process"
import { Tab, closeAll, mayReach } from "../client/persons"

const DEMO = fileURLToPath(new URL("../../../demo", import.meta.url))
const PATIENT = 120_000
const QUIET_MILLIS = 300 // in which a notice too many would come

type Lie = keyof typeof table.lies

/** A relay that lies from `begin` to `end`. */
export class Liar {
  readonly origin: string
  readonly #relay: RelayProcess
  readonly #folder: string
  readonly #lie: Lie

  private constructor(lie: Lie, relay: RelayProcess, folder: string) {
    this.#lie = lie
    this.#relay = relay
    this.#folder = folder
    this.origin = relay.origin
  }

  static async start(lie: Lie): Promise<Liar> {
    const folder = mkdtempSync(join(tmpdir(), "halonyx-liar-"))
    const options = ["--cards", join(folder, "cards"), "--while", join(folder, "lying")]
    const relay = await RelayProcess.start({ PYTHONPATH: DEMO }, ["lying_relay", lie, ...options])
    mayReach(relay.origin)
    return new Liar(lie, relay, folder)
  }

  /** Lie from now on, with the cards of these people. */
  async begin(...people: readonly Tab[]): Promise<void> {
    const cards = await Promise.all(people.map(({ client }) => client.card()))
    writeFileSync(join(this.#folder, "cards"), cards.join("\n"))
    writeFileSync(join(this.#folder, "lying"), "")
  }

  end(): void {
    rmSync(join(this.#folder, "lying"))
  }

  async remove(): Promise<void> {
    await this.#relay.remove()
    rmSync(this.#folder, { recursive: true })
  }

  /** Check what became of the message, and everything that these people were told. */
  async comesTo(state: string, ...people: readonly Tab[]): Promise<void> {
    await sleep(QUIET_MILLIS)
    const told: string[] = []
    for (const tab of people) told.push(...(await noticesOf(tab)))
    expect({ state, notices: [...new Set(told)].sort() }).toEqual(table.lies[this.#lie].web)
  }
}

/** Run a test with a relay that tells a lie. */
export function lie(name: Lie, run: (liar: Liar) => Promise<void>): void {
  test(name, { timeout: PATIENT }, async () => {
    const liar = await Liar.start(name)
    try {
      await run(liar)
    } finally {
      await closeAll()
      await liar.remove()
    }
  })
}

/** Return how far a message to someone got and what it waits for, a day after it was written. */
export async function stateOf(tab: Tab, name: string, text: string): Promise<string> {
  const entry = (await tab.talk(name)).find((written) => written.outgoing && written.text === text)
  if (entry === undefined) throw new Error(`no message ${text}`)
  if (lacksReceipt(entry, entry.time + DAY)) return `${entry.state}, no receipt yet`
  const { frozen, waitsFor } = await tab.contact(name)
  return entry.state === "waiting" ? `waiting ${frozen ?? waitsFor ?? ""}` : entry.state
}

/** Return kind and code of all that a person was told. */
export async function noticesOf({ client }: Tab): Promise<readonly string[]> {
  const contacts = (await client.conversations()).map(({ contact }) => contact.id)
  const notices = await Promise.all([null, ...contacts].map((contact) => client.notices(contact)))
  return notices.flat().map(({ kind, data }) => ("code" in data ? `${kind} ${String(data["code"])}` : kind))
}
