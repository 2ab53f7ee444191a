"""What a reply says: its JSON, ServiceStack's ResponseStatus, and whether it can be the service's own at all."""

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from evocall.errors import FieldError
from evocall.transport import NO_CONTENT, Reply

PARTIAL = 206
DEEPEST = 100  # levels of an answer's JSON
HALF_A_SECOND = timedelta(seconds=0.5)  # the Date header knows no fractions


class Said(NamedTuple):
    """ServiceStack's ResponseStatus, or as much of it as there was."""

    code: str | None = None
    message: str | None = None
    fields: tuple[FieldError, ...] = ()

    @property
    def is_error(self) -> bool:
        """Whether it tells of an error, whatever the status of the answer; a message alone does not."""
        return self.code is not None or bool(self.fields)

    def __str__(self) -> str:
        return ": ".join(part for part in (self.code, self.message) if part)


def trouble(reply: Reply) -> tuple[str, str] | None:
    """Why a successful status cannot be believed, and the code for it; None when it can."""
    answered = f"the service answered {reply.status}, but"
    if flaw := reply.flaw or _missing(reply):
        return f"{answered} its answer is not whole ({flaw})", "half_answer"
    if is_page(reply):
        return f"an HTML page came back with status {reply.status} instead of the service's answer", "html_answer"
    claims_json = "json" in reply.media_type or _start(reply).startswith((b"{", b"["))
    if claims_json and reply.body.strip() and not _is_json(reply.body):
        return f"{answered} its answer is not whole (broken JSON)", "half_answer"
    if said(value_of(reply)).is_error:
        return f"{answered} its answer tells of an error", "error_answer"
    return None


def _missing(reply: Reply) -> str | None:
    """What of a reply cannot have come, by its status and headers; None when all of it may have."""
    if reply.status == PARTIAL:
        return "a part that was not asked for"
    framed = reply.status == NO_CONTENT or "content-length" in reply.headers or "transfer-encoding" in reply.headers
    return None if reply.body or framed else "nothing came, and nothing says that there was no more"


def is_page(reply: Reply) -> bool:
    """Whether the body is markup, HTML as a rule, which the API never sends."""
    return "html" in reply.media_type or _start(reply).startswith(b"<")


def _start(reply: Reply) -> bytes:
    """The body from its first character on, without the marks of an encoding."""
    return reply.body.lstrip(b"\xef\xbb\xbf\xfe\xff\0 \t\r\n")


def _is_json(body: bytes) -> bool:
    try:
        _parsed(body)
    except (ValueError, RecursionError):
        return False
    return True


def value_of(reply: Reply) -> Any:
    """The body as JSON, else as text, None when there is none."""
    if not reply.body.strip():
        return None
    try:
        return _parsed(reply.body)
    except (ValueError, RecursionError):
        return reply.body.decode("utf-8", errors="replace")


def _parsed(body: bytes) -> Any:
    """JSON, with the numbers that Python knows and JSON does not kept as texts.

    Raises ValueError for what is nested deeper than it could be written down again.
    """
    value = json.loads(body, parse_constant=str, parse_float=_finite)
    level = [value]
    for _ in range(DEEPEST):
        level = [item for outer in level for item in _inside(outer)]
        if not level:
            return value
    raise ValueError


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _finite(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def session_id(value: Any) -> str | None:
    """The `id` of a SessionInfo, else a `callSid`; neither is documented for NewOutgoingSession."""
    fields = _lower_keys(value)
    found = fields.get("id") or fields.get("callsid")
    return found if isinstance(found, str) and found.isprintable() else None


def said(value: Any) -> Said:
    """ServiceStack's ResponseStatus in camel or Pascal case; of a plain text, its beginning."""
    if isinstance(value, str) and not value.lstrip("\ufeff\0 \t\r\n").startswith("<"):
        return Said(message=value.strip()[:500])
    status = _response_status(value)
    errors = [_lower_keys(entry) for entry in as_list(status.get("errors"))]
    fields = tuple(
        FieldError(_camel(str(entry.get("fieldname") or "")), _without_parameter(str(entry.get("message") or "")))
        for entry in errors
    )
    message = _without_parameter(str(status.get("message") or ""))
    return Said(as_text(status.get("errorcode")), message or None, fields)


def _response_status(value: Any) -> dict[str, Any]:
    """That of an answer, else an error that came without one around it; a session has an `errorCode` of its own."""
    answer = _lower_keys(value)
    plain = as_text(answer.get("errorcode")) and session_id(value) is None
    return answer if plain else _lower_keys(answer.get("responsestatus"))


def _lower_keys(value: Any) -> dict[str, Any]:
    return {str(key).lower(): item for key, item in value.items()} if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str | None:
    """The value when it is a text with something in it."""
    return value if isinstance(value, str) and value else None


def _without_parameter(message: str) -> str:
    """.NET's ArgumentException says the parameter again on a line of its own."""
    return message.partition("\nParameter name:")[0].strip()


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def retry_after(reply: Reply) -> float | None:
    """Seconds to wait (RFC 9110, 10.2.3): a number, or a date read against the server's own clock."""
    text = reply.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    until, now = _http_date(text), date_of(reply)
    return None if until is None or now is None else max(0.0, (until - now).total_seconds())


def date_of(reply: Reply) -> datetime | None:
    """When the server wrote the reply, by its own clock (RFC 9110, 6.6.1), in whole seconds."""
    return _http_date(reply.headers.get("date", ""))


def ahead(reply: Reply) -> timedelta | None:
    """By how much the server's clock is before ours, to about a second, going by a reply that has just come in."""
    date = date_of(reply)
    return None if date is None else date + HALF_A_SECOND - datetime.now(UTC)


def _http_date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
