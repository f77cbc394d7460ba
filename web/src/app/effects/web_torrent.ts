/**
 * WebTorrent as this page uses it: fetched when it is first needed, and no more of its shape than that.
 *
 * Its file is served as it is published; it makes no code from text, so the page's policy holds for it as for ours.
 */

import { TransportError } from "../../core/errors"
import address from "webtorrent/dist/webtorrent.min.js?url"

/** One connection to a peer, over which BitTorrent is spoken. */
export interface Wire {
  /** Random, drawn by the peer. */
  readonly peerId: string
  readonly peerPieces: { get(index: number): boolean }
  /** Takes in how many bytes came, and returns bytes a second, by which WebTorrent decides how far it asks ahead. */
  downloadSpeed: (received?: number) => number
  on(event: "piece", listener: (index: number) => void): void
  on(event: "close", listener: () => void): void
  destroy(): void
}

/** A connection by WebRTC. */
export interface Connection {
  readonly _pc?: RTCPeerConnection | null
  destroy(): void
}

/** What WebTorrent keeps about a peer; the connection is there while it lasts. */
interface Peer {
  readonly conn: Connection | null
}

/** The tracker's socket; these are its own fields in 3.0.21, which is the version that is pinned. */
export interface TrackerSocket {
  reconnecting: boolean
  reconnectTimer: ReturnType<typeof setTimeout> | undefined
  readonly socket: { readonly connected: boolean } | null
  _openSocket(): void
}

export interface Torrent {
  readonly name: string
  readonly length: number
  readonly pieceLength: number
  readonly pieces: readonly unknown[]
  readonly private: boolean | undefined
  readonly files: readonly { readonly length: number }[]
  readonly downloaded: number
  readonly uploaded: number
  readonly downloadSpeed: number
  readonly uploadSpeed: number
  readonly numPeers: number
  readonly done: boolean
  readonly wires: readonly Wire[]
  /** Null once it was ended. */
  readonly _peers: ReadonlyMap<string, Peer> | null
  readonly discovery?: { readonly tracker: { readonly _trackers: readonly TrackerSocket[]; update(): void } | null }
  on(event: "metadata" | "done" | "ready", listener: () => void): void
  on(event: "wire", listener: (wire: Wire) => void): void
  on(event: "verified", listener: (index: number) => void): void
  on(event: "error" | "warning", listener: (error: Error) => void): void
}

export type PieceRead = (error: Error | null, piece?: Uint8Array) => void

/** Where WebTorrent keeps pieces (abstract-chunk-store). */
export interface PieceStore {
  readonly chunkLength: number
  put(index: number, piece: Uint8Array, done: (error: Error | null) => void): void
  get(index: number, options: unknown, done?: PieceRead): void
  close(done: (error: Error | null) => void): void
  destroy(done: (error: Error | null) => void): void
}

export interface ClientOptions {
  readonly dht: false
  readonly lsd: false
  readonly utPex: false
  readonly natUpnp: false
  readonly natPmp: false
  readonly webSeeds: false
  readonly maxConns: number
  readonly tracker: {
    readonly rtcConfig: RTCConfiguration
    readonly getAnnounceOpts: () => { readonly numwant: number }
  }
}

export interface TorrentOptions {
  readonly announce: readonly string[]
  readonly store: new (chunkLength: number) => PieceStore
  readonly storeCacheSlots: number
  readonly skipVerify: boolean
}

export interface TorrentClient {
  add(torrent: Uint8Array | { readonly infoHash: string }, options: TorrentOptions): Torrent
  on(event: "error", listener: (error: Error) => void): void
  destroy(done: () => void): void
}

export type WebTorrent = new (options: ClientOptions) => TorrentClient

let loading: Promise<WebTorrent> | null = null
let tries = 0

/**
 * Load the library, once.
 *
 * A module that could not be fetched stays failed at its address for as long as the page lives, so another try has
 * another address.
 *
 * @throws TransportError: it can't be fetched now.
 */
export function loadWebTorrent(): Promise<WebTorrent> {
  loading ??= load().catch((error: unknown) => {
    loading = null
    throw error
  })
  return loading
}

async function load(): Promise<WebTorrent> {
  const at = new URL(address, document.baseURI)
  if (tries++ > 0) at.search = String(tries)
  const loaded = await (import(/* @vite-ignore */ at.href) as Promise<{ readonly default: WebTorrent }>).catch(() => {
    throw new TransportError("can't fetch a part of this page")
  })
  return loaded.default
}
