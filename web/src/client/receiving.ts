/**
 * Reading our mailbox: log in, take in, acknowledge, and again after every loss of connection.
 *
 * Source: spec/delivery.md, "Inbox".
 */

import { sameBytes } from "../core/encoding"
import { BadSignature, RemoteError, TransportError, type HalonyxError } from "../core/errors"
import type { Bytes } from "../core/types"
import { RECEIVE_PATH, encode } from "../wire/frames"
import { loadAccount, nowMs } from "./account"
import { Alarm } from "./alarm"
import { takeInAnnouncement } from "./announcements"
import { takeIn } from "./inbox"
import type { Left } from "./prekeys"
import { makeUp } from "./repair"
import * as table from "./schema"
import { Silence, type Socket } from "./socket"
import type { Store } from "./store"
import { DeviceReplaced, IDLE_MILLIS, Refused, Relay, logIn, receiveReply } from "./transport"
import { doubtLogin, noteKnown } from "./upkeep"

const FIRST_PAUSE_MS = 500
const BURST = 32 // of a backlog, receipts go out after so many at the latest
const LONGEST_PAUSE_MS = 30_000

/** One run of receiving; changes as the connection does. */
export class Receiver {
  readonly #store: Store
  readonly #tell: () => void
  readonly #hurried = new Alarm()
  #hasLoggedIn = false
  #problem: HalonyxError | null = null
  #left: Left | null = null
  #pause = FIRST_PAUSE_MS // before the next try; grows until a backlog was delivered
  #relay: Relay | null = null
  #isOver = false

  /**
   * @param tell Called when something may be there to send, and when the connection came or went.
   */
  constructor(store: Store, tell: () => void) {
    this.#store = store
    this.#tell = tell
  }

  /** Whether this run has logged in; it may have lost the connection since. */
  get hasLoggedIn(): boolean {
    return this.#hasLoggedIn
  }

  /** Why there is no connection now, or null. */
  get problem(): HalonyxError | null {
    return this.#problem
  }

  /** One-time prekeys left at the relay, as it said at the last login; told once. */
  takeLeft(): Left | null {
    const left = this.#left
    this.#left = null
    return left
  }

  /** Try to connect now, if it waits for the next try; and soon again: a network that just came may not work yet. */
  hurry(): void {
    this.#pause = FIRST_PAUSE_MS
    this.#hurried.set()
  }

  /** End the run and its connection. */
  stop(): void {
    this.#isOver = true
    this.#relay?.close()
    this.#hurried.set()
  }

  /**
   * Receive until stopped, or until the relay refuses this device.
   *
   * @throws Refused, BadSignature: trying again would not help. StoreError: nothing can be stored.
   */
  async run(): Promise<void> {
    while (!this.#hasEnded()) {
      try {
        await this.#connected()
      } catch (error) {
        if (this.#hasEnded()) return
        if (!(error instanceof TransportError)) throw error
        this.#problem = error
        this.#tell()
      }
      // Spread, so that a relay that restarts is not hit by everyone at once.
      await this.#hurried.wait(this.#pause * (0.5 + Math.random() / 2))
      this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS)
    }
  }

  #hasEnded(): boolean {
    return this.#isOver
  }

  async #connected(): Promise<void> {
    const account = await loadAccount(this.#store)
    if (this.#hasEnded()) return
    const relay = new Relay(account.origin)
    this.#relay = relay
    try {
      const socket = await relay.socket(RECEIVE_PATH)
      const who = [account.address, account.own.device.id] as const
      const hello = { type: "HELLO", epoch: account.epoch, cursor: account.cursor } as const
      const welcome = await logIn(socket, account.relayKey, account.login, who, hello)
      this.#hasLoggedIn = true
      this.#problem = null
      this.#left = [welcome.oneTimeLeft, welcome.oneTimeKemLeft]
      await noteKnown(this.#store, nowMs())
      if (!sameBytes(welcome.epoch, account.epoch)) await this.#beginEpoch(welcome.epoch)
      this.#tell()
      await this.#read(socket, welcome.epoch)
    } catch (error) {
      if (error instanceof DeviceReplaced) await doubtLogin(this.#store)
      if (!(error instanceof RemoteError) || error instanceof Refused || error instanceof BadSignature) throw error
      throw new TransportError(`the relay does not keep to the protocol: ${error.code}`)
    } finally {
      relay.close()
    }
  }

  async #beginEpoch(epoch: Bytes): Promise<void> {
    await this.#store.transaction(async (tx) => {
      await tx.update(table.account, 1, { epoch, cursor: 0n })
      await makeUp(tx, nowMs())
    })
  }

  /** Take in what comes; returns when nothing came for so long that the connection may be dead. */
  async #read(socket: Socket, epoch: Bytes): Promise<void> {
    const account = await loadAccount(this.#store)
    for (let untold = 0; ; ) {
      const frame = await receiveReply(socket, IDLE_MILLIS).catch((error: unknown) => {
        if (error instanceof Silence) return null
        throw error
      })
      if (frame === null) return
      if (frame.type === "DELIVER") {
        // Committed before it is acknowledged: the relay deletes on acknowledgement.
        await takeIn(this.#store, account, frame)
        socket.send(encode({ type: "ACK", epoch, upto: frame.seq }))
        untold += 1
      } else if (frame.type === "ANNOUNCE") {
        await takeInAnnouncement(this.#store, frame.announcement, nowMs())
      } else if (frame.type === "CAUGHT_UP") {
        this.#pause = FIRST_PAUSE_MS
      } else {
        throw new TransportError("the relay sent a frame that does not belong here")
      }
      if (untold > 0 && (untold >= BURST || !socket.hasMore)) {
        untold = 0
        this.#tell()
      }
    }
  }
}
