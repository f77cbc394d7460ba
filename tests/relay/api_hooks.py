"""What schemathesis can't know of the API: accounts, keys and signatures, by which calls get past the door.

Of three calls to a signed route two are signed, and of three to an anonymous one two show a key that opens something.
The rest goes as it was made. Loaded through SCHEMATHESIS_HOOKS; RELAY names the relay.
"""

import base64
import itertools
import json
import os
import re
import time
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import schemathesis
from requests.auth import AuthBase
from schemathesis.core.failures import Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import UnsupportedMethodResponse

from halonyx.core.encoding import decode_base64url, encode_base64url
from halonyx.core.errors import Malformed
from halonyx.core.primitives import SigningKey, sha256
from halonyx.core.types import HASH_SIZE, Address
from halonyx.relay.guard import DROP_PART, RULES, Access
from halonyx.wire.http_signature import MANAGEMENT, KeyId, Signer, Target, sign
from halonyx.wire.rest import ERRORS, Body
from halonyx.wire.rest_files import UPLOAD_HEADER, DropRequest
from relay.rest_kit import Person

ORIGIN: Final = os.environ["RELAY"]
CALLS_OF_A_PERSON: Final = 20  # then another: calls are remembered, 256 of each key
BY_MANAGEMENT_KEY: Final = ("/v1/accounts", "/v1/account", "/v1/account/status", "/v1/account/delete")
FILE: Final = b"file"
CALLS: Final = itertools.count()
SIGNATURES: Final = set[str]()
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")


Case = schemathesis.Case[Any]


class Signed(AuthBase):
    """Signs a request as it goes out."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        data = body.encode() if isinstance(body, str) else body
        assert isinstance(data, bytes)
        address = urlsplit(str(request.url))
        target = Target(str(request.method), address.netloc, address.path)
        headers = sign(self._signer, target, data, created=int(time.time()), nonce=os.urandom(16))
        SIGNATURES.add(headers["Signature"])
        request.headers.update(headers)
        return request


class Member:
    """A person with an account, and with a file at the relay."""

    def __init__(self) -> None:
        self.person, self.calls = Person(), 0
        self.drop, self.key = os.urandom(16), os.urandom(16)
        self._call("POST", "/v1/accounts", self.person.sign_up_request(), self.person.manager)
        room = DropRequest(
            address=self.person.address, device=1, drop=self.drop, size=len(FILE), delete_hash=sha256(self.key)
        )
        self.token = self._call("POST", "/v1/drop", room, self.person.device())["upload"]
        headers = {UPLOAD_HEADER: self.token, "Content-Type": "application/octet-stream"}
        requests.put(
            f"{ORIGIN}/v1/drop/{self.drop.hex()}?offset=0", FILE, headers=headers, timeout=30
        ).raise_for_status()

    def _call(self, method: str, path: str, body: Body, signer: Signer) -> Any:  # noqa: ANN401 (JSON)
        headers = {"Content-Type": "application/json"}
        answer = requests.request(
            method, ORIGIN + path, data=body.to_json(), headers=headers, auth=Signed(signer), timeout=30
        )
        answer.raise_for_status()
        return answer.json()


class Members:
    """Whoever acts now."""

    def __init__(self) -> None:
        self._member: Member | None = None

    def now(self) -> Member:
        if self._member is None or self._member.calls >= CALLS_OF_A_PERSON:
            self._member = Member()
        self._member.calls += 1
        return self._member

    def gone(self) -> None:
        self._member = None


MEMBERS: Final = Members()


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Let two of three calls through the door."""
    path = case.operation.path
    if path not in RULES or next(CALLS) % 3 == 0 or case.method != case.operation.method.upper():
        return
    if case.meta is not None and case.meta.is_negative_at(ParameterLocation.HEADER):  # what is missing stays missing
        return
    member, newcomer = MEMBERS.now(), SigningKey.generate()
    if path == DROP_PART:
        _at_the_file(case, member)
    elif isinstance(case.body, dict):
        known = _opening(path, member, newcomer)
        body = {name: _canonical(value) for name, value in case.body.items()}
        case.body = {**body, **{name: value for name, value in known.items() if name in body}}
    if RULES[path].access is Access.SIGNED:
        kwargs["auth"] = Signed(_signer(path, member, newcomer, case.body))
    if path in ("/v1/account/delete", "/v1/account", "/v1/access-key", "/v1/drop/delete"):
        MEMBERS.gone()  # or may be, or can't be found under what we know


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext, failure: Failure, case: Case, response: schemathesis.Response
) -> bool:
    """Tell whether a failure counts.

    What the head of a request gives reason to refuse is refused before a route is looked for.
    """
    return not (isinstance(failure, UnsupportedMethodResponse) and response.status_code in (400, 413, 415))


