"""A call's life, seen through GET /sessions and its relatives."""

import pytest

from evocall.sandbox import Sandbox


def listed(client, query=""):
    """The items of the session list."""
    return client.get(f"/sessions{query}").json["items"]


def test_a_call_rings_talks_and_ends(client, clock):
    """Two seconds to answer, five to talk; the list carries a log of it."""
    client.dial()
    seen = []
    for _ in range(8):
        (session,) = listed(client)
        seen.append((session["callState"], session["dialState"], session["ended"], len(session["log"])))
        clock.now += 1
    ringing, talking = ("Ringing", "Active", False, 1), ("Connected", "Active", False, 3)
    assert seen == [ringing] * 2 + [talking] * 5 + [("Disconnected", "None", True, 4)]


def test_the_end_of_a_call_has_a_date_and_an_outcome(client, clock):
    """Both are left out before."""
    client.dial()
    assert not {"outcome", "dateCompleted"} & set(listed(client)[0])
    clock.now += 60
    (session,) = listed(client)
    assert (session["outcome"], session["wasMissed"]) == ("Answered", False)
    assert session["dateCompleted"] == "/Date(1795424646189)/"
    assert session["log"][-1]["date"] == session["dateCompleted"]


@pytest.mark.parametrize(
    ("number", "outcome", "missed"),
    [
        ("+18145550111", "Busy", True),
        ("+18145550112", "No Answer", True),
        ("+18145550113", "Failed", True),
        ("+18145550114", "Voicemail", False),
    ],
)
def test_calls_end_as_their_number_says(client, clock, number, outcome, missed):
    """Busy, no answer, failed, and a machine that picks up."""
    client.dial(number)
    clock.now += 60
    (session,) = listed(client)
    assert (session["outcome"], session["wasMissed"]) == (outcome, missed)


def test_the_pace_of_life_can_be_chosen(client_of, clock):
    """Zero seconds make a call that has ended at once."""
    with Sandbox(clock=clock, answer_after=0, talk_for=0) as sandbox:
        assert client_of(sandbox).dial().json["ended"] is True


def test_a_single_session_has_no_log(client):
    """Only lists carry it."""
    session = client.dial().json
    assert client.get(f"/sessions/{session['id']}").json == session
    assert session["log"] == []


def test_an_unknown_session_is_not_found(client):
    """In JSON, for reading as for hanging up."""
    replies = [client.get("/sessions/0"), client.send("DELETE", "/sessions/0", **client.manager)]
    assert [(reply.status, reply.error["message"]) for reply in replies] == [(404, "Session not found")] * 2


@pytest.mark.parametrize(("after", "outcome"), [(1, "Canceled"), (3, "Answered")])
def test_hanging_up_ends_a_call_at_once(client, clock, after, outcome):
    """Before it is answered it counts as canceled."""
    path = f"/sessions/{client.dial().json['id']}"
    clock.now += after
    assert client.send("DELETE", path, **client.manager).status == 204
    (session,) = listed(client)
    assert (session["callState"], session["ended"], session["outcome"]) == ("Disconnected", True, outcome)
    assert session["log"][-1]["message"] == "Hung up"


def test_hanging_up_again_changes_nothing(client, clock):
    """A call that has ended stays as it is."""
    path = f"/sessions/{client.dial().json['id']}"
    clock.now += 60
    before = client.get(path).json
    client.send("DELETE", path, **client.manager)
    assert client.get(path).json == before


def test_hanging_up_may_be_forbidden(client_of):
    """On a host where only phone users may."""
    with Sandbox(manager_may_hang_up=False) as sandbox:
        client = client_of(sandbox)
        path = f"/sessions/{client.dial().json['id']}"
        reply = client.send("DELETE", path, **client.manager)
    assert (reply.status, reply.reason, reply.body) == (403, "Invalid Role", b"")


def test_active_calls_are_told_in_twilios_words(client, clock):
    """Ringing, in progress with who answered, then gone."""
    client.dial("+18145550114")
    (call,) = client.get("/calls/active").json["calls"]
    assert (call["status"], call["to"], call["duration"]) == ("ringing", "+18145550114", 0)
    clock.now += 4
    (call,) = client.get("/calls/active?accountId=5f0000000000000000000001").json["calls"]
    assert (call["status"], call["answeredBy"], call["duration"]) == ("in-progress", "machine_start", 2)
    assert client.get("/calls/active?accountId=other").json == {"calls": []}
    clock.now += 60
    assert client.get("/calls/active").json == {"calls": []}


def test_a_customer_may_not_see_active_calls(client):
    """But may list sessions, which asks for no role."""
    assert client.send("GET", "/calls/active", **client.customer).status == 403
    assert client.send("GET", "/sessions", **client.customer).status == 200


def test_sessions_are_filtered(client, clock):
    """By parts of the addresses, account, ID and day."""
    first = client.dial("+18144043093", caller_id="+18145550190").json["id"]
    clock.now += 86_400
    second = client.dial("+12125550100", caller_id="+12025550192").json["id"]
    assert [session["id"] for session in listed(client)] == [second, first]
    found = {
        "?sortOrder=Ascend": [first, second],
        "?to=4043": [first],
        "?from=2025550192": [second],
        f"?specificIds={first},x": [first],
        "?accountIds=5f0000000000000000000001,x": [second, first],
        "?accountIds=x": [],
        "?startDate=2026-11-24": [second],
        "?endDate=2026-11-23": [first],
        "?startDate=2026-11-23&endDate=2026-11-24": [second, first],
        "?startDate=soon": [second, first],
    }
    assert {query: [session["id"] for session in listed(client, query)] for query in found} == found


def test_lists_come_in_pages(client):
    """Counted from 0, 25 to a page, with totals unless paging is simplified."""
    ids = [client.dial().json["id"] for _ in range(27)][::-1]
    first = client.get("/sessions").json
    assert (len(first["items"]), first["totalCount"], first["totalPages"]) == (25, 27, 2)
    assert [session["id"] for session in listed(client, "?page=1")] == ids[25:]
    assert listed(client, "?page=2") == []
    assert len(listed(client, "?all=true")) == 27
    simple = client.get("/sessions?simplifiedPaging=true&countPerPage=9&page=1").json
    assert (len(simple["items"]), simple["hasMorePages"], "totalCount" in simple) == (9, True, False)
    assert client.get("/sessions?simplifiedPaging=true&page=1").json["hasMorePages"] is False
    assert client.get("/sessions?page=x").status == 400
