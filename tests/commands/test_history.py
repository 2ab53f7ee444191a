"""`evocall history`: what was dialled from this machine, for eyes, scripts and spreadsheets."""

import csv
import io
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from evocall.earlier import Key
from evocall.errors import OutcomeUnknown, Rejected
from evocall.journal import Journal
from evocall.model import Answer, Flow, Number, NumberClass, Outcome, Plan, Profile
from tests.contract import CALL_KEYS

ANSWERS = {
    "placed": Answer(Outcome.PLACED, 200, "6743a0b1", {"id": "6743a0b1", "n": [1, None]}),
    "not_placed": Answer(Outcome.NOT_PLACED, 400, error=Rejected("The service refused the request (400).")),
    "unknown": Answer(Outcome.UNKNOWN, 500, error=OutcomeUnknown("the service answered 500.", code="server_error")),
}


@pytest.fixture
def path(home):
    return home / "evocall" / "journal.db"


@pytest.fixture
def called(path):
    """Puts a call into the journal: its number, what it came to, and how long ago that was."""

    def call(
        number="+18145550100",
        outcome="placed",
        *,
        ago=timedelta(0),
        at=None,
        profile="default",
        flow="f",
        campaign=None,
        once=None,
    ):
        callee = Number(number, number, number, number, "US", NumberClass.FIXED, ("America/New_York",))
        plan = Plan(callee, Flow(flow), None, Profile(profile, username="ops@example.com"))
        with Journal(path) as journal:
            reserved = journal.reserve(
                plan,
                lambda _: None,
                key=Key(once, campaign),
                username="ops@example.com",
                now=at or datetime.now(UTC) - ago,
                hold_back=timedelta(0),
            )
            journal.resolve(reserved, ANSWERS[outcome], timedelta(milliseconds=1234))

    return call


@pytest.fixture
def listed(evocall):
    """The numbers that `history` lists, by their last two digits."""

    def run(*arguments):
        result = evocall("history", "--json", *arguments)
        assert (result.code, result.err) == (0, "")
        return [call["number"][-2:] for call in json.loads(result.out)]

    return run


