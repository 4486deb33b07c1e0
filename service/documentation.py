"""The page that explains the API, made of its OpenAPI; it loads nothing from anywhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

#: What a browser may load for this page: nothing; its style is part of it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
pre { background: #f3f1ec; padding: .7rem 1rem; overflow-x: auto; border-radius: 6px; font-size: 14px; }
code { font-size: 14px; } h2 { margin-top: 2.5rem; border-top: 1px solid #ccc; padding-top: 1.2rem; }
td, th { text-align: left; vertical-align: top; padding: .15rem 1rem .15rem 0; }
"""


def page_of(schema: dict[str, Any]) -> str:
    """Returns a page of HTML for people, from an OpenAPI document."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<meta name='viewport' content='width=device-width'><title>{escape(schema['info']['title'])}: API</title>",
        f"<style>{_STYLE}</style></head><body><h1>{escape(schema['info']['title'])}: API</h1>",
        f"<p>{escape(schema['info']['description'])} The same for programs: <a href='/openapi.json'>OpenAPI</a>.</p>",
    ]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(path, method.upper(), operation, schema))
    return "\n".join([*parts, "</body></html>"])


def _operation(path: str, method: str, operation: dict[str, Any], schema: dict[str, Any]) -> str:
    lines = [
        f"<h2>{escape(operation['summary'])}</h2>",
        f"<p><code><b>{method}</b> {escape(path)}</code></p>",
        f"<p>{escape(operation.get('description', ''))}</p>",
    ]
    rows = [
        (parameter["name"], parameter.get("description", f"in the {parameter['in']}"))
        for parameter in operation.get("parameters", ())
    ]
    kinds = operation.get("requestBody", {}).get("content", {})
    for kind, content in kinds.items():
        body = _resolved(content["schema"], schema)
        rows += [
            (name, _resolved(field, schema).get("description", "") or _kind(_resolved(field, schema)))
            for name, field in body.get("properties", {}).items()
        ]
        if kind == "application/json":
            example = {
                name: found
                for name, field in body.get("properties", {}).items()
                if (found := _example(field, schema)) is not None
            }
            lines.append(f"<pre>curl -H 'Content-Type: application/json' $HOST{escape(path)} -d '")
            lines.append(f"{escape(json.dumps(example))}'</pre>")
    if rows:
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(words)}</td></tr>" for name, words in rows)
        lines.append(f"<table>{cells}</table>")
    answers = "".join(
        f"<tr><th>{status}</th><td>{escape(answer['description'])}{_answer(answer, schema)}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    lines.append(f"<details><summary>Answers</summary><table>{answers}</table></details>")
    return "\n".join(lines)


def _answer(answer: dict[str, Any], schema: dict[str, Any]) -> str:
    """Returns the fields of a JSON answer, with what they mean."""
    described = answer.get("content", {}).get("application/json", {}).get("schema")
    if not described:
        return ""
    body = _resolved(described, schema)
    body = _resolved(body.get("items", body), schema)
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(field.get('description', ''))}</td></tr>"
        for name, field in body.get("properties", {}).items()
    )
    return f"<table>{rows}</table>" if rows else ""


def _resolved(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Returns what a reference stands for."""
    while "$ref" in part:
        part = schema["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    return part


def _example(field: dict[str, Any], schema: dict[str, Any]) -> Any:
    described = _resolved(field, schema)
    if described.get("examples"):
        return described["examples"][0]
    return described.get("default")


def _kind(field: dict[str, Any]) -> str:
    return str(field.get("type", ""))
