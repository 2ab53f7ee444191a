"""What the service says back, and how it reaches the client."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from evocall.sandbox.connection import Received

_CLOSED_AFTER = frozenset({400, 411, 500, 503})


class Delivery(Enum):
    """What becomes of an answer on its way to the client."""

    WHOLE = auto()
    HALF = auto()
    LATE = auto()
    RESET = auto()


@dataclass(frozen=True, slots=True)
class FieldError:
    """One entry of a ResponseStatus: which field is wrong, and why."""

    code: str
    field_name: str
    message: str
    meta: Mapping[str, str] | None = None

    def as_json(self) -> dict[str, object]:
        """The entry as it is written in the body; meta only when there is any."""
        entry: dict[str, object] = {"errorCode": self.code, "fieldName": self.field_name, "message": self.message}
        return entry | {"meta": dict(self.meta)} if self.meta else entry


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer other than success. Without a code it has no body; `page` replaces the body with HTML."""

    status: int
    code: str = ""
    message: str = ""
    errors: tuple[FieldError, ...] = ()
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    page: str = ""

    @property
    def phrase(self) -> str:
        """The reason phrase: the error code unless something else was measured."""
        return self.reason or self.code

    def as_json(self) -> dict[str, object]:
        """The ResponseStatus wrapper."""
        errors = [error.as_json() for error in self.errors]
        return {"responseStatus": {"errorCode": self.code, "message": self.message, "errors": errors}}


class ServiceError(Exception):
    """Carries a refusal up to where the answer is made."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


@dataclass(slots=True)
class Answer:
    """A response ready to be framed."""

    status: int
    reason: str
    body: bytes = b""
    content_type: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    delivery: Delivery = Delivery.WHOLE

    @property
    def closes(self) -> bool:
        """Whether the server ends the connection after this answer."""
        return self.status in _CLOSED_AFTER

    def encode(self, stamp: str, request: Received | None) -> bytes:
        """The bytes to send, `stamp` being the headers common to all answers of this second."""
        lines = [f"HTTP/1.1 {self.status} {self.reason}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in self.headers]
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}\r\n")
        closing = self.closes or request is None or request.wants_close
        ending = "Connection: close\r\n\r\n" if closing else "Keep-Alive: timeout=15,max=100\r\n\r\n"
        lines += [stamp, f"Content-Length: {len(self.body)}\r\n", ending]
        head = "".join(lines).encode("latin-1", "replace")
        return head if request is not None and request.method == "HEAD" else head + self.body
