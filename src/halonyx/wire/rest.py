"""What every REST call has: bodies that are strict, without unknown fields, and one table of errors.

The models of the calls stand in the files of their topics: rest_account, rest_directory, rest_files, rest_relay.
Addresses and keys stand in bodies only, never in URLs. Source: spec/delivery.md, "REST".
"""

from http import HTTPStatus
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

ErrorCode = Literal[
    "malformed",
    "bad-key",
    "not-authenticated",
    "bad-access-key",
    "bad-work",
    "bad-invite",
    "sign-up-closed",
    "contact-required",
    "no-invites",
    "invites-used",
    "wrong-origin",
    "too-slow",
    "not-found",
    "method-not-allowed",
    "address-taken",
    "storage-conflict",
    "device-id-used",
    "prekeys-full",
    "no-turn",
    "no-drop",
    "drop-unknown",
    "drop-conflict",
    "drop-full",
    "bad-range",
    "too-large",
    "unsupported-content",
    "wrong-host",
    "too-many-requests",
    "internal",
    "busy",
]

ERRORS: Final[dict[ErrorCode, tuple[HTTPStatus, str]]] = {
    "malformed": (HTTPStatus.BAD_REQUEST, "the request is not what this call takes"),
    "bad-key": (HTTPStatus.BAD_REQUEST, "a public key is non-canonical or of small order"),
    "not-authenticated": (HTTPStatus.UNAUTHORIZED, "the signature does not verify"),
    "bad-access-key": (HTTPStatus.FORBIDDEN, "the key does not open this mailbox"),
    "bad-work": (HTTPStatus.FORBIDDEN, "sign-up needs a fresh solved challenge"),
    "bad-invite": (HTTPStatus.FORBIDDEN, "sign-up needs an invite that was not used and has not expired"),
    "sign-up-closed": (HTTPStatus.FORBIDDEN, "this relay takes no new accounts"),
    "contact-required": (HTTPStatus.FORBIDDEN, "sign-up needs a name and an e-mail address, for the operator"),
    "no-invites": (HTTPStatus.NOT_FOUND, "members of this relay make no invites"),
    "invites-used": (HTTPStatus.CONFLICT, "the account has made all the invites it may this week"),
    "wrong-origin": (HTTPStatus.FORBIDDEN, "this origin may not make signed calls"),
    "too-slow": (HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time"),
    "not-found": (HTTPStatus.NOT_FOUND, "there is nothing here"),
    "method-not-allowed": (HTTPStatus.METHOD_NOT_ALLOWED, "this call takes another method"),
    "address-taken": (HTTPStatus.CONFLICT, "another management key holds this address"),
    "storage-conflict": (HTTPStatus.CONFLICT, "the record was changed meanwhile"),
    "device-id-used": (HTTPStatus.CONFLICT, "a device id was used before"),
    "prekeys-full": (HTTPStatus.CONFLICT, "the device has all the one-time prekeys it may store"),
    "no-turn": (HTTPStatus.NOT_FOUND, "this relay has no TURN server"),
    "no-drop": (HTTPStatus.NOT_FOUND, "this relay keeps no files"),
    "drop-unknown": (HTTPStatus.NOT_FOUND, "there is no such file, it is not complete, or the key is not its own"),
    "drop-conflict": (HTTPStatus.CONFLICT, "another file has this id, or the part does not follow what is there"),
    "drop-full": (HTTPStatus.INSUFFICIENT_STORAGE, "there is no room for this file"),
    "bad-range": (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "the file is shorter than that"),
    "too-large": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than this call takes"),
    "unsupported-content": (
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "the body is not of the type this call takes, or is encoded",
    ),
    "wrong-host": (HTTPStatus.MISDIRECTED_REQUEST, "the Host header names another relay"),
    "too-many-requests": (HTTPStatus.TOO_MANY_REQUESTS, "too many requests; wait as Retry-After says"),
    "internal": (HTTPStatus.INTERNAL_SERVER_ERROR, "the relay failed"),
    "busy": (HTTPStatus.SERVICE_UNAVAILABLE, "the relay is busy; try again"),
}
"""Status and text of each code. The text is constant: nothing a caller sent comes back."""


class Body(BaseModel):
    """Base of all bodies: immutable, strict types, no unknown field."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    def to_json(self) -> bytes:
        """Return the JSON encoding, UTF-8."""
        return self.model_dump_json().encode("utf-8")


class ErrorDetail(Body):
    """Code for programs, text for people."""

    code: ErrorCode
    message: str


class ErrorBody(Body):
    """Body of every answer that is not 2xx."""

    error: ErrorDetail


class Done(Body):
    """Answer of a call that has nothing to say: `{}`."""
