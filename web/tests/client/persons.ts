/** People at the client: a database each, real clients on it, and a real relay between them. */

import "fake-indexeddb/auto"
import "./locks"

import { setTimeout as sleep } from "node:timers/promises"

import type { Change, Contact, Entry, Notice } from "../../src/client/api"
import { Client } from "../../src/client/client"
import { configureReach } from "../../src/client/reach"
import { Disk } from "./disk"

const HANGING_MILLIS = 40_000 // a bound against hanging, not a measurement
const POLL_MILLIS = 10

let made = 0
const open = new Set<Client>()
const disks = new Map<string, Disk>() // by database

/** One tab of one browser. */
export class Tab {
  readonly client: Client
  /** All that its page was told. */
  readonly changes: Change[]
  /** What its page does with each. */
  page: (change: Change) => void = () => undefined

  private constructor(client: Client, changes: Change[]) {
    this.client = client
    this.changes = changes
  }

  /**
   * Open a tab on a browser's database; a fresh one without a name.
   *
   * @param prepare Asks the server of the page, which tests have none of.
   */
  static async open(name = `person-${++made}-${process.pid}`, prepare?: () => Promise<string>): Promise<Tab> {
    const changes: Change[] = []
    const disk = disks.get(name) ?? new Disk()
    disks.set(name, disk)
    const root = () => Promise.resolve(disk)
    const onChange = (change: Change): void => {
      changes.push(change)
      tab?.page(change)
    }
    let tab: Tab | null = null
    const client = await Client.open({ name, root, onChange, ...(prepare && { prepare }) })
    open.add(client)
    return (tab = new Tab(client, changes))
  }

  /** What lies in this browser's private file system. */
  get disk(): Disk {
    const disk = disks.get(this.client.store.name)
    if (disk === undefined) throw new Error("no disk")
    return disk
  }

  /** Open another tab of the same browser. */
  another(): Promise<Tab> {
    return Tab.open(this.client.store.name)
  }

  async close(): Promise<void> {
    open.delete(this.client)
    await this.client.close()
  }

  /** Return the contact of this name. */
  async contact(name: string): Promise<Contact> {
    const found = (await this.client.conversations()).find(({ contact }) => contact.name === name)
    if (found === undefined) throw new Error(`no contact ${name}`)
    return found.contact
  }

  async write(name: string, text: string): Promise<Entry> {
    return this.client.send((await this.contact(name)).id, text)
  }

  /** Return the conversation with someone, oldest first. */
  async talk(name: string): Promise<readonly Entry[]> {
    return this.client.messages((await this.contact(name)).id, null, 1000)
  }

  /** Return what someone wrote. */
  async heard(name: string): Promise<readonly string[]> {
    return (await this.talk(name)).filter((entry) => !entry.outgoing).map((entry) => entry.text)
  }

  /** Return the states of what was written to someone. */
  async states(name: string): Promise<readonly string[]> {
    return (await this.talk(name)).filter((entry) => entry.outgoing).map((entry) => entry.state)
  }

  async notices(name: string): Promise<readonly Notice[]> {
    return this.client.notices((await this.contact(name)).id)
  }
}

/** Say that pages may reach these relays, as their meta element would. */
export function mayReach(...origins: readonly string[]): void {
  configureReach(origins.join(" "), "http://page.invalid")
}

/** Open a tab and make an account in it. */
export async function signUp(origin: string): Promise<Tab> {
  const tab = await Tab.open()
  await tab.client.createAccount(origin)
  return tab
}

/** Let each add the other's card. */
export async function introduce(alice: Tab, bob: Tab): Promise<void> {
  await alice.client.addContact(await bob.client.card(), "bob")
  await bob.client.addContact(await alice.client.card(), "alice")
}

/** Return two people who know each other and have written both ways. */
export async function talking(origin: string): Promise<readonly [Tab, Tab]> {
  const [alice, bob] = [await signUp(origin), await signUp(origin)]
  await introduce(alice, bob)
  await alice.write("bob", "hello")
  await until(async () => (await bob.heard("alice")).length === 1)
  await bob.write("alice", "hello yourself")
  await until(async () => (await alice.states("bob"))[0] === "delivered")
  await until(async () => (await bob.states("alice"))[0] === "delivered")
  return [alice, bob]
}

/** Wait until something is so. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + HANGING_MILLIS
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`never: ${isSo.toString()}`)
    await sleep(POLL_MILLIS)
  }
}

/** Close every tab that a test left open. */
export async function closeAll(): Promise<void> {
  const all = [...open]
  open.clear()
  await Promise.all(all.map((client) => client.close()))
}
