"""The account's flows and phone numbers: finding a flow by its name, and listing both.

Pages: op=ListFlows, op=ListEndpoints. What the metadata leaves open is tolerated: a field that is missing is None.
"""

import difflib
import heapq
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evocall import listing
from evocall.answers import as_text
from evocall.errors import NotFound, UsageError
from evocall.listing import Reader
from evocall.model import Flow
from evocall.sessions import Limited, digits

QUIET_FOR = 1.0  # seconds of searching before anything is said
NEAREST = 3
ALIKE = 0.5  # of difflib's ratio, from which on a name counts as near


@dataclass(frozen=True)
class FlowInfo:
    """A flow as the service lists it; account and customer are names, or IDs where there is no name."""

    id: str
    name: str
    account: str | None
    customer: str | None


@dataclass(frozen=True)
class PhoneNumber:
    """A number that the account has; a virtual one has not been bought, and may not work as caller ID."""

    number: str
    name: str | None
    flow: str | None
    account: str | None
    virtual: bool


def flows(service: Reader, text: str = "", *, tell: Callable[[str], None] = lambda _: None) -> Iterator[FlowInfo]:
    """The flows whose names contain the text in any case; `tell` hears of a search that takes long."""
    filters = {"nameFilter": text} if text else {}
    for item in listing.items(Limited(service), "/flows", filters, seen=_patience(tell)):
        flow = FlowInfo(
            str(item.get("id") or ""),
            str(item.get("name") or ""),
            _owner(item, "account"),
            _owner(item, "customer"),
        )
        if flow.id and text.casefold() in flow.name.casefold():
            yield flow


def numbers(service: Reader, text: str = "", *, tell: Callable[[str], None] = lambda _: None) -> Iterator[PhoneNumber]:
    """The account's phone numbers that contain the text, in the number without punctuation or in the name."""
    wanted = "" if re.search("[A-Za-z]", text) else digits(text)
    for item in listing.items(Limited(service), "/endpoints", {"type": "PhoneNumber"}, seen=_patience(tell)):
        name = as_text(item.get("displayName"))
        number = as_text(item.get("phoneNumber")) or name or ""
        flow = as_text(item.get("flowName")) or as_text(item.get("flowId"))
        virtual = item.get("isVirtualPhoneNumber") is True
        if not text or (wanted and wanted in digits(number)) or text.casefold() in (name or "").casefold():
            yield PhoneNumber(number, name, flow, _owner(item, "account"), virtual)


def owns(service: Reader, e164: str) -> bool:
    """Whether the number is one that the account has bought."""
    wanted = digits(e164)
    return any(digits(owned.number) == wanted and not owned.virtual for owned in numbers(service))


def resolved(flow: Flow, service: Reader, *, tell: Callable[[str], None] = lambda _: None) -> Flow:
    """The flow with its ID: looked up when it was named, exactly and alone. Raises as `flow_named` does."""
    if not flow.pending:
        return flow
    return Flow(flow_named(service, flow.id, tell=tell).id, flow.alias or flow.id)


def flow_named(service: Reader, name: str, *, tell: Callable[[str], None] = lambda _: None) -> FlowInfo:
    """The one flow with exactly this name.

    Raises UsageError when several have it, NotFound with the nearest names when none has.
    """
    found = [flow for flow in flows(service, name, tell=tell) if flow.name == name]
    if len(found) == 1:
        return found[0]
    if not found:
        raise _no_such_flow(name, _nearest(name, flows(service, tell=tell)))
    raise UsageError(
        f"{len(found)} flows are called {name!r}: {'; '.join(_described(flow) for flow in found)}.",
        hint=f"Name one by its ID: --flow {found[0].id}",
        code="ambiguous_flow",
    )


def _nearest(name: str, candidates: Iterator[FlowInfo]) -> list[str]:
    """The names most like the one that was typed, best first."""
    matcher = difflib.SequenceMatcher(b=name.casefold())

    def likeness(candidate: str) -> float:
        matcher.set_seq1(candidate.casefold())
        return matcher.ratio() if matcher.quick_ratio() >= ALIKE else 0.0

    rated = ((likeness(flow.name), flow.name) for flow in candidates)
    best = heapq.nlargest(NEAREST, (pair for pair in rated if pair[0] >= ALIKE))
    return list(dict.fromkeys(name for _, name in best))


def _no_such_flow(name: str, nearest: list[str]) -> NotFound:
    meant = f" Did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
    return NotFound(
        f"No flow is called {name!r}.{meant}",
        hint="evocall flows lists them; capital letters and blanks count.",
        code="no_such_flow",
    )


def _described(flow: FlowInfo) -> str:
    owners = [f"{what} {owner}" for what, owner in (("account", flow.account), ("customer", flow.customer)) if owner]
    return ", ".join([flow.id, *owners])


def _owner(item: Mapping[str, Any], kind: str) -> str | None:
    return as_text(item.get(f"{kind}Name")) or as_text(item.get(f"{kind}Id"))


def _patience(tell: Callable[[str], None]) -> Callable[[int], None]:
    """Says how far a search is, for the first time after a second, then ever more seldom."""
    begin, said = time.monotonic(), QUIET_FOR

    def seen(count: int) -> None:
        nonlocal said
        if time.monotonic() - begin >= said:
            tell(f"still searching: {count:,} looked at so far.")
            said *= 3

    return seen
