/**
 * One torrent that runs: WebTorrent over the Worker's pieces, kept going when tracker or network come and go.
 *
 * Source: spec/files.md, "Torrent".
 */

import type { TransferPath } from "../../client/api"
import type { Engine, Failure, Job, Progress } from "../../client/engine"
import { HalonyxError } from "../../core/errors"
import { Suspects } from "./suspects"
import type { Connection, PieceRead, PieceStore, Torrent, TorrentClient, WebTorrent, Wire } from "./web_torrent"

const PIECE_SIZE = 1_048_576
const NAME = "halonyx"
const CACHED_PIECES = 4
const MAX_PEERS = 8 // a contact has few devices
const OFFERS = 2 // in an announce: two people, so rarely more than one takes any
const RECONNECT_MS = 5000
const FIRST_ANNOUNCE_MS = 5000 // without a peer; twice as long each time: two who call at once may miss each other
const LAST_ANNOUNCE_MS = 20_000
const SILENT_MS = 5000 // WebRTC says "disconnected" after some seconds of nothing, and gives up after half a minute more
const LEAST_SPEED = 8_388_608 // bytes a second
const BAD_PIECE = /^Piece (\d+) failed verification$/
const MAX_BAD_PIECES = 8 // with nobody else to ask: then it is our contact, whose pieces do not fit their own hashes

const MAX_SUSPECTS = 64 // with others to ask: whoever is left may come back under another name

export class RunningTorrent {
  /** The network changed. */
  mustRestart = false
  readonly #engine: Engine
  readonly #client: TorrentClient
  readonly #torrent: Torrent
  readonly #ice: RTCIceServer[]
  #job: Job
  #hasEnded = false
  #stopping: Promise<void> | null = null
  #bad = 0
  #done = 0
  #reconnected = performance.now()
  #announced = performance.now()
  #pause = FIRST_ANNOUNCE_MS
  readonly #silent = new WeakMap<Connection, number>()

