"""Which sessions are shown, when, and in what shape."""

import pytest

from evocall.sandbox import Ending, Sandbox

DAY = 86_400
NUMBER = "+18144043093"


def ids(client, query=""):
    """The IDs in the session list."""
    return [session["id"] for session in client.get(f"/sessions{query}").json["items"]]


def active(client):
    """The SIDs of the live calls."""
    return [call["sid"] for call in client.get("/calls/active").json["calls"]]


def test_after_15_days_a_session_is_in_the_archive(client, clock):
    """And there only: not in the usual list, and not to be read or ended alone."""
    old = client.dial().json["id"]
    clock.now += 15 * DAY - 1
    recent = client.dial().json["id"]
    assert (ids(client), ids(client, "?searchArchive=true")) == ([recent, old], [])
    clock.now += 1
    assert (ids(client), ids(client, "?searchArchive=true")) == ([recent], [old])
    assert ids(client, "?searchArchive=false") == [recent]
    assert client.get(f"/sessions/{recent}").status == 200
    for verb in ("GET", "DELETE"):
        reply = client.send(verb, f"/sessions/{old}", **client.manager)
        assert (reply.status, reply.error["message"]) == (404, "Session not found")


def test_the_archive_is_filtered_like_the_list(client_of, clock):
    """With the logs and the outcome kept; how soon sessions go there can be chosen."""
    with Sandbox(clock=clock, archive_after=60) as sandbox:
        client = client_of(sandbox)
        busy = client.dial("+18145550111").json["id"]
        client.dial()
        clock.now += 60
        assert ids(client) == []
        (session,) = client.get("/sessions?searchArchive=true&to=0111").json["items"]
        assert (session["id"], session["outcome"], len(session["log"])) == (busy, "Busy", 2)
        assert ids(client, f"?searchArchive=true&specificIds={busy}") == [busy]
        assert ids(client, "?searchArchive=true&accountIds=x") == []


def test_a_session_may_appear_late(client_of, clock):
    """The answer names it and the call rings, but it can be neither listed nor read nor ended before."""
    with Sandbox(clock=clock, shown_after=3) as sandbox:
        client = client_of(sandbox)
        session = client.dial().json
        path, specific = f"/sessions/{session['id']}", f"?specificIds={session['id']}"
        assert active(client) == [session["callSid"]]
        clock.now += 2
        assert (ids(client), ids(client, specific), client.get(path).status) == ([], [], 404)
        assert client.send("DELETE", path, **client.manager).status == 404
        assert active(client) == [session["callSid"]]
        clock.now += 1
        assert (ids(client), ids(client, specific), client.get(path).status) == ([session["id"]],) * 2 + (200,)
        assert client.send("DELETE", path, **client.manager).status == 204
        assert active(client) == []


def test_every_session_can_be_reshaped(client_of):
    """In the answer to a dial, alone and in lists; a call that is live is not a session and stays."""

    def reshape(session):
        date = session.pop("dateCreated").in_iso()
        del session["callSid"]
        return session | {"dateCreated": date, "callState": "Levitating", "more": [{"deep": None}]}

    with Sandbox(reshape=reshape) as sandbox:
        client = client_of(sandbox)
        dialled = client.dial().json
        alone = client.get(f"/sessions/{dialled['id']}").json
        (listed,) = client.get("/sessions").json["items"]
        for session in (dialled, alone, listed):
            assert (session["callState"], session["more"]) == ("Levitating", [{"deep": None}])
            assert session["dateCreated"].endswith("0Z")
            assert "callSid" not in session
        assert (alone["log"], len(listed["log"])) == ([], 1)
        assert active(client) == [sandbox.calls[0].sid]


def test_a_reshaped_session_is_made_anew_each_time(client_of):
    """What a test takes out of one answer is not missing from the next."""
    taken = []
    with Sandbox(reshape=lambda session: taken.append(session.pop("id")) or session) as sandbox:
        client = client_of(sandbox)
        client.dial()
        client.get("/sessions")
        assert taken == [sandbox.calls[0].id] * 2


def test_a_call_placed_elsewhere_is_one_without_a_request(client):
    """It rings now, from an owned number, on the first flow; somebody else placed it."""
    call = client.sandbox.place_elsewhere(NUMBER)
    assert (client.sandbox.requests, client.sandbox.dials(), client.sandbox.calls) == ([], [], [call])
    (session,) = client.get("/sessions").json["items"]
    assert (session["id"], session["callSid"], session["toAddress"]) == (call.id, call.sid, NUMBER)
    assert (session["callState"], session["flowName"]) == ("Ringing", "welcome")
    assert session["fromAddress"] in client.sandbox.numbers
    assert session["createdBy"] not in {account.username for account in client.sandbox.accounts}
    assert active(client) == [call.sid]


def test_a_call_placed_elsewhere_may_be_anything(client):
    """Another flow, caller ID and ending, and a beginning in the past."""
    flow = client.sandbox.flows[-1]
    client.sandbox.place_elsewhere(NUMBER, ending=Ending.BUSY, caller_id="+12125550100", flow=flow, seconds_ago=60)
    (session,) = client.get("/sessions").json["items"]
    assert (session["outcome"], session["fromAddress"], session["flowId"]) == ("Busy", "+12125550100", flow.id)
    assert session["dateCreated"] == "/Date(1795424579189)/"
    assert session["dateCompleted"] == "/Date(1795424581189)/"