@pytest.fixture
def in_new_york():
    """Local time is New York's."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


def test_the_newest_call_comes_first(listed, called):
    for ending in ("00", "01", "02"):
        called(f"+181455501{ending}")
    assert listed() == ["02", "01", "00"]


def test_json_has_exactly_the_documented_keys_of_a_call(evocall, called):
    """For every outcome; what does not apply is null."""
    for outcome in ANSWERS:
        called(outcome=outcome, at=datetime(2026, 5, 5, 12, 0, 0, 123000, UTC))
    unknown, not_placed, placed = json.loads(evocall("history", "--json").out)
    assert [list(call) for call in (unknown, not_placed, placed)] == [CALL_KEYS] * 3
    expected = {
        "schema": 1,
        "outcome": "placed",
        "call": "0001",
        "number": "+18145550100",
        "flow": "f",
        "caller_id": None,
        "profile": "default",
        "base_url": "https://evovoice.io",
        "requested_at": "2026-05-05T12:00:00.123Z",
        "http_status": 200,
        "session_id": "6743a0b1",
        "response": {"id": "6743a0b1", "n": [1, None]},
        "error": None,
        "settled": None,
        "ending": None,
    }
    assert expected == placed
    assert (unknown["outcome"], unknown["error"]["code"]) == ("unknown", "server_error")
    assert list(not_placed["error"]) == ["code", "exit_code", "message", "hint", "fields"]


def test_dial_and_history_tell_the_same_of_a_call(evocall, signed_in):
    dialled = json.loads(evocall("dial", "+18145550100", "--json").out)
    assert json.loads(evocall("history", "--json").out) == [dialled]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["03", "02", "01", "00"]),
        (["--number", "+18145550101"], ["01"]),
        (["--number", "tel:+1-814-555-0101"], ["01"]),
        (["--number", "(814) 555-0101", "--region", "US"], ["01"]),
        (["--number", "+18145550199"], []),
        (["--outcome", "placed"], ["03", "00"]),
        (["--outcome", "not_placed"], ["01"]),
        (["--outcome", "unknown"], ["02"]),
        (["--campaign", "may"], ["02", "00"]),
        (["--campaign", "june"], []),
        (["--limit", "2"], ["03", "02"]),
        (["--limit", "1", "--outcome", "not_placed"], ["01"]),
        (["--since", "24h"], ["03", "02"]),
        (["--since", "90m"], ["03"]),
        (["--since", "3d"], ["03", "02", "01"]),
        (["--since", "2w"], ["03", "02", "01", "00"]),
        (["--since", "24h", "--campaign", "may", "--outcome", "unknown"], ["02"]),
    ],
)
def test_filters_narrow_the_list(listed, called, arguments, expected):
    """Each alone, and all together."""
    called("+18145550100", ago=timedelta(days=13), campaign="may")
    called("+18145550101", "not_placed", ago=timedelta(days=2))
    called("+18145550102", "unknown", ago=timedelta(hours=3), campaign="may")
    called("+18145550103")
    assert expected == listed(*arguments)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("2026-05-05T12:00:00Z", ["01"]),
        ("2026-05-05T14:00:00+02:00", ["01"]),
        ("2026-05-05T12:00:00.001Z", []),
        ("2026-05-05T11:59:59Z", ["01"]),
        ("2026-05-05T09:00:00Z", ["01", "00"]),
        ("2026-05-05T08:00", ["01"]),
        ("2026-05-05", ["01", "00"]),
        ("2026-05-06", []),
    ],
)
def test_since_is_a_moment_and_includes_it(listed, called, in_new_york, since, expected):
    """A time without an offset, or a mere date, is local time."""
    called("+18145550100", at=datetime(2026, 5, 5, 9, 0, tzinfo=UTC))
    called("+18145550101", at=datetime(2026, 5, 5, 12, 0, tzinfo=UTC))
    assert expected == listed("--since", since)


def test_fifty_calls_are_listed_unless_more_are_asked_for(listed, called):
    for _ in range(51):
        called()
    assert (len(listed()), len(listed("--limit", "100"))) == (50, 51)


def test_a_call_that_is_being_placed_is_found_by_the_outcome_that_it_shows(evocall, called, path):
    """It shows as unknown, and so it has to be among the unknown ones."""
    called()
    with Journal(path) as journal:
        callee = Number("x", "+18145550101", "x", "x", "US", NumberClass.FIXED, ())
        plan = Plan(callee, Flow("f"), None, Profile("default"))
        journal.reserve(plan, lambda _: None, key=Key(), username=None, now=datetime.now(UTC), hold_back=timedelta(0))
        everything = json.loads(evocall("history", "--json").out)
        unknown = json.loads(evocall("history", "--json", "--outcome", "unknown").out)
    assert [call["outcome"] for call in everything] == ["unknown", "placed"]
    assert unknown == everything[:1]


def test_csv_reads_back_as_what_was_dialled(evocall, called):
    """One line a call under a heading, with what a spreadsheet cannot find in the receipt."""
    called(once='a "key", with\nall of it', campaign="may", at=datetime(2026, 5, 5, 12, 0, tzinfo=UTC))
    called("+18145550101", "not_placed")
    result = evocall("history", "--csv")
    refused, placed = csv.DictReader(io.StringIO(result.out, newline=""))
    expected = {
        "call": "0001",
        "requested_at": "2026-05-05T12:00:00.000Z",
        "outcome": "placed",
        "number": "+18145550100",
        "flow": "f",
        "caller_id": "",
        "profile": "default",
        "base_url": "https://evovoice.io",
        "username": "ops@example.com",
        "once_key": 'a "key", with\nall of it',
        "campaign": "may",
        "attempt": "1",
        "duration_ms": "1234",
        "http_status": "200",
        "session_id": "6743a0b1",
        "error": "",
    }
    assert expected == placed
    assert (refused["outcome"], refused["http_status"], refused["error"]) == ("not_placed", "400", "rejected")


def test_the_table_says_what_when_and_why(evocall, called):
    called("+18145550100")
    called("+18145550101", "not_placed")
    heading, second, first = evocall("history").out.splitlines()
    assert heading.split() == ["call", "when", "outcome", "number", "flow", "profile", "session", "why"]
    assert (first.split()[0], first.split()[-1]) == ("0001", "6743a0b1")
    assert " placed " in first
    assert " not placed " in second
    assert second.endswith("The service refused the request (400).")


def test_a_table_is_not_moved_by_what_is_in_it(evocall, called):
    """Control characters and markup are shown, never obeyed."""
    called(flow="\x1b[2J[bold]\u202ex")
    line = evocall("history").out.splitlines()[1]
    assert r"\x1b[2J[bold]\u202ex" in line


@pytest.mark.parametrize(
    ("arguments", "out", "err"),
    [
        ([], "", "evocall: no calls yet.\n"),
        (["--outcome", "placed"], "", "evocall: no such calls.\n"),
        (["--json"], "[]\n", ""),
    ],
)
def test_an_empty_history_is_no_error(evocall, arguments, out, err):
    result = evocall("history", *arguments)
    assert (result.code, result.out, result.err) == (0, out, err)


def test_an_empty_history_in_csv_is_a_heading(evocall):
    result = evocall("history", "--csv")
    assert result.code == 0
    [heading] = csv.reader(io.StringIO(result.out, newline=""))
    assert heading[:4] == ["call", "requested_at", "outcome", "number"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--outcome", "dialled"],
        ["--outcome", "already_placed"],
        ["--outcome", "dry_run"],
        ["--since", "yesterday"],
        ["--since", "24"],
        ["--since", "-24h"],
        ["--since", "1y"],
        ["--since", "2026-13-01"],
        ["--since", "2026-05-05T25:00"],
        ["--since", "0001-01-01T00:00:00+14:00"],
        ["--limit", "0"],
        ["--limit", "-1"],
        ["--limit", "many"],
        ["--number", "hello"],
        ["--number", "8145550100"],
        ["--number", "814 555 0100", "--region", "Narnia"],
        ["purge"],
        ["purge", "--older-than", "90"],
        ["purge", "--older-than", "-90d"],
        ["purge", "--older-than", "1.5d"],
        ["purge", "--older-than", "1y"],
        ["purge", "--older-than", ""],
    ],
)
def test_a_bad_value_is_a_usage_error(evocall, called, path, arguments):
    """With a reason, and without touching the journal."""
    called(ago=timedelta(days=9999))
    result = evocall("history", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("evocall: ")
    with Journal(path) as journal:
        assert len(list(journal.history.calls())) == 1


def test_a_bad_value_with_json_is_one_document(evocall):
    result = evocall("history", "--json", "--outcome", "dialled")
    assert (result.code, json.loads(result.out)["error"]["exit_code"]) == (2, 2)


@pytest.mark.parametrize(
    ("age", "left"),
    [("90d", ["02", "01"]), ("89d", ["02"]), ("52w", ["02", "01", "00"]), ("36h", ["02"]), ("1d", ["02"])],
)
def test_a_purge_keeps_what_is_younger_and_says_how_many_went(evocall, listed, called, age, left):
    called("+18145550100", ago=timedelta(days=91))
    called("+18145550101", "unknown", ago=timedelta(days=89, hours=1))
    called("+18145550102", ago=timedelta(hours=1))
    result = evocall("history", "purge", "--older-than", age)
    assert (result.code, f"{3 - len(left)} calls deleted" in result.out + result.err) == (0, True)
    assert left == listed()


def test_history_and_purge_with_a_profile_leave_the_calls_of_others_alone(evocall, listed, called, config):
    """Production's keys must not go because a test account is tidied up."""
    config("[profiles.default]\n[profiles.staging]\n")
    called("+18145550100", ago=timedelta(days=91))
    called("+18145550101", ago=timedelta(days=91), profile="staging")
    assert (listed("--profile", "staging"), listed("--profile", "default"), listed()) == (["01"], ["00"], ["01", "00"])
    assert "1 calls deleted" in evocall("history", "purge", "--older-than", "30d", "--profile", "staging").err
    assert listed() == ["00"]
    assert "1 calls deleted" in evocall("history", "purge", "--older-than", "30d").err


