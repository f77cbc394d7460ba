/**
 * Which peer sent what fits no hash: it is left, and the download goes on with the others.
 *
 * A piece may be made of parts from several. Then one of them is kept and the others are let go of, so that the next
 * piece tells who it was; whoever is let go of may come back.
 *
 * Source: spec/files.md, "Receiving".
 */

import type { Torrent, Wire } from "./web_torrent"

export class Suspects {
  readonly #torrent: Torrent
  readonly #givers = new Map<number, Set<Wire>>()
  readonly #banned = new Set<string>()
  #hasLetGo = false

  constructor(torrent: Torrent) {
    this.#torrent = torrent
    torrent.on("wire", (wire) => { this.#watch(wire) })
    torrent.on("verified", (index) => { this.#givers.delete(index) })
  }

  /**
   * Part with whoever sent a piece that fits no hash.
   *
   * @returns Whether there is somebody else to ask; else nothing was done.
   */
  part(index: number): boolean {
    const givers = [...(this.#givers.get(index) ?? [])]
    this.#givers.delete(index)
    const [first] = givers
    if (first === undefined) return false
    if (givers.length > 1) {
      // Parts of those who are gone may be in it still: then it is asked for once more, of the one who is left.
      const [, ...more] = givers.filter((wire) => this.#torrent.wires.includes(wire))
      this.#hasLetGo ||= more.length > 0
      for (const wire of more) wire.destroy()
      return true
    }
    const isAlone = this.#torrent.wires.every((wire) => wire === first)
    if (isAlone && !this.#hasLetGo) return false
    this.#banned.add(first.peerId)
    first.destroy()
    if (isAlone) this.#torrent.discovery?.tracker?.update() // for those who were let go of
    this.#hasLetGo = false
    return true
  }

  #watch(wire: Wire): void {
    if (this.#banned.has(wire.peerId)) {
      queueMicrotask(() => { wire.destroy() }) // WebTorrent is about to greet it
      return
    }
    wire.on("piece", (index) => {
      const givers = this.#givers.get(index) ?? new Set()
      this.#givers.set(index, givers.add(wire))
    })
  }
}
