"""`evocall dial`: what keeps a call from being placed, or from being placed twice, counted at the service."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

PLACES, REFUSES, LOSES = "+18145550100", "+18145550140", "+18145550150"
DAY = timedelta(hours=24)


@pytest.fixture
def path(home):
    return home / "evocall" / "journal.db"


@pytest.fixture
def verdict(dial):
    """Dials, and returns the exit code and the code of the error."""

    def run(*arguments):
        code, document = dial(*arguments)
        return code, document["error"] and document["error"]["code"]

    return run


@pytest.fixture
def age(path):
    """Makes all calls of the journal older, or younger than now, as a clock that jumped back leaves them."""

    def shift(by):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE calls SET requested_at = requested_at - ?", (by // timedelta(milliseconds=1),))

    return shift


def window(zone, begin, end):
    """Hours at a zone's clock, from and to so many hours from now."""
    now = datetime.now(ZoneInfo(zone))
    clocks = [now.replace(tzinfo=None) + timedelta(hours=hours) for hours in (begin, end)]
    return "-".join(f"{clock:%H:%M}" for clock in clocks)


def hours_now():
    """A window that New York is in, and one that it is not in."""
    return window("America/New_York", -3, 3), window("America/New_York", 9, 15)


def test_a_key_that_placed_a_call_reports_it_and_dials_nothing(dial, signed_in):
    """The same session, however often it is asked for."""
    first_code, first = dial(PLACES, "--once", "k")
    later = [dial(PLACES, "--once", "k") for _ in range(3)]
    assert (first_code, first["outcome"], len(signed_in.dials())) == (0, "placed", 1)
    assert later == [(0, {**first, "outcome": "already_placed"})] * 3
    assert first["session_id"] == signed_in.calls[0].id


def test_the_receipt_of_a_used_key_says_that_nothing_was_dialled(evocall, signed_in):
    """And warns when the key was used for another call."""
    evocall("dial", PLACES, "--once", "k")
    same = evocall("dial", PLACES, "--once", "k")
    other = evocall("dial", "+18145550101", "--once", "k")
    assert [result.out.splitlines()[0].split("  ")[0] for result in (same, other)] == ["already placed"] * 2
    assert "nothing was dialled now" in same.out
    assert f"the key was used for {PLACES} with flow {signed_in.flows[0].id}, not for this call" in other.out
    assert len(signed_in.dials()) == 1


def test_a_used_key_stays_used_with_again(dial, signed_in):
    dial(PLACES, "--once", "k")
    assert dial(PLACES, "--once", "k", "--again")[1]["outcome"] == "already_placed"
    assert len(signed_in.dials()) == 1


def test_a_used_key_stays_used_for_good(dial, signed_in, age):
    dial(PLACES, "--once", "k")
    age(timedelta(days=400))
    assert dial(PLACES, "--once", "k")[1]["outcome"] == "already_placed"
    assert len(signed_in.dials()) == 1


def test_a_key_whose_call_may_have_rung_dials_only_with_again(verdict, dial, signed_in, age):
    """However long ago; and when that places the call, the key is used."""
    assert verdict(LOSES, "--once", "k") == (9, "server_error")
    assert verdict(PLACES, "--once", "k") == (9, "held_back")
    age(timedelta(days=30))
    assert verdict(PLACES, "--once", "k") == (9, "held_back")
    assert len(signed_in.dials()) == 1
    assert verdict(PLACES, "--once", "k", "--again") == (0, None)
    assert len(signed_in.dials()) == 2
    assert dial(PLACES, "--once", "k")[1]["outcome"] == "already_placed"
    assert len(signed_in.dials()) == 2


def test_a_key_whose_call_was_not_placed_dials(verdict, signed_in):
    assert verdict(REFUSES, "--once", "k") == (11, "rejected")
    assert verdict(PLACES, "--once", "k") == (0, None)
    assert len(signed_in.dials()) == 2


