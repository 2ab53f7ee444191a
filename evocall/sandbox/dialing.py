"""POST /sessions/outgoing: validate, check flow and caller ID, then place the call or fail as rehearsed."""

import re

from evocall.sandbox.answers import FieldError, Refusal, ServiceError
from evocall.sandbox.calls import Calls
from evocall.sandbox.exchange import Exchange
from evocall.sandbox.faults import Faults
from evocall.sandbox.fields import Fields
from evocall.sandbox.inventory import Flow, Inventory
from evocall.sandbox.listing import Sessions

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class Dialing:
    """Places calls."""

    def __init__(self, calls: Calls, sessions: Sessions, inventory: Inventory) -> None:
        self._calls = calls
        self._sessions = sessions
        self._inventory = inventory
        self._faults = Faults()

    def dial(self, exchange: Exchange) -> object:
        """Place a call and give its session, unless the number asks for something else."""
        _validate(exchange.fields)
        number = exchange.fields["numbertodial"]
        flow = self._flow(exchange.fields["flowid"])
        caller_id = self._caller_id(exchange.fields.get("callerid", ""), number)
        fault = self._faults.next_for(number)
        exchange.delivery = fault.delivery
        session = None
        if fault.places:
            by = exchange.username
            call = self._calls.place(number, flow, caller_id, placed_by=by, ending=fault.ending)
            session = self._sessions.info(call, call.placed_at, with_log=False)
        if fault.refusal:
            raise ServiceError(fault.refusal)
        return None if fault.silent else session

    def _flow(self, flow_id: str) -> Flow:
        flow = self._inventory.flow(flow_id)
        if flow is None:
            raise ServiceError(Refusal(404, "NotFound", "Flow not found"))
        return flow

    def _caller_id(self, wanted: str, number: str) -> str:
        if not wanted:
            return self._inventory.any_caller_id(number)
        if wanted not in self._inventory.numbers:
            message = f"{wanted} is not a phone number of this account"
            error = FieldError("ArgumentException", "CallerId", message)
            raise ServiceError(Refusal(400, error.code, f"{message}\nParameter name: CallerId", (error,)))
        return wanted


def _validate(fields: Fields) -> None:
    number = fields.get("numbertodial", "")
    errors = []
    if not fields.get("flowid", "").strip():
        errors.append(empty("FlowId", "Flow Id"))
    if not number.strip():
        errors.append(empty("NumberToDial", "Number To Dial"))
    elif not _E164.fullmatch(number):
        meta = {"PropertyName": "Number To Dial", "PropertyValue": number}
        message = "'Number To Dial' is not in E.164 format."
        errors.append(FieldError("InvalidNumber", "NumberToDial", message, meta))
    if errors:
        raise ServiceError(Refusal(400, errors[0].code, errors[0].message, tuple(errors)))


def empty(field_name: str, shown: str) -> FieldError:
    """What a validator says about a field that has no value."""
    return FieldError("NotEmpty", field_name, f"'{shown}' must not be empty.", {"PropertyName": shown})
