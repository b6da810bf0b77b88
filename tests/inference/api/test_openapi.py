"""Whatever a client sends within or beside the OpenAPI document, the API answers as that says."""

from __future__ import annotations

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import load_all_checks

from ops.documents.pages import DOCS
from tests.api_process import Api

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

load_all_checks()
schema = schemathesis.openapi.from_dict(json.loads((DOCS / "openapi.json").read_text()))
# A stream does not end; health and metrics take no input.
tried = schema.exclude(path_regex="/stream$").exclude(path=["/healthz", "/readyz", "/metrics"])


@tried.parametrize()
@settings(
    max_examples=8, derandomize=True, database=None, suppress_health_check=list(HealthCheck), deadline=None
)
def test_answers_are_as_documented(case: schemathesis.Case, api: Api, fuzzer_key: str) -> None:
    response = case.call(base_url=api.url, headers={"Authorization": f"Bearer {fuzzer_key}"})
    assert response.status_code != 500, response.text
    case.validate_response(response, excluded_checks=EXCLUDED)


EXCLUDED: list[object] = [
    # A key of one store answers 403 for valid paths of all others, so what is positive data is refused.
    schemathesis.checks.CHECKS.get_one("positive_data_acceptance"),
    # The collector judges items, not bodies: a wrong item between good ones is no 4xx.
    schemathesis.checks.CHECKS.get_one("negative_data_rejection"),
]


@pytest.fixture(scope="module")
def fuzzer_key(api: Api) -> str:
    return api.new_key("0", rate=100_000, burst=100_000)
