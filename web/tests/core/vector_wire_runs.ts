/** What each operation of delivery vectors means for our code. */

import type { Runner } from "./vectors"

export const WIRE_RUNS: Readonly<Record<string, Runner>> = {}
