"""REST bodies: strict types, one encoding for each value, nothing unknown."""

import importlib
import json
import pkgutil
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from halonyx import wire
from halonyx.core.encoding import encode_base64url
from halonyx.wire.rest import ERRORS, ErrorCode
from halonyx.wire.rest_account import ReplaceAccountRequest
from halonyx.wire.rest_directory import Bundle, BundleRequest, LookupRequest, Prekey, PublishRequest, StoredPrekey

LOOKUP: dict[str, Any] = {"address": "A" * 43, "key": "A" * 22}


def test_bytes_travel_as_base64url() -> None:
    call = LookupRequest(address=b"\xff" * 32, key=bytes(16))

    assert json.loads(call.to_json()) == {"address": "_" * 42 + "8", "key": "A" * 22}
    assert LookupRequest.model_validate_json(call.to_json()) == call


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", "A" * 42),
        ("address", "A" * 44),
        ("address", "A" * 43 + "="),
        ("address", "A" * 42 + "B"),  # unused bits set
        ("address", "+" + "A" * 42),
        ("address", " " + "A" * 42),
        ("address", "A" * 42 + "\n"),
        ("address", "\u00e9" + "A" * 42),
        ("address", "\ud800" + "A" * 42),
        ("address", "A" * 1_000_000),
        ("address", 5),
        ("address", None),
        ("address", ["A" * 43]),
        ("key", "A" * 43),
        ("unknown", 1),
    ],
)
def test_other_values_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        LookupRequest.model_validate({**LOOKUP, field: value})


def test_sizes_are_checked_in_python_too() -> None:
    with pytest.raises(ValidationError):
        LookupRequest(address=bytes(31), key=bytes(16))


def test_a_missing_field_is_refused() -> None:
    with pytest.raises(ValidationError):
        LookupRequest.model_validate({"address": "A" * 43})


@pytest.mark.parametrize("device", [0, 256, -1, "1", 1.0, True, None])
def test_device_numbers_are_one_to_255_and_integers(device: object) -> None:
    with pytest.raises(ValidationError):
        BundleRequest.model_validate({**LOOKUP, "device": device, "fetch_id": "A" * 22})


@pytest.mark.parametrize(
    "change", [{"use": 0}, {"use": 6}, {"id": 0}, {"id": 2**32}, {"blob": "A" * 38}, {"blob": "A" * 10_924}]
)
def test_prekeys_are_bounded(change: dict[str, object]) -> None:
    good = {"use": 1, "id": 1, "blob": encode_base64url(bytes(29))}
    assert Prekey.model_validate(good).blob == bytes(29)

    with pytest.raises(ValidationError):
        Prekey.model_validate({**good, **change})


def test_a_call_carries_at_most_two_full_stocks() -> None:
    prekey = Prekey(use=4, id=1, blob=bytes(29))
    PublishRequest(address=bytes(32), device=1, prekeys=[prekey] * 403, one_time_from=1)

    with pytest.raises(ValidationError):
        PublishRequest(address=bytes(32), device=1, prekeys=[prekey] * 404, one_time_from=1)


@pytest.mark.parametrize("replaces", ["0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n"])
def test_hashes_in_hex_have_one_spelling(replaces: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ReplaceAccountRequest(
            address=bytes(32), replaces=replaces, record=bytes(29), devices=[], access_hash=bytes(32),
            request_hash=bytes(32),
        )  # fmt: skip
    assert {error["loc"][0] for error in refused.value.errors()} == {"replaces", "devices"}


def test_errors_do_not_repeat_what_was_sent() -> None:
    with pytest.raises(ValidationError) as refused:
        LookupRequest.model_validate({**LOOKUP, "address": "secret" * 8})

    assert "secret" not in str(refused.value)


def test_models_are_immutable() -> None:
    with pytest.raises(ValidationError):
        LookupRequest(address=bytes(32), key=bytes(16)).key = b""


def test_a_bundle_survives_its_journey() -> None:
    stored = StoredPrekey(id=2**32 - 1, blob=bytes(range(64)))
    bundle = Bundle(
        signed_prekey=stored, envelope_prekey=stored, last_resort_prekey=stored, one_time_prekey=None,
        one_time_kem_prekey=stored,
    )  # fmt: skip

    assert Bundle.model_validate_json(bundle.to_json()) == bundle
    assert Bundle.model_validate(json.loads(bundle.to_json())) == bundle


def test_every_error_code_has_a_status_and_a_text() -> None:
    assert set(ERRORS) == set(ErrorCode.__args__)  # type: ignore[attr-defined]
    assert all(400 <= status < 600 and text for status, text in ERRORS.values())


def test_every_model_is_strict() -> None:
    files = [file.name for file in pkgutil.iter_modules(wire.__path__) if file.name.startswith("rest")]
    models = {
        value
        for file in files
        for value in vars(importlib.import_module(f"{wire.__name__}.{file}")).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel
    }

    assert len(models) > 20
    for model in models:
        assert model.model_config["extra"] == "forbid"
        assert model.model_config["strict"]
        assert model.model_config["frozen"]
