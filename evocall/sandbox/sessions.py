"""How calls are shown: SessionInfo, and the CallInfo of a live call."""

from evocall.sandbox.calls import Call, Ending
from evocall.sandbox.inventory import COMPANY_ID, COMPANY_NAME, endpoint_id
from evocall.sandbox.wire import Moment


def session_info(call: Call, now: float, *, with_log: bool) -> dict[str, object]:
    """SessionInfo. Only lists carry the log; a single session has it empty."""
    steps = call.log(now)
    ended = call.ended(now)
    info: dict[str, object] = {
        "id": call.id,
        "dateCreated": Moment(call.placed_at),
        "dateLastModified": Moment(steps[-1].at),
        "createdBy": call.placed_by,
        "dialState": "None" if ended else "Active",
        "callState": steps[-1].state,
        "queueState": "None",
        "accountId": COMPANY_ID,
        "accountName": COMPANY_NAME,
        "endpointId": endpoint_id(call.caller_id),
        "endpointName": call.caller_id,
        "destination": call.number,
        "numberToDial": call.number,
        "toAddress": call.number,
        "fromAddress": call.caller_id,
        "flowId": call.flow.id,
        "flowName": call.flow.name,
        "channel": "Voice",
        "direction": "Outgoing",
        "callSid": call.sid,
        "ended": ended,
        "wasMissed": ended and not call.outcome().picks_up,
        "log": [{"date": Moment(step.at), "message": step.message} for step in steps] if with_log else [],
    }
    if ended:
        info["dateCompleted"] = Moment(steps[-1].at)
        info["outcome"] = call.outcome()
    return info


def call_info(call: Call, now: float) -> dict[str, object]:
    """CallInfo of a running call, in Twilio's words."""
    connected = call.connected(now)
    info: dict[str, object] = {
        "sid": call.sid,
        "accountSid": f"AC{COMPANY_ID:0>32}",
        "phoneNumberSid": f"PN{endpoint_id(call.caller_id):0>32}",
        "status": "in-progress" if connected else "ringing",
        "direction": "outbound-api",
        "to": call.number,
        "toFormatted": call.number,
        "from": call.caller_id,
        "fromFormatted": call.caller_id,
        "dateCreated": Moment(call.placed_at),
        "dateUpdated": Moment(call.log(now)[-1].at),
        "duration": int(now - call.answered_at) if connected else 0,
        "uri": f"/2010-04-01/Accounts/AC{COMPANY_ID:0>32}/Calls/{call.sid}.json",
    }
    if connected:
        info["startTime"] = Moment(call.answered_at)
        info["answeredBy"] = "machine_start" if call.ending is Ending.VOICEMAIL else "human"
    return info
