"""The fault table: the last digits of a fictional number choose what happens to its call."""

import re
import threading
from collections import Counter
from dataclasses import dataclass

from evocall.sandbox.answers import Delivery, FieldError, Refusal
from evocall.sandbox.calls import Ending

_FICTIONAL = re.compile(r"\+1\d{3}5550(1\d\d)", re.ASCII)
_PROXY_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
_AGAIN_IN_1_S = (("Retry-After", "1"),)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, if anything: is the call placed, how does it end, what is said, how does that arrive."""

    places: bool = True
    ending: Ending = Ending.ANSWERED
    refusal: Refusal | None = None
    delivery: Delivery = Delivery.WHOLE
    silent: bool = False
    passes: bool = False


NO_FAULT = Fault()

_FIELD_ERRORS = (
    FieldError("InvalidNumber", "NumberToDial", "'Number To Dial' cannot be called."),
    FieldError("InvalidFlow", "FlowId", "'Flow Id' cannot be run on an outgoing call."),
)
_CHALLENGE = (("WWW-Authenticate", 'basic realm="/auth/basic"'),)
_TWILIO = Refusal(500, "Exception", "Twilio: unable to create record")

FAULTS = {
    "104": Fault(silent=True),
    "111": Fault(ending=Ending.BUSY),
    "112": Fault(ending=Ending.NO_ANSWER),
    "113": Fault(ending=Ending.FAILED),
    "114": Fault(ending=Ending.VOICEMAIL),
    "129": Fault(
        places=False,
        refusal=Refusal(429, "TooManyRequests", "Rate limit exceeded", headers=_AGAIN_IN_1_S),
        passes=True,
    ),
    "140": Fault(
        places=False,
        refusal=Refusal(400, _FIELD_ERRORS[0].code, _FIELD_ERRORS[0].message, _FIELD_ERRORS),
    ),
    "141": Fault(places=False, refusal=Refusal(401, reason="Unauthorized", headers=_CHALLENGE)),
    "143": Fault(places=False, refusal=Refusal(403, reason="Invalid Role")),
    "144": Fault(places=False, refusal=Refusal(404, "NotFound", "Flow not found")),
    "150": Fault(places=False, refusal=_TWILIO),
    "151": Fault(refusal=_TWILIO),
    "152": Fault(refusal=Refusal(502, reason="Bad Gateway", page=_PROXY_PAGE)),
    "153": Fault(
        places=False,
        refusal=Refusal(503, "ServiceUnavailable", "Try again later", headers=_AGAIN_IN_1_S),
        passes=True,
    ),
    "160": Fault(delivery=Delivery.RESET),
    "161": Fault(places=False, delivery=Delivery.RESET),
    "162": Fault(delivery=Delivery.LATE),
    "163": Fault(delivery=Delivery.HALF),
}


class Faults:
    """Looks faults up, and remembers whose turn it is for those that pass."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next_for(self, number: str) -> Fault:
        """What happens to this request for a call to `number`. A fault that passes is there every other time."""
        fictional = _FICTIONAL.fullmatch(number)
        fault = FAULTS.get(fictional[1], NO_FAULT) if fictional else NO_FAULT
        if not fault.passes:
            return fault
        with self._lock:
            self._asked[number] += 1
            return fault if self._asked[number] % 2 else NO_FAULT
