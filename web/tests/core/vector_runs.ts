/** What each operation of conventions, identity and safety-number vectors means for our code. */

import type { Runner } from "./vectors"

export const RUNS: Readonly<Record<string, Runner>> = {}
