"""Schemathesis sends what the OpenAPI document allows and what it does not: nothing may end in an internal error."""

from collections.abc import Callable
from typing import Any

import pytest

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def test_no_request_ends_in_an_internal_error(app: Callable[..., Any]) -> None:
    from fastapi.testclient import TestClient
    from hypothesis import HealthCheck, given, settings
    from schemathesis.generation import GenerationMode

    served = app()
    document = schemathesis.openapi.from_dict(served.openapi())
    statuses: dict[str, set[int]] = {}
    with TestClient(served, raise_server_exceptions=False) as client:
        for operation in (result.ok() for result in document.get_all_operations()):
            modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if operation.method == "post" else [])]
            for mode in modes:

                @given(case=operation.as_strategy(generation_mode=mode))
                @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
                def check(case: Any) -> None:
                    kwargs = case.as_transport_kwargs(base_url="http://testserver")
                    answer = client.request(
                        **{
                            key: value
                            for key, value in kwargs.items()
                            if key in ("method", "url", "headers", "json", "params")
                        }
                    )
                    assert answer.status_code < 500, (case, answer.text)
                    if answer.status_code >= 400:
                        assert set(answer.json()) == {"error", "error_type"}
                    statuses.setdefault(case.path, set()).add(answer.status_code)

                check()
    assert {200, 422} <= statuses["/predict"]
    assert {200, 422} <= statuses["/classify"]
