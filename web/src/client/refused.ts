/**
 * What a relay answers when it says no.
 *
 * Source: spec/delivery.md, "REST errors", "A device that was replaced".
 */

import { RemoteError } from "../core/errors"

export const NOT_AUTHENTICATED = "not-authenticated"

/** The relay said no; `code` as in spec/delivery.md, "REST errors", or as close codes and statuses are called. */
export class Refused extends RemoteError {}

/** Our relay does not know this device any more. */
export class DeviceReplaced extends Refused {
  constructor() {
    super(
      NOT_AUTHENTICATED,
      "the relay no longer accepts this device: the account was recovered elsewhere, or deleted. Nothing is sent or " +
        "received here, and what waits is kept",
    )
  }
}
