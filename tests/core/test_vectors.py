"""Every known answer, and every refusal for its one reason."""

import subprocess
import sys
from collections import Counter

import jsonschema
import pytest

from core.vector_file_runs import FILE_RUNS
from core.vector_runs import RUNS
from core.vector_session_runs import SESSION_RUNS
from core.vector_wire_runs import WIRE_RUNS
from halonyx.core.errors import HalonyxError
from vectors import FOLDER, Fields, Runner, Vector, document, load, names, plain

RUNNERS: dict[str, Runner] = RUNS | SESSION_RUNS | FILE_RUNS | WIRE_RUNS
CANNOT_REFUSE = {
    "hs": "a hash of any bytes",
    "access_keys": "a hash of any bytes",
    "safety_number": "a hash of any bytes",
    "file_secrets": "hashes of any bytes",
    "safe_names": "makes a name of any text",
    "safe_paths": "makes paths of any texts",
    "work_check": "says yes or no of any nonce; a no is an answer, not a refusal",
}
"""Operations without an input that they refuse, and why."""
VECTORS = [vector for name in names() for vector in load(name)]


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_vector(vector: Vector) -> None:
    run, given = RUNNERS[vector.operation], Fields(vector.input)

    if vector.expect == "ok":
        assert plain(run(given)) == vector.output
        assert given.unread() == set()
    else:
        with pytest.raises(HalonyxError) as refused:
            run(given)
        assert refused.value.code == vector.expect
        assert vector.output is None


@pytest.mark.parametrize("name", names())
def test_file_fits_the_schema(name: str) -> None:
    jsonschema.Draft202012Validator(document("schema.json")).validate(document(name))


def test_schema_is_valid_and_refuses_an_unknown_field_or_operation() -> None:
    schema, file = document("schema.json"), document("safety-number.json")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    first = file["vectors"][0]
    for wrong in (
        first | {"comment": ""},
        first | {"operation": "unknown"},
        first | {"expect": "unheard-of"},
        first | {"input": first["input"] | {"more": ""}},
        first | {"output": first["output"] | {"more": ""}},
        {name: value for name, value in first.items() if name != "output"},
    ):
        assert not validator.is_valid(file | {"vectors": [wrong]})


@pytest.mark.parametrize("name", names())
def test_in_each_file_a_success_stands_against_three_refusals(name: str) -> None:
    refused = [vector.expect != "ok" for vector in load(name)]

    assert sum(refused) >= 3 * (len(refused) - sum(refused))


def test_of_each_operation_a_success_stands_against_three_refusals() -> None:
    succeeded = Counter(vector.operation for vector in VECTORS if vector.expect == "ok")
    refused = Counter(vector.operation for vector in VECTORS if vector.expect != "ok")

    assert [name for name in RUNNERS.keys() - CANNOT_REFUSE.keys() if refused[name] < 3 * succeeded[name]] == []
    assert [name for name in CANNOT_REFUSE if refused[name]] == []


def test_names_are_unique_and_every_runner_is_used() -> None:
    assert [name for name, count in Counter(map(str, VECTORS)).items() if count > 1] == []
    assert {vector.operation for vector in VECTORS} == set(RUNNERS)


def test_generator_writes_the_same_files() -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "generate.py", "--check"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
