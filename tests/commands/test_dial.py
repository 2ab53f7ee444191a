"""`evocall dial` against a real sandbox over real HTTP."""

import json


def test_a_placed_call_shows_a_receipt(evocall, signed_in):
    """The receipt says whom, where, by which flow, from which account, as which session."""
    result = evocall("dial", "+18145550100")
    [call] = signed_in.calls
    assert result.code == 0
    assert result.out.startswith("placed    +1 814-555-0100   US, ")
    assert f"session   {call.id}" in result.out
    assert result.err == ""


def test_exactly_the_documented_fields_are_posted(evocall, signed_in):
    """Without a caller ID the field is not sent at all."""
    evocall("dial", "+18145550100")
    [request] = signed_in.dials()
    assert json.loads(request.body) == {"flowId": signed_in.flows[0].id, "numberToDial": "+18145550100"}


def test_a_caller_id_is_sent_in_e164(evocall, signed_in):
    """However it was typed."""
    result = evocall("dial", "(814) 555-0100", "--region", "us", "--caller-id", "814 555 0190", "--json")
    [request] = signed_in.dials()
    assert json.loads(request.body)["callerId"] == "+18145550190"
    assert json.loads(result.out)["caller_id"] == "+18145550190"
