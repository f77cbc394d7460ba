/** All known answers at once, for Node and for a page. */

import { noble, postQuantum, usePostQuantum } from "../../src/core/post_quantum"
import { FILE_RUNS } from "./vector_file_runs"
import { RUNS } from "./vector_runs"
import { SESSION_RUNS } from "./vector_session_runs"
import { WIRE_RUNS } from "./vector_wire_runs"
import { failureOf, readVectors, titleOf } from "./vectors"
import type { Failure, Runner } from "./vectors"

/** File name → parsed JSON. */
export type Documents = Readonly<Record<string, unknown>>

/** Operation → what it means for our code. */
export const RUNNERS: ReadonlyMap<string, Runner> = new Map(
  Object.entries({ ...RUNS, ...SESSION_RUNS, ...FILE_RUNS, ...WIRE_RUNS }),
)

/** Run every vector of every document, one after another; returns those that fail. */
export async function runVectors(documents: Documents): Promise<readonly Failure[]> {
  const failures: Failure[] = []
  for (const [file, document] of Object.entries(documents)) {
    for (const vector of readVectors(file, document)) {
      const reason = await failureOf(vector, RUNNERS)
      if (reason !== null) failures.push({ name: titleOf(vector), reason })
    }
  }
  return failures
}

/** Run every vector with noble's post-quantum algorithms, though the browser may have its own. */
export async function runVectorsByNoble(documents: Documents): Promise<readonly Failure[]> {
  usePostQuantum(noble)
  try {
    return await runVectors(documents)
  } finally {
    usePostQuantum(null)
  }
}

/** Tell whether the browser's own post-quantum algorithms are used. */
export async function isPostQuantumNative(): Promise<boolean> {
  return (await postQuantum()) !== noble
}
