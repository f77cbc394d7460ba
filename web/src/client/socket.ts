/**
 * One WebSocket to a relay: whole frames in the order they came, bounded, with a time limit and a reason for its end.
 *
 * Source: spec/delivery.md, "Frames".
 */

import { Misuse, TransportError } from "../core/errors"
import type { HalonyxError } from "../core/errors"
import { SECOND } from "../core/types"
import type { Bytes } from "../core/types"
import { CloseCode, MAX_FRAME, SUBPROTOCOL } from "../wire/frames"
import { DeviceReplaced, Refused } from "./refused"

export const CONNECT_MILLIS = 5 * SECOND
// A page can't slow a WebSocket down. The relay sends at most 1 MiB ahead of our ACK unless its operator allows more.
const MAX_QUEUED = 16 * 1024 * 1024
const QUEUED_OVERHEAD = 256 // so that tiny frames are bounded too

/** Nothing came for as long as was waited. */
export class Silence extends TransportError {}

/** One WebSocket of binary frames, read by one reader at a time. */
export class Socket {
  readonly origin: string
  readonly #raw: WebSocket
  readonly #frames: Bytes[] = []
  #queued = 0
  #hasOpened = false
  #end: HalonyxError | null = null
  #wake: (() => void) | null = null

  private constructor(raw: WebSocket, origin: string) {
    this.origin = origin
    this.#raw = raw
    raw.binaryType = "arraybuffer"
    raw.onopen = () => {
      this.#hasOpened = true // and the relay chose our subprotocol: without it the browser fails the connection
      this.#wake?.()
    }
    raw.onmessage = (event: MessageEvent<unknown>) => {
      this.#take(event.data)
    }
    raw.onerror = () => {
      this.#finish(new TransportError(`the connection to ${origin} was lost`))
    }
    raw.onclose = (event) => {
      this.#finish(this.#reasonFor(event.code))
    }
  }

  /**
   * Connect.
   *
   * @param url `wss://…` with the path.
   * @param origin The relay's, which challenge and login name.
   * @param closed Aborting it closes the socket.
   * @throws TransportError: no WebSocket within five seconds.
   */
  static async open(url: string, origin: string, closed: AbortSignal): Promise<Socket> {
    const socket = new Socket(connect(url, origin), origin)
    closed.addEventListener("abort", socket.close)
    socket.#raw.addEventListener("close", () => {
      closed.removeEventListener("abort", socket.close)
    })
    await socket.#news(CONNECT_MILLIS)
    if (socket.#hasOpened) return socket
    socket.close()
    throw new TransportError(`can't reach the relay ${origin}`)
  }

  /**
   * Send one frame; it waits in the browser until the network takes it.
   *
   * Measured in Chromium 156: a frame over 65,536 bytes may be split, and the relay refuses fragments (1002). Only a SUBMIT
   * with the largest bucket is so long; the longest text takes half of it.
   *
   * @throws TransportError: the connection is gone. Refused: as `receive`.
   */
  send(frame: Bytes): void {
    if (this.#end !== null) throw this.#end
    if (this.#raw.readyState !== WebSocket.OPEN) throw new TransportError(`the connection to ${this.origin} was lost`)
    this.#raw.send(frame)
  }

  /**
   * Wait for one frame.
   *
   * @param millis Null waits as long as the connection lives.
   * @throws TransportError: the connection is gone. Silence: nothing came in time.
   * Refused: the relay closed it for a reason that trying again does not mend.
   * Misuse: another receive is waiting.
   */
  async receive(millis: number | null): Promise<Bytes> {
    if (this.#wake !== null) throw new Misuse("a socket has one reader")
    if (this.#frames.length === 0 && this.#end === null) await this.#news(millis)
    const frame = this.#frames.shift()
    if (frame !== undefined) {
      this.#queued -= frame.length + QUEUED_OVERHEAD
      return frame
    }
    throw this.#end ?? new Silence(`the relay ${this.origin} does not answer`)
  }

  /** Whether a frame has come that was not read yet. */
  get hasMore(): boolean {
    return this.#frames.length > 0
  }

  /** Close it and forget what was not read; errors no longer matter. */
  readonly close = (): void => {
    this.#frames.length = 0
    this.#finish(new TransportError("the connection is closed"))
    this.#raw.close(CloseCode.NORMAL)
  }

  #take(data: unknown): void {
    if (this.#end !== null) return
    if (!(data instanceof ArrayBuffer) || data.byteLength > MAX_FRAME) {
      this.#fail("sent something that is no frame")
      return
    }
    this.#queued += data.byteLength + QUEUED_OVERHEAD
    if (this.#queued > MAX_QUEUED) {
      this.#fail("sends more than it may before it is acknowledged")
      return
    }
    this.#frames.push(new Uint8Array(data))
    this.#wake?.()
  }

  #fail(reason: string): void {
    this.#finish(new TransportError(`the relay ${this.origin} ${reason}`))
    this.#raw.close(CloseCode.NORMAL)
  }

  #finish(end: HalonyxError): void {
    this.#end ??= end
    this.#wake?.()
  }

  /** Wait until something happens, or for a while. */
  async #news(millis: number | null): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      if (millis !== null) timer = setTimeout(resolve, millis)
    })
    this.#wake = null
    clearTimeout(timer)
  }

  #reasonFor(code: number): HalonyxError {
    if (code === CloseCode.NOT_AUTHENTICATED) return new DeviceReplaced()
    if (code === CloseCode.REPLACED) return new Refused("replaced", "another program receives as this device")
    return new TransportError(`the connection to ${this.origin} was closed`)
  }
}

function connect(url: string, origin: string): WebSocket {
  try {
    return new WebSocket(url, SUBPROTOCOL)
  } catch {
    throw new TransportError(`can't reach the relay ${origin}`) // an address that the page's rules forbid
  }
}