  constructor(library: WebTorrent, engine: Engine, job: Job) {
    this.#engine = engine
    this.#job = job
    this.#ice = iceServers(job)
    this.#client = new library({
      dht: false,
      lsd: false,
      utPex: false,
      natUpnp: false,
      natPmp: false,
      webSeeds: false,
      maxConns: MAX_PEERS,
      tracker: {
        // Without one of ours it would ask public servers, which then know who exchanges files when.
        rtcConfig: { iceServers: this.#ice, iceTransportPolicy: job.policy },
        getAnnounceOpts: () => ({ numwant: OFFERS }),
      },
    })
    this.#client.on("error", (error) => { this.#fail(error) })
    this.#torrent = this.#client.add(job.torrent ?? { infoHash: job.infoHash }, {
      announce: [job.tracker],
      store: storeOf(engine, job),
      storeCacheSlots: CACHED_PIECES,
      skipVerify: job.torrent !== null, // made by us
    })
    this.#torrent.on("metadata", () => { this.#check() })
    this.#torrent.on("error", (error) => { this.#fail(error) })
    this.#torrent.on("wire", (wire) => {
      askAhead(wire)
      // Who has all of it may be gone before the next look.
      if (job.torrent !== null) wire.on("close", () => { this.#done = Math.max(this.#done, this.#given(wire)) })
    })
    const suspects = new Suspects(this.#torrent)
    this.#torrent.on("warning", ({ message }) => {
      const [, bad] = BAD_PIECE.exec(message) ?? []
      if (bad === undefined) return
      const isParted = suspects.part(Number(bad))
      if (++this.#bad >= (isParted ? MAX_SUSPECTS : MAX_BAD_PIECES)) this.#end("wrong-hash")
    })
    this.#torrent.on("done", () => {
      if (job.torrent === null && !this.#hasEnded) this.#engine.fileArrived(job.id).catch(report)
    })
  }

  /** Go on under a job if it differs in nothing but new credentials. */
  takes(job: Job): boolean {
    const { id, infoHash, tracker, policy, size } = this.#job
    const isSame = job.id === id && job.infoHash === infoHash && job.tracker === tracker && job.policy === policy
    if (!isSame || job.size !== size || (job.torrent === null) !== (this.#job.torrent === null)) return false
    this.#job = job
    this.#ice.splice(0, Infinity, ...iceServers(job)) // the next connection takes them from here
    return true
  }

  /** End it, and return when the tracker knows and the pieces are on the disk. */
  stop(): Promise<void> {
    this.#hasEnded = true
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  /** Bring back a tracker that went away, sooner than WebTorrent would; ask again for a peer that did. */
  nurse(): void {
    const tracker = this.#torrent.discovery?.tracker
    const now = performance.now()
    this.#dropSilent(now)
    for (const socket of tracker?._trackers ?? []) {
      if (!socket.reconnecting || this.#reconnected + RECONNECT_MS > now || socket.reconnectTimer === undefined) continue
      this.#reconnected = now
      clearTimeout(socket.reconnectTimer)
      socket.reconnectTimer = undefined
      socket._openSocket()
    }
    if (this.#torrent.numPeers > 0) [this.#announced, this.#pause] = [now, FIRST_ANNOUNCE_MS]
    if (this.#announced + this.#pause > now) return
    this.#announced = now
    this.#pause = Math.min(2 * this.#pause, LAST_ANNOUNCE_MS)
    tracker?.update()
  }

  /** Return how it goes, or null if it has ended. */
  async progress(): Promise<Progress | null> {
    if (this.#hasEnded) return null
    const torrent = this.#torrent
    const isSeed = this.#job.torrent !== null
    this.#done = isSeed ? Math.max(this.#done, ...torrent.wires.map((wire) => this.#given(wire))) : torrent.downloaded
    return {
      id: this.#job.id,
      done: Math.min(this.#done, this.#job.size),
      down: Math.round(torrent.downloadSpeed),
      up: Math.round(torrent.uploadSpeed),
      uploaded: torrent.uploaded,
      peers: torrent.numPeers,
      path: torrent.numPeers > 0 ? await this.#path() : null,
      isTrackerReached: torrent.discovery?.tracker?._trackers.some(({ socket }) => socket?.connected === true) ?? false,
    }
  }

  /** End connections over which nothing comes any more: on another way, or when that is back, there is a new one. */
  #dropSilent(now: number): void {
    for (const { conn } of this.#torrent._peers?.values() ?? []) {
      if (conn === null) continue
      if (conn._pc?.iceConnectionState !== "disconnected") this.#silent.delete(conn)
      else if (!this.#silent.has(conn)) this.#silent.set(conn, now)
      else if ((this.#silent.get(conn) ?? now) + SILENT_MS < now) conn.destroy()
    }
  }

  async #stop(): Promise<void> {
    await new Promise<void>((resolve) => { this.#client.destroy(resolve) })
    await this.#engine.closePieces(this.#job.id)
  }

  /** Return how much a peer has. */
  #given({ peerPieces }: Wire): number {
    const count = Math.ceil(this.#job.size / PIECE_SIZE)
    let pieces = 0
    for (let index = 0; index < count; index++) if (peerPieces.get(index)) pieces += 1
    return pieces * PIECE_SIZE
  }

  async #path(): Promise<TransferPath | null> {
    for (const { conn } of this.#torrent._peers?.values() ?? []) {
      const stats = await conn?._pc?.getStats().catch(() => null)
      const path = stats && pathOf(stats)
      if (path) return path
    }
    return null
  }

  /** Take nothing but what the offer says, before anything of it is fetched. */
  #check(): void {
    const { name, length, pieceLength, pieces, files, private: isPrivate } = this.#torrent
    const { size } = this.#job
    const isOurs = name === NAME && pieceLength === PIECE_SIZE && length === size && files.length === 1
    if (!isOurs || isPrivate === true || pieces.length !== Math.ceil(size / PIECE_SIZE)) this.#end("wrong-metadata")
  }

  #fail(error: Error): void {
    if (this.#hasEnded) return
    const code = "code" in error ? error.code : null
    if (code === "gone") this.stop().catch(report) // paused or ended here while a piece was on its way
    else if (code === "disk-full") this.#end(code)
    else {
      report(error)
      this.#end("internal")
    }
  }

  #end(failure: Failure): void {
    if (this.#hasEnded) return
    this.stop().then(() => this.#engine.fileFailed(this.#job.id, failure)).catch(report)
  }
}

/** Say what went wrong, unless it is the Worker's: that has said what it was. */
export function report(error: unknown): void {
  if (!(error instanceof HalonyxError)) console.error(error)
}

function iceServers({ iceServers: servers }: Job): RTCIceServer[] {
  return servers.map(({ urls, username, credential }) => ({ urls: [...urls], username, credential }))
}

/**
 * Ask for half a second of a fast line at least, before the answers come.
 *
 * WebTorrent asks for half a second at the speed it measured: over TURN, where a lost packet stops everything for a
 * moment, it then asked for ever less.
 */
function askAhead(wire: Wire): void {
  const measured = wire.downloadSpeed
  wire.downloadSpeed = (received) => Math.max(measured(received), LEAST_SPEED)
}

/** Say which way the chosen pair of candidates goes. */
function pathOf(stats: RTCStatsReport): TransferPath | null {
  const all = new Map<string, Readonly<Record<string, unknown>>>()
  stats.forEach((value: Readonly<Record<string, unknown>>, key) => all.set(key, value))
  for (const pair of all.values()) {
    if (pair["type"] !== "candidate-pair" || pair["state"] !== "succeeded" || pair["nominated"] !== true) continue
    const ends = [pair["localCandidateId"], pair["remoteCandidateId"]].map((id) => all.get(String(id))?.["candidateType"])
    return ends.includes("relay") ? "relayed" : "direct"
  }
  return null
}

/** Return the class by which WebTorrent reaches the Worker's pieces. */
function storeOf(engine: Engine, { id }: Job): new (chunkLength: number) => PieceStore {
  return class {
    readonly chunkLength: number

    constructor(chunkLength: number) {
      this.chunkLength = chunkLength
    }

    put(index: number, piece: Uint8Array, done: (error: Error | null) => void): void {
      engine.writePiece(id, index, new Uint8Array(piece)).then(() => { done(null) }, done)
    }

    // The cache in front of it leaves the options out, and cuts what it needs.
    get(index: number, options: unknown, last?: PieceRead): void {
      const done = last ?? (options as PieceRead)
      engine.readPiece(id, index).then((piece) => { done(null, piece) }, done)
    }

    close(done: (error: Error | null) => void): void {
      done(null)
    }

    destroy(done: (error: Error | null) => void): void {
      done(null)
    }
  }
}
