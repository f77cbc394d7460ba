/** All known answers at once, for Node and for a page. */

import { noble, postQuantum } from "../../src/core/post_quantum"
import { RUNS } from "./vector_runs"
import { SESSION_RUNS } from "./vector_session_runs"
import { WIRE_RUNS } from "./vector_wire_runs"
import { failureOf, readVectors, titleOf } from "./vectors"
import type { Failure, Runner } from "./vectors"

/** Operation → what it means for our code. */
export const RUNNERS: ReadonlyMap<string, Runner> = new Map(Object.entries({ ...RUNS, ...SESSION_RUNS, ...WIRE_RUNS }))

/** Run every vector of every document, one after another; `documents` is file name → parsed JSON. */
export async function runVectors(documents: Readonly<Record<string, unknown>>): Promise<readonly Failure[]> {
  const failures: Failure[] = []
  for (const [file, document] of Object.entries(documents)) {
    for (const vector of readVectors(file, document)) {
      const reason = await failureOf(vector, RUNNERS)
      if (reason !== null) failures.push({ name: titleOf(vector), reason })
    }
  }
  return failures
}

/** Tell whether ML-KEM and ML-DSA are the browser's own here. */
export async function usesBrowsersOwn(): Promise<boolean> {
  return (await postQuantum()) !== noble
}