def test_a_limit_beyond_all_journals_is_a_usage_error(evocall):
    assert evocall("history", "--limit", "9" * 20).code == 2


def test_a_purged_key_may_be_used_again(evocall, change, signed_in):
    """That is what purge warns of."""
    for _ in range(2):
        evocall("dial", "+18145550100", "--once", "k")
    change("requested_at = requested_at - 2 * 86400000")
    evocall("history", "purge", "--older-than", "1d", "--quiet")
    result = evocall("dial", "+18145550100", "--once", "k")
    assert (result.code, len(signed_in.dials())) == (0, 2)


@pytest.mark.parametrize("age", ["0d", "23h", "90m"])
def test_the_last_day_is_never_purged(evocall, signed_in, age):
    """A call that may have rung would be dialled again, and caps would forget what they count."""
    evocall("dial", "+18145550150", "--once", "k")
    assert evocall("history", "purge", "--older-than", age).code == 2
    assert evocall("dial", "+18145550150", "--once", "k").code == 9
    assert len(signed_in.dials()) == 1


def test_no_call_is_ever_named_like_one_that_was_purged(evocall, change, signed_in):
    """Somebody may still have its name in a mail, and hang up another call."""
    evocall("dial", "+18145550100")
    change("requested_at = requested_at - 2 * 86400000")
    evocall("history", "purge", "--older-than", "1d")
    assert "evocall show 0002" in evocall("dial", "+18145550100").out


def test_a_quiet_purge_says_nothing(evocall, called):
    called(ago=timedelta(days=2))
    result = evocall("history", "purge", "--older-than", "1d", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")
