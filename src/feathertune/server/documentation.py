"""The page at `/docs`: the OpenAPI document as plain HTML, without scripts and without requests to anywhere else."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader


def documentation_page(document: dict[str, Any]) -> str:
    """The HTML page of an OpenAPI document."""
    operations = [
        {"method": method.upper(), "path": path, "example": _example(operation, document), **operation}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    template = _environment().get_template("docs.html")
    return template.render(info=document["info"], operations=operations, schemas=document["components"]["schemas"])


@cache
def _environment() -> Environment:
    return Environment(loader=PackageLoader("feathertune.server", "static"), autoescape=True)


def _example(operation: dict[str, Any], document: dict[str, Any]) -> str | None:
    """A request body of the required fields and those that have an example."""
    body = operation.get("requestBody")
    if body is None:
        return None
    name = body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
    fields = document["components"]["schemas"][name]["properties"]
    return json.dumps({key: field["examples"][0] for key, field in fields.items() if "examples" in field})
