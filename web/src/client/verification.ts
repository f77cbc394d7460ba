/**
 * Comparing keys with a contact: what both show, and whether what they showed is right.
 *
 * Source: spec/safety-number.md.
 */

import { toHex } from "../core/encoding"
import { HalonyxError, StaleDirectory } from "../core/errors"
import { encodeQr, matchesQr, safetyNumber, type Party } from "../core/safety_number"
import type { Bytes } from "../core/types"
import { loadAccount } from "./account"
import type { SafetyNumber } from "./api"
import { contactOf } from "./contacts"
import type { ContactRow } from "./people"
import type { Sender } from "./sending"
import type { Store } from "./store"

/** We, and they. */
export type Parties = readonly [Party, Party]
/** What a contact's device shows: its code, or the digits. */
export type Shown = { readonly scanned: Bytes } | { readonly number: string }

/**
 * Return the keys that are compared.
 *
 * @param sender Fetches a record that is not known yet; null can't.
 * @throws TransportError, Refused: it can't be had. StaleDirectory: what the relay serves does not fit.
 */
export async function partiesOf(store: Store, sender: Sender | null, id: number): Promise<Parties> {
  const account = await loadAccount(store)
  const contact = await withRecord(store, sender, await contactOf(store, id, "accepted", "blocked"))
  if (contact.record === null) throw new StaleDirectory("the relay served a record of theirs that does not fit")
  return [
    { fingerprint: account.record.fingerprint, address: account.address },
    { fingerprint: contact.record.fingerprint, address: contact.address },
  ]
}

/** Return what the page shows. */
export function safetyNumberOf([ours, theirs]: Parties): SafetyNumber {
  return {
    groups: safetyNumber(ours, theirs).split(" "),
    qr: encodeQr(ours, theirs),
    ourAddress: toHex(ours.address),
    theirAddress: toHex(theirs.address),
  }
}

/**
 * Check what a contact's device showed.
 *
 * @throws HalonyxError `safety-number-differs`: it is not right.
 */
export function checkShown([ours, theirs]: Parties, shown: Shown): void {
  const isRight =
    "scanned" in shown
      ? matchesQr(shown.scanned, ours, theirs)
      : shown.number.replaceAll(/\s/g, "") === safetyNumber(ours, theirs).replaceAll(" ", "")
  if (!isRight) throw new HalonyxError("safety-number-differs", "this is not the safety number of you and them")
}

async function withRecord(store: Store, sender: Sender | null, contact: ContactRow): Promise<ContactRow> {
  if (contact.record !== null || sender === null) return contact
  await sender.refresh(contact)
  return contactOf(store, contact.id, "accepted", "blocked")
}