def test_each_key_is_one_call(verdict, signed_in):
    assert [verdict(PLACES, "--once", key) for key in ("a", "b", "A", "a ")] == [(0, None)] * 4
    assert len(signed_in.dials()) == 4


def test_keys_belong_to_a_profile(dial, signed_in, config):
    config("[profiles.a]\n[profiles.b]\n")
    outcomes = [dial(PLACES, "--once", "k", "--profile", name)[1]["outcome"] for name in ("a", "b", "a", "b")]
    assert outcomes == ["placed", "placed", "already_placed", "already_placed"]
    assert len(signed_in.dials()) == 2


def test_processes_with_one_key_place_one_call(signed_in, spawn, home):
    """Four at once: one dials, and the others report its call."""
    login = {"EVOCALL_BASE_URL": signed_in.base_url, "EVOCALL_USERNAME": signed_in.manager.username}
    env = {**login, "EVOCALL_PASSWORD": signed_in.manager.password, "EVOCALL_HOME": str(home / "evocall")}
    arguments = ("dial", PLACES, "--flow", signed_in.flows[0].id, "--once", "k", "--json")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: spawn(*arguments, env=env), range(4)))
    documents = [json.loads(result.stdout) for result in results]
    assert [result.returncode for result in results] == [0] * 4
    assert sorted(document["outcome"] for document in documents) == ["already_placed"] * 3 + ["placed"]
    assert {document["session_id"] for document in documents} == {signed_in.calls[0].id}
    assert len(signed_in.dials()) == 1


def test_without_a_key_a_call_may_be_repeated_at_once(verdict, signed_in):
    """Nothing is unknown about a call that was placed, or that was refused."""
    assert [verdict(number) for number in (PLACES, PLACES, REFUSES, REFUSES)] == [(0, None)] * 2 + [
        (11, "rejected")
    ] * 2
    assert len(signed_in.dials()) == 4


def test_a_call_that_may_have_rung_is_not_repeated_at_once(evocall, verdict, signed_in):
    """The same number with the same flow is held back, and the error says which call it waits for."""
    assert verdict(LOSES) == (9, "server_error")
    result = evocall("dial", "(814) 555-0150", "--region", "US")
    assert result.code == 9
    assert result.err.startswith("evocall: unknown: nothing was dialled now: the call 0001 ")
    assert "--again" in result.err
    assert len(signed_in.dials()) == 1


def test_again_dials_a_call_that_may_have_rung(verdict, signed_in):
    verdict(LOSES)
    assert verdict(LOSES, "--again") == (9, "server_error")
    assert len(signed_in.dials()) == 2


def test_another_number_or_another_flow_is_not_held_back(verdict, signed_in):
    """Nor is another profile, which may be another account."""
    verdict(LOSES)
    assert verdict("+12125550150") == (9, "server_error")
    assert verdict(LOSES, "--flow", signed_in.flows[1].id) == (9, "server_error")
    assert len(signed_in.dials()) == 3


def test_capitals_make_no_other_flow(verdict, signed_in):
    """The service takes an ID however it is written, so the call would ring again."""
    verdict(LOSES, "--flow", signed_in.flows[1].id)
    assert verdict(LOSES, "--flow", signed_in.flows[1].id.upper()) == (9, "held_back")
    assert verdict(LOSES, "--flow", f"id:{signed_in.flows[1].id.upper()}") == (9, "held_back")
    assert len(signed_in.dials()) == 1


@pytest.mark.parametrize(
    ("by", "dials"),
    [
        (timedelta(minutes=9), 1),
        (timedelta(minutes=11), 2),
        (timedelta(hours=-1), 1),
        (timedelta(days=-1), 1),
    ],
)
def test_a_call_is_held_back_for_ten_minutes(verdict, signed_in, age, by, dials):
    """A clock that jumps back an hour, or a day, does not unlock it."""
    verdict(LOSES)
    age(by)
    expected = (9, "held_back" if dials == 1 else "server_error")
    assert expected == verdict(LOSES)
    assert dials == len(signed_in.dials())


