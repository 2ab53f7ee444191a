"""The formats of an answer: JSON, JSONP, XML and an HTML page, and how a request chooses among them."""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from xml.sax.saxutils import escape

from evocall.sandbox.connection import Received

NAMESPACE = "http://schemas.datacontract.org/2004/07/Voice.Api.Sessions"

_DATE = re.compile(r'"/Date\((-?\d+)\)/"')


class Format(Enum):
    """How the body of an answer is written; its value is the content type."""

    JSON = "application/json; charset=utf-8"
    XML = "application/xml; charset=utf-8"
    HTML = "text/html; charset=utf-8"
    NOTHING = ""


NAMED = {"json": Format.JSON, "xml": Format.XML, "html": Format.HTML}
_ACCEPTED = {
    "application/json": Format.JSON,
    "application/xml": Format.XML,
    "text/html": Format.HTML,
    "application/xhtml+xml": Format.HTML,
}
_OF_BODY = {"application/json": Format.JSON, "text/json": Format.JSON, "application/xml": Format.XML}


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, in seconds since 1970, that each format writes in its own way."""

    seconds: float

    def in_json(self) -> str:
        """The form `/Date(ms)/`, whose slashes are escaped afterwards."""
        return f"/Date({round(self.seconds * 1000)})/"

    def in_iso(self) -> str:
        """ISO 8601 with the seven decimals of .NET."""
        return f"{datetime.fromtimestamp(self.seconds, UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=Moment.in_json)
_json_iso = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=Moment.in_iso)


def media_type(request: Received) -> str:
    """The content type of the request's body, without parameters."""
    return (request.header("content-type") or "").partition(";")[0].strip().lower()


def negotiated(request: Received, verb: str, named: str | None) -> Format:
    """The format of the answer: a suffix or `?format=` if given, else the first type of Accept that is known."""
    if named in NAMED:
        return NAMED[named]
    accept = request.header("accept")
    if accept is None:
        return Format.HTML
    if not accept:
        return Format.NOTHING
    for entry in accept.split(","):
        kind = entry.partition(";")[0].strip().lower()
        if kind == "*/*":
            return Format.HTML if verb == "GET" else _OF_BODY.get(media_type(request), Format.HTML)
        if kind in _ACCEPTED:
            return _ACCEPTED[kind]
    return Format.HTML


def in_json(value: object, *, iso: bool = False) -> str:
    """JSON as ServiceStack writes it: dates as escaped `Date(ms)`, or ISO 8601 when asked for."""
    if iso:
        return _json_iso.encode(value)
    return _DATE.sub(r'"\\/Date(\1)\\/"', _json.encode(value))


def in_xml(value: object, root: str) -> str:
    """XML with PascalCase elements in alphabetical order."""
    return f'<?xml version="1.0" encoding="utf-8"?><{root} xmlns="{NAMESPACE}">{_elements(value)}</{root}>'


def in_html(value: object, title: str) -> str:
    """A page for people, with the data embedded."""
    data = html.escape(in_json(value), quote=False)
    return f"<!doctype html>\n<title>{html.escape(title)}</title>\n<h1>{html.escape(title)}</h1>\n<pre>{data}</pre>\n"


def _elements(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = sorted((name[:1].upper() + name[1:], member) for name, member in value.items())
        return "".join(f"<{name}>{_elements(member)}</{name}>" for name, member in pairs)
    if isinstance(value, list | tuple):
        return "".join(f"<Item>{_elements(member)}</Item>" for member in value)
    if isinstance(value, bool):
        return str(value).lower()
    return escape(value.in_iso() if isinstance(value, Moment) else str(value))
