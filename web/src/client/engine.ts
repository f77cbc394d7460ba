/**
 * What the page does for the Worker: WebRTC is only there, so the torrents run there; all else about them is in the Worker.
 *
 * Source: spec/files.md, "Torrent"; spec/file-relay.md.
 */

import type { Bytes } from "../core/types"
import type { TransferPath } from "./api"

/** The one tab that holds it runs the torrents of all. */
export const FILES_LOCK = "files"

/** What an RTCIceServer takes. */
export interface IceServer {
  readonly urls: readonly string[]
  readonly username: string
  readonly credential: string
}

/** A torrent that should run now. Two that differ in nothing are the same torrent. */
export interface Job {
  /** Of the transfer. */
  readonly id: string
  /** Hex. */
  readonly infoHash: string
  /** The torrent file of what we offer; null: to be fetched. */
  readonly torrent: Bytes | null
  /** Address of the tracker, with the token. */
  readonly tracker: string
  /** Of the ciphertext, in bytes. */
  readonly size: number
  /** "relay": no candidate of our own address may be offered. */
  readonly policy: "all" | "relay"
  readonly iceServers: readonly IceServer[]
}

/** How a torrent goes; speeds in bytes per second. */
export interface Progress {
  readonly id: string
  readonly done: number
  readonly down: number
  readonly up: number
  /** Since it was started in this tab. */
  readonly uploaded: number
  readonly peers: number
  readonly path: TransferPath | null
  readonly isTrackerReached: boolean
}

/** Why a torrent ended by itself. */
export type Failure = "wrong-metadata" | "wrong-hash" | "disk-full" | "internal"

/** The calls of the tab that runs the torrents. */
export interface Engine {
  /** What should run now; asked again after each Change "transfer" or "contacts". */
  fileJobs(): Promise<readonly Job[]>
  reportFiles(progress: readonly Progress[]): Promise<void>
  /** @throws HalonyxError `gone`: there is no ciphertext. */
  readPiece(id: string, index: number): Promise<Bytes>
  /** @throws HalonyxError `disk-full`. */
  writePiece(id: string, index: number, piece: Bytes): Promise<void>
  /** A torrent does not run any more: what it wrote is put on the disk. */
  closePieces(id: string): Promise<void>
  /** Every piece is here. */
  fileArrived(id: string): Promise<void>
  fileFailed(id: string, failure: Failure): Promise<void>
}