GUARDS = "[profiles.a.guard]\n"


@pytest.mark.parametrize(
    ("cap", "numbers", "expected"),
    [
        ("max_per_day = 2", [PLACES, "+18145550101", "+18145550102"], [0, 0, 3]),
        ("max_per_number_per_day = 2", [PLACES, PLACES, PLACES, "+18145550101"], [0, 0, 3, 0]),
        ("max_per_day = 1", [LOSES, PLACES], [9, 3]),
        ("max_per_day = 1", [REFUSES, REFUSES, PLACES, PLACES], [11, 11, 0, 3]),
        ("max_per_day = 0", [PLACES], [3]),
        ("max_per_number_per_day = 0", [PLACES], [3]),
    ],
)
def test_caps_count_what_rang_or_may_have(verdict, signed_in, config, cap, numbers, expected):
    """A call that may have rung counts, one that was not placed does not."""
    config(f"{GUARDS}{cap}\n")
    results = [verdict(number) for number in numbers]
    assert expected == [code for code, _ in results]
    assert {error for code, error in results if code == 3} == {cap.split()[0]}
    assert len(signed_in.dials()) == len(expected) - expected.count(3)


@pytest.mark.parametrize("rule", ["max_per_day", "max_per_number_per_day"])
def test_a_cap_ends_after_24_hours_and_again_passes_it(verdict, signed_in, config, age, rule):
    """A clock that jumps back does not make room."""
    config(f"{GUARDS}{rule} = 1\n")
    assert verdict(PLACES) == (0, None)
    assert verdict(PLACES) == (3, rule)
    assert verdict(PLACES, "--again") == (0, None)
    age(-timedelta(hours=1))
    assert verdict(PLACES) == (3, rule)
    age(timedelta(hours=24, minutes=59))
    assert verdict(PLACES) == (3, rule)
    age(timedelta(minutes=2))
    assert verdict(PLACES) == (0, None)
    assert len(signed_in.dials()) == 3


def test_a_cap_says_when_it_will_let_a_call_pass(dial, signed_in, config, age):
    config(f"{GUARDS}max_per_day = 1\n")
    placed = datetime.fromisoformat(dial(PLACES)[1]["requested_at"])
    error = dial(PLACES)[1]["error"]
    named = {f"{placed + DAY + timedelta(minutes=late):%Y-%m-%d %H:%M}" for late in (0, 1)}
    assert any(f"Allowed again from {moment} UTC on, or now with --again." == error["hint"] for moment in named)


def test_caps_belong_to_a_profile(verdict, signed_in, config):
    config("[profiles.a.guard]\nmax_per_day = 1\n[profiles.b.guard]\nmax_per_number_per_day = 1\n")
    assert [verdict(PLACES, "--profile", name)[0] for name in ("a", "b", "a", "b")] == [0, 0, 3, 3]
    assert len(signed_in.dials()) == 2


def test_a_used_key_is_reported_although_a_cap_is_reached(dial, signed_in, config):
    """Nothing is dialled, so nothing needs room."""
    config(f"{GUARDS}max_per_day = 1\n")
    dial(PLACES, "--once", "k")
    code, document = dial(PLACES, "--once", "k")
    assert (code, document["outcome"], len(signed_in.dials())) == (0, "already_placed", 1)


def test_only_the_countries_of_the_profile_are_dialled(verdict, signed_in, config):
    config(f'{GUARDS}countries = ["US"]\n')
    assert verdict("+442079460958") == (3, "country")
    assert verdict("+80012345678") == (3, "country")
    assert signed_in.dials() == []
    assert verdict(PLACES) == (0, None)


