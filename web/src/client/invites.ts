/**
 * Invites that a member makes for somebody they know.
 *
 * Source: spec/delivery.md, "Sign-up".
 */

import { parseInviteAnswer } from "../wire/rest_account"
import { loadAccount } from "./account"
import type { NewInvite } from "./api"
import type { Store } from "./store"
import { Relay } from "./transport"

/**
 * Tell whether our relay takes new people by invite.
 *
 * @throws TransportError, Refused: it can't be asked.
 */
export async function takesInvites(store: Store): Promise<boolean> {
  return (await new Relay((await loadAccount(store)).origin).info()).signup === "token"
}

/**
 * Ask our relay for an invite to give away.
 *
 * @throws Refused: no-invites where its members make none, invites-used if we have made ours of this week.
 * TransportError: it can't be reached.
 */
export async function makeInvite(store: Store): Promise<NewInvite> {
  const account = await loadAccount(store)
  const body = { address: account.address, device: account.own.device.id }
  return new Relay(account.origin).call("POST", "/v1/invite", body, parseInviteAnswer, account.signer)
}
