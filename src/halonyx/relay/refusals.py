"""A refusal on its way to the client; every error answer is made here, so that equal refusals are equal bytes."""

import json

from fastapi import Response

from halonyx.core.errors import HalonyxError
from halonyx.wire.rest import ERRORS, ErrorCode


class Refused(HalonyxError):
    """The call is answered with an error.

    Attributes:
        reason: Code of the answer.
        retry_after: Seconds for the Retry-After header, or 0 for none.
    """

    code = "refused"

    def __init__(self, reason: ErrorCode, retry_after: int = 0) -> None:
        super().__init__(reason)
        self.reason: ErrorCode = reason
        self.retry_after = retry_after


def answer(refused: Refused) -> Response:
    """Return the answer: constant body for each code."""
    status, message = ERRORS[refused.reason]
    body = json.dumps({"error": {"code": refused.reason, "message": message}}, separators=(",", ":"))
    response = Response(body, status_code=status, media_type="application/json")
    if refused.retry_after:
        response.headers["Retry-After"] = str(refused.retry_after)
    return response