@pytest.mark.parametrize(
    "line", ["+18145550100", "(814) 555-0100", "814-555-0100", "tel:+1-814-555-0100", "+1 8145550100"]
)
@pytest.mark.parametrize("layout", ["{}", "# first\n\n+18145550199\n  {}   # asked us not to\n", "\N{BOM}{}\r\n"])
def test_a_number_on_the_deny_list_is_not_dialled(verdict, signed_in, config, line, layout):
    """In any format, between comments and empty lines, and from an editor that leaves a mark."""
    file = config(f'[profiles.a]\nregion = "US"\n{GUARDS}deny = "do-not-call.txt"\n').with_name("do-not-call.txt")
    file.write_bytes(layout.format(line).encode())
    assert verdict(PLACES) == (3, "deny_list")
    assert verdict(PLACES, "--again", "--allow", "unverified") == (3, "deny_list")
    assert signed_in.dials() == []
    assert verdict("+18145550101") == (0, None)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("+4402079460958", "+442079460958"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+1\N{FULLWIDTH DIGIT EIGHT}145550100", "+18145550100"),
        ("+18145550\N{FULLWIDTH DIGIT ONE}\N{FULLWIDTH DIGIT ZERO}\N{FULLWIDTH DIGIT ZERO}", "+18145550100"),
        ("\N{FULLWIDTH PLUS SIGN}18145550100", "+18145550100"),
    ],
)
def test_a_denied_number_is_recognized_however_it_is_written(verdict, signed_in, config, line, number):
    """What `dial` would read as the same number is the same number."""
    file = config(f'{GUARDS}deny = "do-not-call.txt"\n').with_name("do-not-call.txt")
    file.write_text(f"{line}\n", encoding="utf-8")
    assert verdict(number) == (3, "deny_list")
    assert signed_in.dials() == []


@pytest.mark.parametrize(
    "line", ["Jane Doe", "814 555 0100", "+1814", "911", "+1 814 555 0100 ext. 3", "+1814555010\x00"]
)
def test_a_line_that_is_no_number_stops_every_call(dial, signed_in, config, line):
    """Else somebody who asked not to be called would be; the error names file and line."""
    file = config(f'{GUARDS}deny = "do-not-call.txt"\n').with_name("do-not-call.txt")
    file.write_text(f"# list\n+18145550199\n{line}\n", encoding="utf-8")
    code, document = dial(PLACES)
    assert (code, document["outcome"], document["error"]["code"]) == (10, "not_placed", "deny_list")
    assert f"{file}, line 3" in document["error"]["message"]
    assert signed_in.dials() == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe+\x001\x008\x00"])
@pytest.mark.parametrize("written", ["do-not-call.txt", "lists/../do-not-call.txt", "~nobody-of-that-name/list.txt"])
def test_a_list_that_cannot_be_read_stops_every_call(evocall, signed_in, config, content, written):
    """Missing, or in an encoding that nobody can guess."""
    file = config(f'{GUARDS}deny = "{written}"\n').with_name("do-not-call.txt")
    if content is not None:
        file.write_bytes(content)
    result = evocall("dial", PLACES)
    assert (result.code, signed_in.dials()) == (10, [])
    assert written.rpartition("/")[2] in result.err


def test_the_list_is_found_from_everywhere(verdict, signed_in, config, monkeypatch, tmp_path):
    """A relative path starts at the profile file, an absolute one and one with ~ mean what they say."""
    for name, written in (("a", "lists/a.txt"), ("b", str(tmp_path / "b.txt")), ("c", "~/c.txt")):
        file = config(f'[profiles.{name}.guard]\ndeny = "{written}"\n').parent
        places = {"a": file / "lists" / "a.txt", "b": tmp_path / "b.txt", "c": file.parent / "c.txt"}
        places[name].parent.mkdir(exist_ok=True)
        places[name].write_text(PLACES)
        monkeypatch.chdir(tmp_path)
        assert verdict(PLACES) == (3, "deny_list")


def test_outside_the_hours_of_the_profile_nothing_is_dialled(verdict, signed_in, config):
    inside, outside = hours_now()
    config(f'{GUARDS}hours = "{outside}"\n')
    assert verdict(PLACES) == (3, "hours")
    assert signed_in.dials() == []
    config(f'{GUARDS}hours = "{inside}"\n')
    assert verdict(PLACES) == (0, None)


