"""`evocall numbers`, and what a rehearsal says of a caller ID that is not among them."""

import json

import pytest

from evocall import catalog
from evocall.sandbox import Account, Sandbox
from tests.faultserver import FaultServer, answering, http

NUMBER = "+18145550100"
OWNED = ["+12025550192", "+18145550190", "+18145550191"]
VIRTUAL = "+18145550199"


@pytest.fixture
def rehearse(evocall):
    """Rehearses a dial with that caller ID while the service is asked; exit code and what was said on stderr."""

    def run(caller_id, *arguments):
        result = evocall("dial", NUMBER, "--caller-id", caller_id, "--dry-run", *arguments)
        return result.code, [line for line in result.err.splitlines() if not line.startswith((">", "<"))]

    return run


def endpoints(*items):
    """A server with these endpoints."""
    body = json.dumps({"items": items, "hasMorePages": False}).encode()
    return FaultServer(answering(http("200 OK", body)))


def test_all_numbers_are_listed_with_their_use(evocall, signed_in):
    """A virtual one is marked, since it may not work."""
    result = evocall("numbers")
    heading, *lines = result.out.splitlines()
    assert (result.code, result.err) == (0, "")
    assert heading.split() == ["number", "name", "flow", "account", "caller", "ID"]
    assert [line.split()[0] for line in lines] == [*OWNED, VIRTUAL]
    assert [line.rpartition("  ")[2] for line in lines] == ["yes"] * 3 + ["no: virtual, not bought"]


@pytest.mark.parametrize(
    ("text", "expected"), [("202", OWNED[:1]), ("(814) 555-019", [*OWNED[1:], VIRTUAL]), ("0191", OWNED[2:]), ("x", [])]
)
def test_a_text_narrows_the_list(evocall, signed_in, text, expected):
    result = evocall("numbers", text, "--json")
    assert (result.code, [owned["number"] for owned in json.loads(result.out)]) == (0, expected)


def test_json_is_an_array_of_numbers(evocall, signed_in, started):
    assert json.loads(evocall("numbers", "0199", "--json").out) == [
        {"number": VIRTUAL, "name": VIRTUAL, "flow": None, "account": "Example Company", "virtual": True}
    ]
    started(endpoints({"phoneNumber": "+18145550190", "displayName": "Desk", "flowName": "welcome"}))
    assert json.loads(evocall("numbers", "--json").out) == [
        {"number": "+18145550190", "name": "Desk", "flow": "welcome", "account": None, "virtual": False}
    ]


def test_no_number_is_no_error(evocall, signed_in, started):
    result = evocall("numbers", "777")
    assert (result.code, result.out, result.err) == (0, "", "evocall: no number has '777' in it.\n")
    assert evocall("numbers", "777", "--json").out == "[]\n"
    started(endpoints())
    assert evocall("numbers").err == "evocall: the account has no phone numbers.\n"


def test_the_sandbox_lists_its_numbers_without_an_account(evocall):
    numbers = json.loads(evocall("numbers", "--sandbox", "--json").out)
    assert [owned["number"] for owned in numbers] == [*OWNED, VIRTUAL]


def test_only_phone_numbers_are_asked_for(evocall, signed_in):
    """Endpoints are also users, teams and fax machines."""
    evocall("numbers")
    (request,) = signed_in.requests
    assert request.path.startswith("/endpoints?")
    assert "type=PhoneNumber" in request.path


def test_names_move_no_cursor(evocall, signed_in, started):
    started(endpoints({"phoneNumber": "+18145550190", "displayName": "\x1b[2Jgone [bold]x[/bold]"}))
    assert "\\x1b[2Jgone [bold]x[/bold]" in evocall("numbers").out


def test_a_role_that_may_not_list_numbers_is_told_so(evocall, monkeypatch, signed_in, started):
    started(Sandbox(accounts=[Account("phone@example.com", "rings-nobody", ("User",))]))
    monkeypatch.setenv("EVOCALL_USERNAME", "phone@example.com")
    result = evocall("numbers", "--json")
    assert (result.code, json.loads(result.out)["error"]["code"]) == (6, "forbidden")


def test_a_long_search_says_how_far_it_is(evocall, monkeypatch, signed_in, started):
    """On stderr, where it harms no script; not when quiet."""
    monkeypatch.setattr(catalog, "QUIET_FOR", 0.0)
    started(Sandbox(most_per_page=2))
    said = [f"evocall: still searching: {n} looked at so far." for n in (2, 4)]
    assert evocall("numbers", "--json").err.splitlines() == said
    assert evocall("numbers", "--json", "--quiet").err == ""


# the caller ID of a rehearsal


@pytest.mark.parametrize("caller_id", ["+18145550105", VIRTUAL])
def test_a_caller_id_that_is_not_the_accounts_is_reported(rehearse, signed_in, caller_id):
    """As a warning: the service decides. A virtual number has not been bought."""
    code, said = rehearse(caller_id, "--verbose")
    assert code == 0
    assert f"evocall: warning: the caller ID {caller_id} is not among the account's numbers" in said[0]
    assert "evocall numbers" in said[0]
    assert signed_in.dials() == []


@pytest.mark.parametrize("caller_id", ["+18145550190", "(814) 555-0191"])
def test_a_caller_id_of_the_account_is_not(rehearse, signed_in, caller_id):
    assert rehearse(caller_id, "--verbose", "--region", "US") == (0, [])


def test_the_default_caller_id_is_looked_at_too(evocall, monkeypatch, signed_in):
    monkeypatch.setenv("EVOCALL_CALLER_ID", "+18145550105")
    assert "warning: the caller ID +18145550105" in evocall("dial", NUMBER, "--dry-run", "--verbose").err


def test_json_and_quiet_have_the_warning_beside_them(evocall, signed_in):
    """It is a warning about the next call, and stdout stays one document."""
    arguments = ("dial", NUMBER, "--caller-id", "+18145550105", "--dry-run", "--verbose")
    result = evocall(*arguments, "--json")
    assert json.loads(result.out)["outcome"] == "dry_run"
    assert "warning: the caller ID" in result.err
    assert "warning: the caller ID" in evocall(*arguments, "--quiet").err


def test_without_verbose_nothing_is_asked(rehearse, monkeypatch, signed_in):
    """A rehearsal works without a login."""
    monkeypatch.delenv("EVOCALL_PASSWORD")
    code, said = rehearse("+18145550105", "--flow", signed_in.flows[0].id)
    assert (code, said, signed_in.requests) == (0, [], [])


def test_without_a_caller_id_no_numbers_are_asked_for(evocall, signed_in):
    evocall("dial", NUMBER, "--dry-run", "--verbose")
    assert [request for request in signed_in.requests if request.path.startswith("/endpoints")] == []
