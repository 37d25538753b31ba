"""The OpenAPI document of the endpoints, from their declarations alone."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from mtls_ambassador import __version__
from mtls_ambassador.web.api import PREFIX
from mtls_ambassador.web.api.endpoint import Endpoint, Fault, Nothing

JSON = "application/json"
ABOUT = """\
Who is in, who was refused, and why; and what an operator does about it. On the admin listener, never on the devices'.

A page has `next`, which is empty on the last one, and is given as `after` for the one that follows. Times are RFC 3339.
Every refusal has the same shape. 400: the request is not as declared here. 409: it conflicts with what is there, or
names what is not; nothing was changed. 422: it is as declared, and still cannot be.
"""
SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "Made by `mtls-ambassador admin token create`."},
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """OpenAPI 3.1."""
    types = [kind for item in endpoints for kind in (item.answer, item.query, item.body) if kind is not None]
    own = [kind for kind in dict.fromkeys([*types, Fault]) if isinstance(kind, type) and kind is not Nothing]
    schemas, components = msgspec.json.schema_components(own, ref_template="#/components/schemas/{name}")
    names = dict(zip(own, schemas, strict=True))
    queries = {
        kind: components.pop(names[kind]["$ref"].rsplit("/", 1)[1]) for kind in dict.fromkeys(_queries(endpoints))
    }
    paths: dict[str, Any] = {}
    for item in endpoints:
        paths.setdefault(PREFIX + item.path, {})[item.method.lower()] = _operation(item, names, queries)
    return {
        "openapi": "3.1.0",
        "info": {"title": "mtls-ambassador", "version": __version__, "description": ABOUT},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SECURITY},
        "security": [{"token": []}],
    }


def _queries(endpoints: Sequence[Endpoint]) -> Iterator[type[msgspec.Struct]]:
    return (item.query for item in endpoints if item.query is not Nothing)


def _operation(item: Endpoint, names: dict[Any, Any], queries: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": item.summary,
        "operationId": f"{item.method.lower()}{item.path.replace('/', '_').replace('{', '').replace('}', '')}",
        "description": f"Needs the scope `{item.scope.value}`.",
        "parameters": [*_path_parameters(item), *_query_parameters(item, queries)],
        "responses": {"200": _good(item, names), **dict(_bad(item, names))},
    }
    if item.body is not Nothing:
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": names[item.body]}}}
    return found


def _path_parameters(item: Endpoint) -> Iterator[dict[str, Any]]:
    if "{identity}" in item.path:
        schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
        yield {"name": "identity", "in": "path", "required": True, "schema": schema}


def _query_parameters(item: Endpoint, queries: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    if item.query is Nothing:
        return
    schema = queries[item.query]
    for name, kind in schema["properties"].items():
        bare = _without_null(kind)
        yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": bare}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An address cannot say null: what may be left out is left out."""
    if "anyOf" not in schema:
        return schema
    kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    return {**kinds[0], **rest} if len(kinds) == 1 else {"anyOf": kinds, **rest}


def _good(item: Endpoint, names: dict[Any, Any]) -> dict[str, Any]:
    if item.answer is None:
        return {
            "description": "A stream that ends by itself.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    return {"description": "As asked.", "content": {JSON: {"schema": names.get(item.answer, {"type": "object"})}}}


def _bad(item: Endpoint, names: dict[Any, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for status in sorted({*item.failures, HTTPStatus.METHOD_NOT_ALLOWED}):
        yield str(int(status)), {"description": status.phrase, "content": {JSON: {"schema": names[Fault]}}}