def test_between_beats_the_hours_of_the_profile(verdict, signed_in, config):
    """In both directions."""
    inside, outside = hours_now()
    config(f'{GUARDS}hours = "{outside}"\n')
    assert verdict(PLACES, "--between", inside) == (0, None)
    assert verdict(PLACES, "--between", "00:00-24:00") == (0, None)
    config(f'{GUARDS}hours = "{inside}"\n')
    assert verdict(PLACES, "--between", outside) == (3, "hours")
    assert len(signed_in.dials()) == 2


@pytest.mark.parametrize(
    "hours", ["9-17", "09:00", "24:00-09:00", "09:00-09:00", "0\N{FULLWIDTH DIGIT EIGHT}:00-21:00"]
)
def test_hours_that_are_none_are_a_usage_error(verdict, signed_in, config, hours):
    """On the command line; in the profile file they are an error of that file."""
    assert verdict(PLACES, "--between", hours) == (2, "invalid_hours")
    config(f'{GUARDS}hours = "{hours}"\n')
    assert verdict(PLACES) == (10, "profile_file")
    assert signed_in.dials() == []


def test_a_number_without_a_known_zone_is_not_dialled_when_there_are_hours(verdict, signed_in):
    assert verdict("+80012345678", "--between", "08:00-21:00") == (3, "hours")
    assert signed_in.dials() == []
    assert verdict("+80012345678", "--between", "00:00-24:00") == (0, None)


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["+18145550100"], 0, None),
        (["+19002345678"], 3, "class_premium"),
        (["+19002345678", "--allow", "premium"], 0, None),
        (["+12425550100"], 3, "class_unverified"),
        (["+442079460958"], 3, "country"),
        (["+18145550199"], 3, "deny_list"),
        (["+18145550100", "--between", "OUTSIDE"], 3, "hours"),
        (["911"], 3, "emergency"),
        (["hello"], 2, "invalid_number"),
        (["+18145550100", "--between", "noon"], 2, "invalid_hours"),
        (["+18145550100", "--allow", "all"], 2, "usage"),
    ],
)
def test_a_rehearsal_comes_to_the_verdict_of_the_call(
    evocall, verdict, signed_in, config, path, arguments, code, error
):
    """`check` and `--dry-run` say what `dial` will say, send nothing and leave no journal."""
    file = config(f'{GUARDS}countries = ["US"]\ndeny = "do-not-call.txt"\n')
    file.with_name("do-not-call.txt").write_text("+18145550199\n")
    arguments = [hours_now()[1] if argument == "OUTSIDE" else argument for argument in arguments]
    checked = evocall("check", *arguments, "--json")
    document = json.loads(checked.out)
    found = document[0]["error"] if isinstance(document, list) else document["error"]
    rehearsed = verdict(*arguments, "--dry-run")
    assert (path.exists(), signed_in.requests) == (False, [])
    assert (checked.code, found and found["code"]) == rehearsed == (code, error)
    assert verdict(*arguments) == (code, error)


@pytest.mark.parametrize(
    ("cap", "first", "arguments", "code", "outcome", "error"),
    [
        ("max_per_day = 9", PLACES, [PLACES], 0, "dry_run", None),
        ("max_per_day = 1", PLACES, ["+18145550101"], 3, "not_placed", "max_per_day"),
        ("max_per_number_per_day = 1", PLACES, [PLACES], 3, "not_placed", "max_per_number_per_day"),
        ("max_per_day = 1", PLACES, [PLACES, "--again"], 0, "dry_run", None),
        ("max_per_day = 9", PLACES, [PLACES, "--once", "k"], 0, "already_placed", None),
        ("max_per_day = 9", LOSES, [PLACES, "--once", "k"], 9, "unknown", "held_back"),
        ("max_per_day = 9", LOSES, [PLACES, "--once", "k", "--again"], 0, "dry_run", None),
        ("max_per_day = 9", LOSES, [LOSES], 9, "unknown", "held_back"),
    ],
)
def test_a_dry_run_knows_the_earlier_calls(dial, signed_in, config, cap, first, arguments, code, outcome, error):
    """Caps, keys and the hold-back decide as they do for the call that follows; nothing is sent or written down."""
    config(f"{GUARDS}{cap}\n")
    dial(first, "--once", "k")
    for _ in range(2):
        got_code, document = dial(*arguments, "--dry-run")
        got = (got_code, document["outcome"], document["error"] and document["error"]["code"])
        assert got == (code, outcome, error)
    assert len(signed_in.dials()) == 1
    got_code, document = dial(*arguments)
    expected = "placed" if outcome == "dry_run" else outcome
    assert (got_code, document["outcome"], document["error"] and document["error"]["code"]) == (code, expected, error)
    assert len(signed_in.dials()) == (2 if outcome == "dry_run" else 1)


