"""
Holds a request against a vendor's published API document (OpenAPI 3.0, 3.1 or Swagger 2.0) and says what is wrong with it.

The documents are not part of the repository: they lie beside it, in `../shared/specs`. Where they are not, the tests that
want them skip. Headers and answers are not judged here: only path, query and body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from jsonschema import Draft4Validator, Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT4, DRAFT202012

from support.recorder import Recorder
from support.request_schema import request_validator

SPECS = Path(__file__).resolve().parents[2].parent / "shared" / "specs"
Query = Mapping[str, object] | Sequence[tuple[str, object]]


@lru_cache
def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def load_document(name: str) -> dict[str, Any]:
    """Return the document *name* (`stripe.json`); skip the test where the folder of documents is not there."""
    path = SPECS / name
    if not path.is_file():
        pytest.skip(f"no API document to validate against: {path} is not there")
    return _read(path)


def validate_request(
    document: Mapping[str, Any],
    method: str,
    path: str,
    query: Query = (),
    body: object = None,
    content_type: str | None = None,
    *,
    strict: bool = True,
) -> list[str]:
    """
    Return what *document* objects to in a request; an empty list is a good request.

    Args:
        path: below the host; the document's base path may be there or not.
        query: names and values as sent, brackets included (`created[gte]`, `types[]`); a list value is a repeated name.
        body: parsed JSON, or the text or the pairs of a form. None is no body.
        content_type: with or without parameters; JSON where it is left out and there is a body.
        strict: an object's property that its schema does not name is a problem, even where the schema does not forbid it.
    """
    spec = _Spec(document, strict=strict)
    found = spec.operation(method.lower(), path)
    if isinstance(found, str):
        return [found]
    pointer, operation, in_path = found
    parameters = spec.parameters(pointer, operation)
    problems = [*spec.path_problems(parameters, in_path), *spec.query_problems(parameters, _pairs(query))]
    if "swagger" in document:
        problems += spec.swagger_body(parameters, operation, body, content_type)
    else:
        problems += spec.openapi_body(pointer, operation, body, content_type)
    return problems


def objections(document: Mapping[str, Any]) -> Callable[[Recorder], list[str]]:
    """Return what `judged` asks: all that *document* objects to in what a recorder saw."""
    return lambda recorder: [problem for asked in recorder.seen for problem in validate_request(document, *asked)]


def _pairs(query: Query) -> list[tuple[str, object]]:
    items = query.items() if isinstance(query, Mapping) else query
    return [
        (name, one)
        for name, value in items
        for one in (value if isinstance(value, list | tuple) else [value])
        if one is not None
    ]


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


class _Spec:
    """A document with its schemas addressable, so that `#/...` references inside them resolve."""

    def __init__(self, document: Mapping[str, Any], *, strict: bool) -> None:
        self.document = document
        modern = str(document.get("openapi", "")).startswith("3.1")
        resource = (DRAFT202012 if modern else DRAFT4).create_resource(document)
        self.registry = Registry().with_resource("urn:document", resource)
        self.validator = request_validator(Draft202012Validator if modern else Draft4Validator, strict=strict)

    def at(self, pointer: str) -> Any:
        node: Any = self.document
        for step in pointer.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            node = node[int(key)] if isinstance(node, list) else node[key]
        return node

    def follow(self, pointer: str) -> tuple[str, Any]:
        """Return the pointer and the value at *pointer*, references followed."""
        node = self.at(pointer)
        while isinstance(node, Mapping) and "$ref" in node:
            pointer = node["$ref"]
            node = self.at(pointer)
        return pointer, node

    def operation(self, method: str, path: str) -> tuple[str, Mapping[str, Any], dict[str, str]] | str:
        plain = urlsplit(path).path
        candidates = [plain, *(plain.removeprefix(base) for base in self._bases() if plain.startswith(base + "/"))]
        matches = []
        for template in self.document["paths"]:
            parts = re.split(r"(\{[^}]+\})", template)
            pattern = "".join(f"(?P<p{i}>[^/]+)" if part.startswith("{") else re.escape(part) for i, part in enumerate(parts))
            for candidate in candidates:
                if match := re.fullmatch(pattern, candidate):
                    values = {part[1:-1]: unquote(match[f"p{i}"]) for i, part in enumerate(parts) if part.startswith("{")}
                    matches.append((len(values), template, values))
        if not matches:
            return f"{method.upper()} {plain}: no such path in the document"
        for _, template, values in sorted(matches, key=lambda found: found[0]):
            if method in self.document["paths"][template]:
                return f"#/paths/{_escape(template)}", self.document["paths"][template][method] | {"_method": method}, values
        return f"{method.upper()} {plain}: the document has the path, but not this method"

    def _bases(self) -> Iterator[str]:
        yield str(self.document.get("basePath", "")).rstrip("/")
        for server in self.document.get("servers", []):
            yield urlsplit(server["url"]).path.rstrip("/")

    def parameters(self, pointer: str, operation: Mapping[str, Any]) -> dict[tuple[str, str], tuple[str, Mapping[str, Any]]]:
        """Return (where, name) -> (pointer, parameter); the operation's own override the path's."""
        found: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {}
        for place in (pointer, f"{pointer}/{operation['_method']}"):
            for index in range(len(self.at(place).get("parameters", []))):
                where, parameter = self.follow(f"{place}/parameters/{index}")
                found[parameter["in"], parameter["name"]] = (where, parameter)
        return found

    def path_problems(self, parameters: Mapping[tuple[str, str], Any], values: Mapping[str, str]) -> Iterator[str]:
        for name, value in values.items():
            if ("path", name) in parameters:
                pointer, parameter = parameters["path", name]
                yield from self._parameter(pointer, parameter, [value])

    def query_problems(self, parameters: Mapping[tuple[str, str], Any], pairs: Sequence[tuple[str, object]]) -> Iterator[str]:
        left = list(pairs)
        for (where, name), (pointer, parameter) in parameters.items():
            if where != "query":
                continue
            base = name.removesuffix("[]")
            mine = [pair for pair in left if pair[0] == name or pair[0].split("[", 1)[0] == base]
            left = [pair for pair in left if pair not in mine]
            if mine:
                yield from self._parameter(pointer, parameter, [_text(value) for _, value in mine], [key for key, _ in mine])
            elif parameter.get("required"):
                yield f"query {name}: is required"
        yield from (f"query {name}: no such parameter" for name in dict.fromkeys(name for name, _ in left))

    def _parameter(
        self, pointer: str, parameter: Mapping[str, Any], values: Sequence[str], names: Sequence[str] = ()
    ) -> Iterator[str]:
        schema_pointer = pointer + "/schema" if "schema" in parameter else pointer
        schema = parameter if schema_pointer == pointer else self.follow(schema_pointer)[1]
        label = f"{parameter['in']} {parameter['name']}"
        inner = [re.findall(r"\[([^\]]*)\]", name) if name != parameter["name"] else [] for name in names]
        if any(steps and steps[0] for steps in inner):  # deepObject: created[gte]=1
            value: object = {steps[0]: text for steps, text in zip(inner, values, strict=True) if steps}
        elif self._is_array(schema):
            one_text = not any(inner) and not _explodes(parameter)
            value = values[0].split(",") if one_text and len(values) == 1 else list(values)
        elif len(values) > 1:
            yield f"{label}: given {len(values)} times"
            return
        else:
            value = values[0]
        # a Swagger 2 parameter is itself the schema, with words of its own that a validator does not know and ignores
        reference = {"$ref": "urn:document" + schema_pointer} if schema_pointer != pointer else _bare(parameter)
        yield from self._check(label, reference, self._coerce(value, schema))

    def _is_array(self, schema: Mapping[str, Any]) -> bool:
        options = [self._resolved(option) for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))]
        return schema.get("type") == "array" or any(option.get("type") == "array" for option in options)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.follow(schema["$ref"])[1] if "$ref" in schema else schema

    def _coerce(self, value: Any, schema: Mapping[str, Any]) -> Any:
        """Return *value*, texts as they came over the wire, as what *schema* takes them for; as it is where that fails."""
        schema = self._resolved(schema)
        for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            made = self._coerce(value, option)
            if not any(self._check("", self._rooted(option), made)):
                return made
        if isinstance(value, list):
            return [self._coerce(one, schema.get("items", {})) for one in value]
        if isinstance(value, dict):
            return {name: self._coerce(one, schema.get("properties", {}).get(name, {})) for name, one in value.items()}
        named = schema.get("type", ())
        types = {named} if isinstance(named, str) else set(named)  # 3.1 may list several
        if isinstance(value, str):
            if "integer" in types and re.fullmatch(r"-?\d+", value):
                return int(value)
            if "number" in types and re.fullmatch(r"-?\d+(\.\d+)?", value):
                return float(value)
            if "boolean" in types and value in {"true", "false"}:
                return value == "true"
        return value

    def _rooted(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return *schema* with its top reference made absolute."""
        return {"$ref": "urn:document" + schema["$ref"]} if "$ref" in schema else schema

    def swagger_body(
        self, parameters: Mapping[tuple[str, str], Any], operation: Mapping[str, Any], body: object, content_type: str | None
    ) -> Iterator[str]:
        declared = [pointer_and for (where, _), pointer_and in parameters.items() if where == "body"]
        if body is None:
            yield from ("body: is required" for _, parameter in declared if parameter.get("required"))
            return
        if not declared:
            yield "body: the document has none here"
            return
        media = (content_type or "application/json").split(";")[0].strip().lower()
        consumes = operation.get("consumes") or self.document.get("consumes") or ["application/json"]
        if media not in consumes:
            yield f"body: content type {media} is not among {', '.join(consumes)}"
            return
        yield from self._check("body", {"$ref": f"urn:document{declared[0][0]}/schema"}, body)

    def openapi_body(self, pointer: str, operation: Mapping[str, Any], body: object, content_type: str | None) -> Iterator[str]:
        if "requestBody" not in operation:
            if body is not None:
                yield "body: the document has none here"
            return
        where, declared = self.follow(f"{pointer}/{operation['_method']}/requestBody")
        if body is None:
            if declared.get("required"):
                yield "body: is required"
            return
        media = (content_type or "application/json").split(";")[0].strip().lower()
        if media not in declared["content"]:
            yield f"body: content type {media} is not among {', '.join(declared['content'])}"
            return
        schema_pointer = f"{where}/content/{_escape(media)}/schema"
        if media == "application/x-www-form-urlencoded":
            body = self._coerce(_nested(body), self.follow(schema_pointer)[1])
        yield from self._check("body", {"$ref": "urn:document" + schema_pointer}, body)

    def _check(self, label: str, schema: Mapping[str, Any], value: object) -> Iterator[str]:
        checker = self.validator(schema, registry=self.registry, format_checker=FormatChecker())
        for error in checker.iter_errors(value):
            place = ".".join(str(step) for step in error.absolute_path)
            yield f"{label}{'.' if place else ''}{place}: {error.message[:200]}"


