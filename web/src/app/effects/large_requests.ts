/**
 * Eight blocks in one request, from peers that answer that: a message of 16 KiB costs as much as one of 128.
 *
 * WebTorrent asks for blocks of 16 KiB, as every BitTorrent program takes them, and answers requests of up to 128 KiB. Of
 * others only that is known which they say, so they are asked as ever.
 *
 * Source: BEP 3, "request"; BEP 20 (peer ids); webtorrent 3.0.21, MAX_BLOCK_LENGTH.
 */

import type { Answer, Wire } from "./web_torrent"

const BLOCK = 16_384
const MOST = 8 // blocks; more than 128 KiB ends the connection
const WEB_TORRENT = "2d5757" // "-WW", in hex

interface Asked {
  readonly piece: number
  readonly offset: number
  readonly answers: Answer[]
  length: number
}

/** Join the requests for blocks that follow one another, if this peer answers such requests. */
export function askForMany(wire: Wire): void {
  if (!wire.peerId.startsWith(WEB_TORRENT)) return
  const ask = wire.request.bind(wire)
  let joined: Asked | null = null
  const send = (): void => {
    if (joined === null) return
    const { piece, offset, length, answers } = joined
    joined = null
    ask(piece, offset, length, (error, found) => {
      for (const [at, answer] of answers.entries()) {
        answer(error, found && found.subarray(at * BLOCK, (at + 1) * BLOCK))
      }
    })
  }
  wire.request = (piece, offset, length, answer) => {
    if (joined?.piece !== piece || joined.offset + joined.length !== offset) {
      send()
      joined = { piece, offset, length: 0, answers: [] }
      queueMicrotask(send)
    }
    joined.length += length
    joined.answers.push(answer)
    // Whoever asks counts requests that are sent: so many are sent at once.
    if (joined.answers.length === MOST || length < BLOCK) send()
  }
  // By it WebTorrent decides how many requests may be open, each for one block.
  const speed = wire.downloadSpeed
  wire.downloadSpeed = (received) => speed(received) / MOST
}
