/** What each operation of handshake, ratchet and session, and of the envelope and its content vectors means for our code. */

import type { Runner } from "./vectors"

export const SESSION_RUNS: Readonly<Record<string, Runner>> = {}