def _explodes(parameter: Mapping[str, Any]) -> bool:
    if "schema" in parameter:
        return bool(parameter.get("explode", parameter.get("style", "form") == "form"))
    return parameter.get("collectionFormat") == "multi"


def _bare(parameter: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Swagger 2 parameter without the words that mean something else in a schema."""
    return {name: value for name, value in parameter.items() if name not in {"required", "in", "name", "description"}}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _nested(form: object) -> Any:
    """Return the object that a bracketed form spells: `a[b]=1&c[]=2` is `{"a": {"b": "1"}, "c": ["2"]}`."""
    if isinstance(form, str | bytes):
        form = parse_qsl(form.decode() if isinstance(form, bytes) else form, keep_blank_values=True)
    pairs: Any = form.items() if isinstance(form, Mapping) else form
    made: dict[str, Any] = {}
    for name, value in pairs:
        steps = [name.split("[", 1)[0], *re.findall(r"\[([^\]]*)\]", name)]
        node = made
        for step, following in pairwise(steps):
            if following in {"", "0"} or following.isdigit():
                node = {"": node.setdefault(step, [])}
            else:
                node = node.setdefault(step, {})
        if isinstance(node.get(""), list):
            node[""].append(_text(value))
        else:
            node[steps[-1]] = _text(value)
    return made
