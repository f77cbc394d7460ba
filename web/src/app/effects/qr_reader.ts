/** Reading QR codes: the page hands pictures to a Worker that does nothing else. */

import { HalonyxError } from "../../core/errors"
import type { Bytes } from "../../core/types"
import { qrWorkerUrl } from "./trusted"

const AGAIN_MS = 1000

/** Code of a reader whose script did not load. */
export const NOT_LOADED = "reader-not-loaded"

/** A started Worker. Made by `QrReader.start`; ends with `stop`. */
export class QrReader {
  readonly #worker: Worker
  #last: Promise<unknown> = Promise.resolve()

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  /**
   * Start the Worker; if its script does not load, once more after a second.
   *
   * A Worker fetches its script anew each time, while a module that failed to load in a page fails for ever.
   *
   * @throws HalonyxError: reader-not-loaded.
   */
  static async start(): Promise<QrReader> {
    try {
      return new QrReader(await started())
    } catch {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
      return new QrReader(await started())
    }
  }

  /**
   * Read the code in a picture, which the reader takes over.
   *
   * @returns Its bytes, or null if there is none.
   * @throws HalonyxError: reader-not-loaded, the Worker ended.
   */
  read(picture: ImageBitmap): Promise<Bytes | null> {
    const answer = this.#last.then(() => this.#ask(picture))
    this.#last = answer.catch(() => undefined)
    return answer
  }

  stop(): void {
    this.#worker.terminate()
  }

  async #ask(picture: ImageBitmap): Promise<Bytes | null> {
    const answer = answerOf(this.#worker)
    this.#worker.postMessage(picture, [picture])
    const found = await answer
    return found instanceof Uint8Array ? (found as Bytes) : null
  }
}

/**
 * Read the code in a picture that a person chose.
 *
 * @returns Its bytes, or null if there is none, or it is no picture.
 * @throws HalonyxError: reader-not-loaded.
 */
export async function readPicture(file: Blob): Promise<Bytes | null> {
  const picture = await createImageBitmap(file).catch(() => null)
  if (picture === null) return null
  const reader = await QrReader.start()
  try {
    return await reader.read(picture)
  } finally {
    reader.stop()
  }
}

async function started(): Promise<Worker> {
  const worker = new Worker(qrWorkerUrl() as string, { type: "module", name: "qr" })
  await answerOf(worker)
  return worker
}

/** Wait for the next message. */
function answerOf(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.onmessage = (event: MessageEvent<unknown>) => { resolve(event.data) }
    worker.onerror = () => { reject(new HalonyxError(NOT_LOADED, "the part that reads codes did not load")) }
  })
}
