/** An HTTP and WebSocket server on loopback that answers as a test says, right or wrong. */

import { createHash } from "node:crypto"
import { once } from "node:events"
import { createServer } from "node:http"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"

const WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455 section 1.3
const BINARY = 2
export const TEXT = 1
const CLOSE = 8

/** The server's end of one WebSocket. */
export class ServerSocket {
  readonly #raw: Duplex

  constructor(raw: Duplex) {
    this.#raw = raw
  }

  /** Send one message. */
  send(payload: Uint8Array, opcode = BINARY): void {
    const size = payload.length
    const long = Buffer.alloc(8)
    long.writeBigUInt64BE(BigInt(size))
    const length = size < 126 ? [size] : size < 65_536 ? [126, ...long.subarray(6)] : [127, ...long]
    this.#raw.write(Buffer.concat([Buffer.of(0x80 | opcode, ...length), payload]))
  }

  /** Send a close frame, and end the connection behind it. */
  close(code: number): void {
    this.send(Uint8Array.of(code >> 8, code & 255), CLOSE)
    this.#raw.end()
  }

  /** Run at every piece of data from the client. */
  onData(listener: () => void): void {
    this.#raw.on("data", listener)
  }

  /** Resolve when the client has sent a close frame, the last thing it sends; then end the connection. */
  async closed(): Promise<void> {
    const [data] = (await once(this.#raw, "data")) as [Buffer]
    if ((data[0] ?? 0) % 16 !== CLOSE) throw new Error("no close frame")
    this.#raw.end()
  }
}

/** What a test decides. */
export interface Lies {
  /** Answers a call. */
  readonly answer?: (request: IncomingMessage, response: ServerResponse) => void
  /** Talks on a WebSocket. */
  readonly talk?: (socket: ServerSocket) => void
  /** Subprotocol chosen; null chooses none. */
  readonly subprotocol?: string | null
}

/** One lying server, and what it was asked. */
export class LyingRelay {
  readonly origin: string
  readonly requests: IncomingMessage[] = []
  readonly #server: Server
  readonly #sockets = new Set<Duplex>()

  private constructor(server: Server, port: number) {
    this.#server = server
    this.origin = `http://127.0.0.1:${port}`
  }

  /** Start it on a free port. */
  static async start(lies: Lies): Promise<LyingRelay> {
    const server = createServer()
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    if (address === null || typeof address === "string") throw new Error("no port")
    const relay = new LyingRelay(server, address.port)
    server.on("request", (request, response) => {
      relay.requests.push(request)
      lies.answer?.(request, response)
    })
    server.on("upgrade", (request, raw) => {
      relay.requests.push(request)
      relay.#upgrade(request, raw, lies)
    })
    return relay
  }

  /** End it and every connection. */
  async end(): Promise<void> {
    for (const raw of this.#sockets) raw.destroy()
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, "close")
  }

  #upgrade(request: IncomingMessage, raw: Duplex, lies: Lies): void {
    this.#sockets.add(raw)
    raw.on("error", () => undefined)
    const { subprotocol = "halonyx.1" } = lies
    const key = request.headers["sec-websocket-key"] ?? ""
    const accept = createHash("sha1").update(key + WEBSOCKET_GUID).digest("base64")
    const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    lines.push(`Sec-WebSocket-Accept: ${accept}`)
    if (subprotocol !== null) lines.push(`Sec-WebSocket-Protocol: ${subprotocol}`)
    raw.write(`${lines.join("\r\n")}\r\n\r\n`)
    const socket = new ServerSocket(raw)
    lies.talk?.(socket)
  }
}
