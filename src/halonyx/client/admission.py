"""What a relay may ask for before it makes an account: work, an invite, a name and an e-mail address.

Source: spec/delivery.md, "Sign-up".
"""

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from halonyx.client.transport import Refused, Relay
from halonyx.core.errors import Malformed, TransportError
from halonyx.core.types import Address
from halonyx.wire import work
from halonyx.wire.rest import ERRORS
from halonyx.wire.rest_account import ContactDetails, Work, WorkChallenge, WorkRequest

MAX_WORK_BITS: Final = 28  # minutes on a small machine
WORK_SLICE: Final = 20_000  # hashes between two looks at the event loop
_INVITE: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Admission:
    """What the person has for a relay that asks for it.

    Attributes:
        invite: 32 characters of lowercase hex.
        details: Sent to a relay that asks for them, and to no other.
    """

    invite: str | None = field(default=None, repr=False)
    details: ContactDetails | None = field(default=None, repr=False)


def admission(invite: str | None, name: str | None, email: str | None) -> Admission:
    """Read what was typed.

    Args:
        invite: In any case, with spaces around it.
        name: The person's, for the operator: 1 to 64 printable characters.
        email: An ASCII address, at most 254 characters; together with `name`.

    Raises:
        Malformed: One of them is not how it is written, or one of the last two is missing.
    """
    invite = None if invite is None else invite.strip().lower()
    if invite is not None and not _INVITE.fullmatch(invite):
        raise Malformed("an invite has 32 characters of 0-9 and a-f")
    if name is None and email is None:
        return Admission(invite)
    try:
        return Admission(invite, ContactDetails.model_validate({"name": name, "email": email}))
    except ValidationError:
        text = "a name has 1 to 64 printable characters, an e-mail address is like ann@mail.example; both go together"
        raise Malformed(text) from None


async def prove(relay: Relay, address: Address, given: Admission) -> Work | None:
    """Find out what the relay asks for, and solve it if it is work.

    Raises:
        Refused: It takes nobody, asks for an invite that we don't have, or for too much work.
        TransportError: It can't be reached, or the challenge ran out.
    """
    challenge = await relay.call("POST", "/v1/signup/challenge", WorkRequest(address=address), WorkChallenge)
    if challenge.mode == "token" and given.invite is None:
        raise Refused("bad-invite", "this relay takes new accounts by invite only")
    if challenge.mode == "closed":
        raise Refused("sign-up-closed", ERRORS["sign-up-closed"][1])
    if challenge.seed is None:
        return None
    if challenge.bits > MAX_WORK_BITS:
        raise Refused("bad-work", f"this relay asks for {challenge.bits} bits of work to sign up: too much")
    start = 0
    while time.time_ns() // 1_000_000 < challenge.expires:
        nonce = work.solve(challenge.seed, address, challenge.bits, start, WORK_SLICE)
        if nonce is not None:
            return Work(seed=challenge.seed, nonce=nonce)
        start += WORK_SLICE
        await asyncio.sleep(0)
    raise TransportError("the relay's sign-up challenge ran out before this machine had solved it: try again")