def test_a_call_from_the_past_stands_where_it_began(client):
    """Lists are by time, whenever the call became known."""
    now = client.dial().json["id"]
    earlier = client.sandbox.place_elsewhere(NUMBER, seconds_ago=30).id
    earliest = client.sandbox.place_elsewhere(NUMBER, seconds_ago=90).id
    ancient = client.sandbox.place_elsewhere(NUMBER, seconds_ago=20 * DAY).id
    assert ids(client) == [now, earlier, earliest]
    assert ids(client, "?searchArchive=true") == [ancient]
    assert [call.id for call in client.sandbox.calls] == [ancient, earliest, earlier, now]


def test_a_call_placed_elsewhere_can_be_hung_up(client, clock):
    """Like any other."""
    call = client.sandbox.place_elsewhere(NUMBER, seconds_ago=3)
    assert client.send("DELETE", f"/sessions/{call.id}", **client.manager).status == 204
    assert (call.ended(clock.now), call.outcome()) == (True, Ending.ANSWERED)


@pytest.mark.parametrize("ending", Ending)
def test_a_call_placed_elsewhere_ends_as_told(client, clock, ending):
    """The number's own fault is not played."""
    client.sandbox.place_elsewhere("+18145550112", ending=ending)
    clock.now += 60
    (session,) = client.get("/sessions").json["items"]
    assert session["outcome"] == ending.value


def test_sessions_are_found_by_customer_and_endpoint(client):
    """The customer is the one of the flow; lists are comma-joined or repeated."""
    branch = client.sandbox.flows[-1]
    theirs = client.dial(flow=branch.id, caller_id="+18145550190").json
    ours = client.dial(caller_id="+12025550192").json
    endpoints = [theirs["endpointId"], ours["endpointId"]]
    found = {
        f"?customerIds={branch.customer_id}": [theirs["id"]],
        f"?customerIds=x,{branch.customer_id}": [theirs["id"]],
        "?customerIds=x,": [],
        f"?endpointIds={endpoints[0]}": [theirs["id"]],
        f"?endpointIds={endpoints[0]}&endpointIds={endpoints[1]}": [ours["id"], theirs["id"]],
        f"?endpointIds={endpoints[1]}&customerIds={branch.customer_id}": [],
    }
    assert {query: ids(client, query) for query in found} == found


def test_sessions_are_found_by_what_their_log_says(client, clock):
    """As far as it goes by now, in upper or lower case."""
    person = client.dial().json["id"]
    machine = client.dial("+18145550114").json["id"]
    assert (ids(client, "?log=Dialing"), ids(client, "?log=answered")) == ([machine, person], [])
    clock.now += 3
    assert ids(client, "?log=by+a+MACHINE") == [machine]
    assert ids(client, "?log=call+ended") == []


def test_no_session_has_a_parent(client):
    """So a parent finds nothing, and an empty one is no filter."""
    session = client.dial().json["id"]
    assert ids(client, f"?parentSessionId={session}") == []
    assert ids(client, "?parentSessionId=") == [session]


def test_addresses_are_compared_as_stored(client):
    """With their plus, which a query has to escape."""
    session = client.dial(NUMBER, caller_id="+18145550190").json["id"]
    assert ids(client, "?to=%2B18144043093&from=%2B1814") == [session]
    assert ids(client, "?to=+18144043093") == []
    assert ids(client, "?to=814-404-3093") == []


def test_sessions_are_sorted_by_date(client, clock):
    """Either way."""
    first = client.dial().json["id"]
    clock.now += 1
    second = client.dial().json["id"]
    assert ids(client, "?sortField=dateCreated&sortOrder=Ascend") == [first, second]
    assert ids(client, "?sortField=dateCreated&sortOrder=Descend") == [second, first]


def test_the_length_of_a_page_may_be_capped(client_of):
    """Silently: fewer rows come, and pages are counted in the shorter length, even where all were asked for."""
    with Sandbox(most_per_page=4) as sandbox:
        client = client_of(sandbox)
        newest_first = [client.dial().json["id"] for _ in range(10)][::-1]
        first = client.get("/sessions?countPerPage=100").json
        assert [session["id"] for session in first["items"]] == newest_first[:4]
        assert (first["totalCount"], first["totalPages"]) == (10, 3)
        assert ids(client, "?countPerPage=100&page=1") == newest_first[4:8]
        assert ids(client, "?countPerPage=100&page=2") == newest_first[8:]
        assert ids(client, "?countPerPage=3&page=1") == newest_first[3:6]
        assert ids(client) == ids(client, "?all=true") == newest_first[:4]
        last_but_one = client.get("/sessions?countPerPage=9&page=1&simplifiedPaging=true").json
        assert (len(last_but_one["items"]), last_but_one["hasMorePages"]) == (4, True)
        assert client.get("/sessions?all=true&simplifiedPaging=true").json["hasMorePages"] is True
        for path in ("flows", "endpoints", "accounts"):
            assert len(client.get(f"/{path}?all=true").json["items"]) <= 4
        assert len(client.get("/flows?all=true").json["items"]) == 4