def test_a_dry_run_needs_no_login_and_leaves_nothing_behind(evocall, home):
    result = evocall("dial", PLACES, "--flow", "welcome", "--once", "k", "--dry-run", "--json")
    document = json.loads(result.out)
    assert (result.code, document["outcome"], document["session_id"]) == (0, "dry_run", None)
    assert document["request"] == {"flowId": "welcome", "numberToDial": PLACES}
    assert list(home.rglob("*")) == []


def test_what_is_not_dialled_says_not_placed(dial, signed_in, config):
    """A script that reads only the outcome is not misled."""
    config(f'{GUARDS}countries = ["CA"]\n')
    for arguments in ([PLACES], [PLACES, "--between", "noon"], ["hello"]):
        assert dial(*arguments)[1]["outcome"] == "not_placed"
    assert signed_in.dials() == []


@pytest.mark.parametrize(
    ("guard", "error"),
    [
        ('countries = ["CA"]', "country"),
        ('hours = "OUTSIDE"', "hours"),
        ("max_per_day = 0", "max_per_day"),
        ("max_per_number_per_day = 0", "max_per_number_per_day"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_refused_call_is_named_in_its_document(dial, signed_in, config, guard, error, more):
    """A script that reads many documents finds out which number was refused, and at which profile."""
    config(f"{GUARDS}{guard.replace('OUTSIDE', hours_now()[1])}\n")
    code, document = dial(PLACES, *more)
    assert (code, document["error"]["code"], signed_in.dials()) == (3, error, [])
    assert (document["outcome"], document["number"], document["profile"]) == ("not_placed", PLACES, "a")


def test_requests_are_dated_in_utc(dial, signed_in):
    """The hold-back and the caps count from that time."""
    before = datetime.now(UTC)
    requested = datetime.fromisoformat(dial(PLACES)[1]["requested_at"])
    assert before - timedelta(milliseconds=1) <= requested <= datetime.now(UTC)


@pytest.mark.parametrize("flow", ["welcome", "id:665f1c0000000000000000a1"])
def test_a_key_that_was_used_for_this_very_call_needs_no_attention(evocall, signed_in, flow):
    """Also when the flow is named, and nobody asks what the name means any more."""
    evocall("dial", "+18145550100", "--flow", flow, "--once", "k")
    result = evocall("dial", "+18145550100", "--flow", flow, "--once", "k")
    assert "already placed" in result.out
    assert "attention" not in result.out


def test_a_used_key_needs_no_service(evocall, signed_in):
    """The journal knows it, although the flow is named."""
    evocall("dial", "+18145550100", "--flow", "welcome", "--once", "k")
    signed_in.stop()
    assert evocall("dial", "+18145550100", "--flow", "welcome", "--once", "k").code == 0


@pytest.mark.parametrize("command", [("check",), ("dial", "--flow", "welcome", "--dry-run")])
def test_a_rehearsal_is_held_back_where_the_dial_would_be(evocall, signed_in, command):
    """Whatever flow a name means: it cannot be told apart from that of the call that may have rung."""
    evocall("dial", "+18145550150", "--flow", "welcome")
    assert evocall(*command, "+18145550150").code == 9
