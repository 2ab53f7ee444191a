"""The fields of a request, read as leniently as ServiceStack 5.9.1 on Mono, measured, reads them."""

import gzip
import html
import json
import re
import zlib
from urllib.parse import parse_qsl

from evocall.sandbox.answers import Refusal, ServiceError
from evocall.sandbox.connection import Received
from evocall.sandbox.wire import NAMESPACE, media_type

Fields = dict[str, str]

_BLANK = " \t\r\n"
_ECHO = 50
_decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str, strict=False)
_STRING = r'"(?:[^"\\]|\\.)*"'
_MEMBER = re.compile(rf'\s*({_STRING})\s*:\s*({_STRING}|[^",{{}}\[\]\s][^",{{}}\[\]]*)\s*(,|}}|$)', re.DOTALL)
_ELEMENT = re.compile(r"<(?:[\w.-]+:)?([A-Za-z]+)(?:\s[^<>]*)?>([^<]*)</")


def query_fields(query: str) -> Fields:
    """The fields of a query by lower-case name; the values of a repeated one are comma-joined."""
    fields: Fields = {}
    for name, value in parse_qsl(query, keep_blank_values=True) if query else ():
        key = name.lower()
        fields[key] = f"{fields[key]},{value}" if key in fields else value
    return fields


def body_fields(request: Received) -> Fields:
    """The fields of a body by lower-case name; none for a content type that is not known."""
    # A body that comes in chunks is ignored: the service reads one only when its length was declared.
    if not request.body or request.chunked:
        return {}
    kind = media_type(request)
    text = _plain(request).decode("utf-8-sig", "replace")
    if kind in ("application/json", "text/json"):
        return read_object(text)
    if kind == "application/x-www-form-urlencoded":
        return {name.lower(): value for name, value in parse_qsl(text, keep_blank_values=True)}
    if kind == "application/xml":
        return _read_xml(text)
    return {}


def _plain(request: Received) -> bytes:
    if request.header("content-encoding") != "gzip":
        return request.body
    try:
        return gzip.decompress(request.body)
    except (OSError, EOFError, zlib.error):
        raise _unreadable("") from None


def read_object(text: str) -> Fields:
    """The members of a JSON object as text. Broken JSON is forgiven where ServiceStack forgives it."""
    text = text.lstrip(_BLANK)
    if text and not text.startswith("{"):
        raise _unreadable(text)
    try:
        members, _ = _decoder.raw_decode(text)
    except json.JSONDecodeError:
        members = _salvaged(text)
    return {name.lower(): _as_text(value) for name, value in members.items() if value is not None}


def _salvaged(text: str) -> dict[str, object]:
    members: dict[str, object] = {}
    end = 1
    while end < len(text) and (match := _MEMBER.match(text, end)):
        name, value, closing = match.groups()
        members[_unquoted(name) or ""] = _unquoted(value)
        end = match.end()
        if closing == "}":
            return members
    rest = text[end:].strip(_BLANK)
    if not rest or rest.startswith("}"):
        return members
    if re.sub(r"\\.", "", rest).count('"') % 2:
        message = "Index was outside the bounds of the array."
        raise ServiceError(Refusal(500, "IndexOutOfRangeException", message, reason="Internal Server Error"))
    return {}


def _unquoted(token: str) -> str | None:
    if not token.startswith('"'):
        return None if token.strip() == "null" else token.strip()
    try:
        return str(_decoder.decode(token))
    except json.JSONDecodeError:
        return token[1:-1]


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{_as_text(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_as_text, value)) + "]"
    return "" if value is None else str(value)


def _read_xml(text: str) -> Fields:
    if not text.lstrip(_BLANK).startswith("<"):
        raise _unreadable(text)
    if NAMESPACE not in text:
        return {}
    return {name.lower(): html.unescape(value) for name, value in _ELEMENT.findall(text)}


def _unreadable(text: str) -> ServiceError:
    message = f"The request is not an object; it starts with: {text[:_ECHO]}"
    return ServiceError(Refusal(400, "SerializationException", message, reason="Bad Request"))
