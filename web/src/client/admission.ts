/**
 * What a relay may ask for before it makes an account: work, an invite, a name and an e-mail address.
 *
 * Source: spec/delivery.md, "Sign-up".
 */

import { HalonyxError, Malformed, TransportError } from "../core/errors"
import type { Address } from "../core/types"
import { EMAIL, parseWorkChallenge } from "../wire/rest_account"
import type { ContactDetails, Work } from "../wire/rest_account"
import { solve } from "../wire/work"
import { checkName } from "./people"
import { Refused } from "./transport"
import type { Relay } from "./transport"

const MAX_WORK_BITS = 28 // minutes on a small machine
const WORK_SLICE = 50_000 // hashes between two looks at the event loop
const INVITE = /^[0-9a-f]{32}$/

/** What a person has for a relay that asks for it. */
export interface Admission {
  /** 32 characters of lowercase hex. */
  readonly invite: string | null
  /** Sent to a relay that asks for them, and to no other. */
  readonly contact: ContactDetails | null
}

/** Told while the proof of work is solved: hashes tried, and how many it takes on average. */
export type Progress = (tried: number, expected: number) => void

/**
 * Check what a person typed.
 *
 * @throws HalonyxError "malformed-invite", "malformed-contact": it is not how that is written.
 */
export function checkAdmission({ invite, contact }: Admission): void {
  asTyped("malformed-invite", () => {
    if (invite !== null && !INVITE.test(invite)) throw new Malformed("an invite has 32 characters of 0-9 and a-f")
  })
  asTyped("malformed-contact", () => {
    if (contact === null) return
    checkName(contact.name)
    if (!EMAIL.test(contact.email)) throw new Malformed("an e-mail address is like ann@mail.example")
  })
}

/** Read what a person typed in one field of several; what is wrong with it gets a code that tells which. */
export function asTyped<T>(code: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof HalonyxError)) throw error
    throw new HalonyxError(code, error.message)
  }
}

/**
 * Find out what the relay asks for, and solve it if it is work.
 *
 * @throws Refused: it takes nobody, asks for an invite that we don't have, or for too much work.
 * TransportError: it can't be reached, or the challenge ran out.
 */
export async function prove(
  relay: Relay,
  address: Address,
  invite: string | null,
  progress: Progress,
): Promise<Work | null> {
  const challenge = await relay.call("POST", "/v1/signup/challenge", { address }, parseWorkChallenge)
  const { mode, seed, bits, expires } = challenge
  if (mode === "closed") throw new Refused("sign-up-closed", "this relay takes no new accounts")
  if (mode === "token" && invite === null) {
    throw new Refused("bad-invite", "this relay takes new accounts by invite only")
  }
  if (seed === null) return null
  if (bits > MAX_WORK_BITS) {
    throw new Refused("bad-work", `this relay asks for ${bits} bits of work to sign up: too much`)
  }
  for (let start = 0; Date.now() < expires; start += WORK_SLICE) {
    progress(start, 2 ** bits)
    const nonce = solve(seed, address, bits, start, WORK_SLICE)
    if (nonce !== null) return { seed, nonce }
    await new Promise((resolve) => setTimeout(resolve, 0))
  }
  throw new TransportError("the relay's sign-up challenge ran out before this machine had solved it: try again")
}
