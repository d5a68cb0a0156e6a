"""The judge of requests, itself judged: by three small documents, one of each dialect."""

from __future__ import annotations

from typing import Any

import pytest

from support.openapi import load_document, validate_request

NEW: dict[str, Any] = {
    "openapi": "3.0.0",
    "servers": [{"url": "https://api.example.com/v1"}],
    "paths": {
        "/people/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "get": {"parameters": [{"$ref": "#/components/parameters/limit"}]},
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Person"}},
                        "application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/Person"}},
                    },
                }
            },
        },
        "/people/search": {
            "get": {
                "parameters": [
                    {"name": "q", "in": "query", "required": True, "schema": {"type": "string"}},
                    {"name": "page[size]", "in": "query", "schema": {"type": "integer"}},
                    {"name": "ids", "in": "query", "explode": False, "schema": {"type": "array", "items": {"type": "integer"}}},
                    {"name": "at", "in": "query", "style": "deepObject", "explode": True,
                     "schema": {"type": "object", "properties": {"gte": {"type": "integer"}}, "additionalProperties": False}},
                    {"name": "all", "in": "query", "schema": {"type": "boolean"}},
                ]
            }
        },
    },
    "components": {
        "parameters": {"limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}}},
        "schemas": {
            "Person": {
                "type": "object",
                "required": ["email", "id"],
                "properties": {
                    "id": {"type": "integer", "readOnly": True},
                    "email": {"type": "string"},
                    "age": {"type": "integer", "nullable": True},
                    "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
                    "meta": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            }
        },
    },
}  # fmt: skip

OLD: dict[str, Any] = {
    "swagger": "2.0",
    "basePath": "/3.0",
    "consumes": ["application/json"],
    "definitions": {"Member": {"type": "object", "required": ["email"], "properties": {"email": {"type": "string"}}}},
    "paths": {
        "/members": {
            "get": {
                "parameters": [
                    {"name": "count", "in": "query", "type": "integer", "maximum": 1000},
                    {"name": "fields", "in": "query", "type": "array", "items": {"type": "string"}, "collectionFormat": "csv"},
                    {"name": "status", "in": "query", "type": "string", "enum": ["subscribed", "cleaned"]},
                ]
            },
            "post": {
                "parameters": [{"name": "body", "in": "body", "required": True, "schema": {"$ref": "#/definitions/Member"}}]
            },
        }
    },
}

LATEST: dict[str, Any] = {
    "openapi": "3.1.0",
    "paths": {
        "/x": {"get": {"parameters": [{"name": "n", "in": "query", "schema": {"type": ["integer", "null"], "const": 3}}]}}
    },
}

GOOD = {
    "path with the server's base": (NEW, "GET", "/v1/people/7", {"limit": 10}),
    "path without": (NEW, "GET", "/people/7", {"limit": "10"}),
    "words before placeholders": (NEW, "GET", "/people/search", {"q": "ann"}),
    "a name that has brackets": (NEW, "GET", "/people/search", {"q": "a", "page[size]": "5"}),
    "commas": (NEW, "GET", "/people/search", {"q": "a", "ids": "1,2"}),
    "an object in brackets": (NEW, "GET", "/people/search", {"q": "a", "at[gte]": "5"}),
    "a boolean": (NEW, "GET", "/people/search", [("q", "a"), ("all", "true")]),
    "JSON, with a null": (NEW, "POST", "/people/7", {}, {"email": "a@example.com", "age": None, "meta": {"k": "v"}}),
    "a form": (NEW, "POST", "/people/7", {}, "email=a&age=5&tags[]=a&tags[]=b&meta[k]=v", "application/x-www-form-urlencoded"),
    "Swagger's base path": (OLD, "GET", "/3.0/members", {"count": 10, "fields": "a,b", "status": "cleaned"}),
    "Swagger's body": (OLD, "POST", "/members", {}, {"email": "a@example.com"}, "application/json; charset=utf-8"),
}

BAD = {
    "no such path": ((NEW, "GET", "/nobody"), "no such path"),
    "no such method": ((NEW, "DELETE", "/people/7"), "not this method"),
    "path of another type": ((NEW, "GET", "/people/ann"), "path id"),
    "above the maximum": ((NEW, "GET", "/people/7", {"limit": 101}), "query limit"),
    "unknown parameter": ((NEW, "GET", "/people/7", {"limits": 1}), "query limits: no such parameter"),
    "missing parameter": ((NEW, "GET", "/people/search"), "query q: is required"),
    "unknown bracket": ((NEW, "GET", "/people/search", {"q": "a", "at[gt]": "5"}), "query at"),
    "item of another type": ((NEW, "GET", "/people/search", {"q": "a", "ids": "1,b"}), "query ids"),
    "given twice": ((NEW, "GET", "/people/search", [("q", "a"), ("q", "b")]), "2 times"),
    "no body": ((NEW, "POST", "/people/7"), "body: is required"),
    "body of another sort": ((NEW, "POST", "/people/7", {}, "x", "text/plain"), "content type"),
    "missing key": ((NEW, "POST", "/people/7", {}, {"age": 5}), "'email' is a required property"),
    "key that no schema names": ((NEW, "POST", "/people/7", {}, {"email": "a", "emial": "b"}), "'emial' is not in the schema"),
    "read-only key": ((NEW, "POST", "/people/7", {}, {"email": "a", "id": 1}), "read-only"),
    "deep inside": ((NEW, "POST", "/people/7", {}, {"email": "a", "tags": ["c"]}), "body.tags.0"),
    "a body on a GET": ((OLD, "GET", "/members", {}, {"a": 1}), "body: the document has none here"),
    "Swagger, above the maximum": ((OLD, "GET", "/members", {"count": 1001}), "query count"),
    "Swagger, no such value": ((OLD, "GET", "/members", {"status": "gone"}), "query status"),
    "Swagger, no body": ((OLD, "POST", "/members"), "body: is required"),
    "Swagger, missing key": ((OLD, "POST", "/members", {}, {}), "'email' is a required property"),
    "3.1's own words": ((LATEST, "GET", "/x", {"n": "4"}), "query n"),
}


@pytest.mark.parametrize("request_", GOOD.values(), ids=GOOD)
def test_lets_a_good_request_pass(request_: Any) -> None:
    assert validate_request(*request_) == []


@pytest.mark.parametrize(("request_", "problem"), BAD.values(), ids=BAD)
def test_finds_what_is_wrong(request_: Any, problem: str) -> None:
    (found,) = validate_request(*request_)

    assert problem in found


def test_lets_unknown_keys_pass_where_told_to() -> None:
    assert validate_request(NEW, "POST", "/people/7", {}, {"email": "a", "emial": "b"}, strict=False) == []


def test_skips_where_there_is_no_document() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"nobody\.json is not there"):
        load_document("nobody.json")
