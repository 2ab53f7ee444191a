"""ListResponse: the rows that were asked for by ID, one page of them, and how many there are."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from evocall.sandbox.answers import Refusal, ServiceError
from evocall.sandbox.fields import Fields

_PER_PAGE = 25


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


Row = TypeVar("Row")
Identified = TypeVar("Identified", bound=_Identified)


def specific(rows: Sequence[Identified], fields: Fields) -> Sequence[Identified]:
    """Only the rows named by `specificIds`, or all of them without it."""
    wanted = fields.get("specificids")
    if not wanted:
        return rows
    ids = set(wanted.split(","))
    return [row for row in rows if row.id in ids]


def among(fields: Fields, name: str, value: str) -> bool:
    """Whether the list in this field has the value, or is not there to choose by."""
    wanted = fields.get(name)
    return not wanted or value in filter(None, wanted.split(","))


def page_of(
    rows: Sequence[Row], fields: Fields, as_json: Callable[[Row], dict[str, object]], most: int | None = None
) -> dict[str, object]:
    """The page that was asked for, counted from 0, as ListResponse; no page has more than `most` rows."""
    page, size = max(_number(fields, "page", 0), 0), max(_number(fields, "countperpage", _PER_PAGE), 1)
    if fields.get("all", "").lower() == "true":
        page, size = 0, max(len(rows), 1)
    size = min(size, most or size)
    items = [as_json(row) for row in rows[page * size : (page + 1) * size]]
    if fields.get("simplifiedpaging", "").lower() == "true":
        return {"items": items, "hasMorePages": len(rows) > (page + 1) * size}
    return {"items": items, "totalCount": len(rows), "totalPages": -(-len(rows) // size)}


def _number(fields: Fields, name: str, default: int) -> int:
    try:
        return int(fields.get(name) or default)
    except ValueError:
        message = f"{name} is not a whole number"
        raise ServiceError(Refusal(400, "SerializationException", message, reason="Bad Request")) from None
