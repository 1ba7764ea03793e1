"""Whatever the description allows, and what it does not: never a 5xx, never a status or a shape that is not described."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from starlette.testclient import TestClient

import nearfield as nf
from nearfield.serve import openapi
from nearfield.serve.app import make
from nearfield.serve.keys import Keys
from nearfield.serve.service import Service

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.generation import GenerationMode  # noqa: E402
from schemathesis.specs.openapi import checks  # noqa: E402

EXAMPLES = int(os.environ.get("API_EXAMPLES", "15"))
CHECKS = [
    not_a_server_error, checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance,
]  # fmt: skip
SCHEMA = schemathesis.openapi.from_dict(json.loads(openapi.document("0")))
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]
CASES = [(o, GenerationMode.POSITIVE) for o in OPERATIONS] + [(o, GenerationMode.NEGATIVE) for o in OPERATIONS if o.body]
"""What has no body has nothing that could be wrong."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    place = tmp_path_factory.mktemp("api")
    from nearfield.serve.limits import Limits

    with nf.open(place / "db") as db:
        db.create("a", embedder="hash:32").upsert([nf.Document(f"{i}", f"text {i}", {"n": i}) for i in range(20)])
        db.create("v", embedder=None, dim=4)
        made = Service(db, Limits(), models=("hash:32",), backups=place / "backups", recall_share=0)
        made.warming.run()
        with TestClient(make(made, Keys()), "http://localhost", raise_server_exceptions=False) as client:
            yield client
        made.close()


@pytest.mark.slow
@pytest.mark.parametrize(("operation", "mode"), CASES, ids=lambda v: getattr(v, "label", None) or v.value)
def test_the_description_holds(operation: Any, mode: GenerationMode, api: TestClient) -> None:
    """Names of collections are those of two that are there, for two of three cases, so that requests reach further."""
    turn = 0

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def check(case: Any) -> None:
        nonlocal turn
        turn += 1
        if turn % 3 and "{name}" in operation.path:
            case.path_parameters["name"] = "v" if operation.path.endswith(("/tune", "/rebuild")) else "a"
        if operation.method.upper() == "DELETE" and case.path_parameters.get("name") in ("a", "v"):
            case.path_parameters["name"] = "absent"
        told = case.as_transport_kwargs(base_url="http://localhost")
        told.pop("cookies", None)
        data = told.pop("data", None)
        if isinstance(data, bytes | str):
            told["content"] = data
        elif data is not None and not isinstance(data, dict):
            told["content"] = json.dumps(data)
        told["headers"] = {str(k): v for k, v in told["headers"].items() if k.lower() not in ("host", "authorization")}
        case.validate_response(api.request(**told), checks=CHECKS)

    check()