@schemathesis.check
def refusals_are_named(ctx: schemathesis.CheckContext, response: schemathesis.Response, case: Case) -> None:
    """Every refusal has its code, under the status and with the text that belong to it, and the relay never fails."""
    if response.status_code < 400 or case.method == "HEAD":
        return
    error = json.loads(response.content)
    assert list(error) == ["error"]
    code = error["error"]["code"]
    status, message = ERRORS[code]
    assert error == {"error": {"code": code, "message": message}}
    assert (response.status_code, response.headers["content-type"]) == (status, ["application/json"])
    assert response.status_code < 500 or code == "drop-full", code


@schemathesis.check
def only_who_signs_gets_in(ctx: schemathesis.CheckContext, response: schemathesis.Response, case: Case) -> None:
    """No signed call succeeds but those that were signed here."""
    rule = RULES.get(case.operation.path)
    if rule is not None and rule.access is Access.SIGNED and case.method == case.operation.method.upper():
        assert response.status_code >= 400 or response.request.headers.get("Signature") in SIGNATURES


def _at_the_file(case: Case, member: Member) -> None:
    case.path_parameters = {"drop": member.drop.hex()}
    if case.method == "PUT":
        case.headers[UPLOAD_HEADER] = member.token


def _opening(path: str, member: Member, newcomer: SigningKey) -> dict[str, Any]:
    """Return the fields by which a body is about this member, or fits who signs it."""
    person = member.person
    everywhere = {"address": encode_base64url(person.address), "device": 1, "key": encode_base64url(person.access_key)}
    special: dict[str, dict[str, Any]] = {
        "/v1/accounts": {"management_key": encode_base64url(newcomer.public.raw)},
        "/v1/drop/delete": {"drop": encode_base64url(member.drop), "key": encode_base64url(member.key)},
        "/v1/account": everywhere
        | {
            "replaces": sha256(person.record).hex(),
            "devices": [{"id": 1, "login_key": encode_base64url(person.login.public.raw), "prekeys": []}],
        },
    }
    return special.get(path, everywhere)


def _canonical(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Clear the bits that base64url leaves over: the description of the API can't say that they have to be."""
    match value:
        case dict():
            return {name: _canonical(inner) for name, inner in value.items()}
        case list():
            return [_canonical(inner) for inner in value]
        case str() if _BASE64URL.fullmatch(value) and len(value) % 4 > 1:
            return encode_base64url(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
        case _:
            return value


def _signer(path: str, member: Member, newcomer: SigningKey, body: object) -> Signer:
    """Return the key that the call takes."""
    if path == "/v1/accounts":
        return Signer(KeyId(_address(body), MANAGEMENT), newcomer)
    return member.person.manager if path in BY_MANAGEMENT_KEY else member.person.device()


def _address(body: object) -> Address:
    """Return the address in a body, or another if there is none."""
    try:
        address = decode_base64url(body["address"]) if isinstance(body, dict) else b""
    except (KeyError, TypeError, Malformed):
        address = b""
    return Address(address if len(address) == HASH_SIZE else bytes(HASH_SIZE))
