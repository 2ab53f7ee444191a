"""`evocall check`: what `dial` would make of numbers, without a network or a login."""

import json

import pytest


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        (["+18145550100"], 0),
        (["+18145550100", "+448081570000"], 0),
        (["+18145550100", "+19002345678"], 3),
        (["911"], 3),
        (["+18145550100", "hello"], 2),
        (["+19002345678", "hello", "+18145550100"], 2),
        (["hello", "+19002345678"], 2),
    ],
)
def test_the_exit_code_is_that_of_the_worst_number(evocall, numbers, code):
    """2 when one is not a number, else 3 when one is refused, else 0; all of them are reported."""
    result = evocall("check", *numbers)
    assert (result.code, result.err) == (code, "")
    assert [line.split()[0] for line in result.out.splitlines()] == ["number", *numbers]


def test_a_line_says_how_a_number_was_read(evocall):
    result = evocall("check", "--region", "US", "(814) 555 0100")
    heading, line = result.out.splitlines()
    assert heading.split("  ")[0] == "number"
    for part in ("+18145550100", "(814) 555-0100", " US ", "fixed-or-mobile", "America/New_York"):
        assert part in line
    assert line.endswith(" ok")


def test_json_is_an_array_with_one_object_a_number(evocall):
    """The keys are a contract, for numbers that are none as well."""
    result = evocall("check", "+18145550100", "hello", "911", "--json")
    good, bad, emergency = json.loads(result.out)
    keys = "typed number national international country class time_zones local_times verdict error"
    assert [list(entry) for entry in (good, bad, emergency)] == [keys.split()] * 3
    assert (good["typed"], good["number"], good["national"]) == ("+18145550100", "+18145550100", "(814) 555-0100")
    assert (good["country"], good["class"], good["time_zones"]) == ("US", "fixed-or-mobile", ["America/New_York"])
    assert (good["verdict"], good["error"], len(good["local_times"])) == ("ok", None, 1)
    assert (bad["typed"], bad["number"], bad["verdict"]) == ("hello", None, "not a number")
    assert (bad["error"]["code"], bad["error"]["exit_code"]) == ("invalid_number", 2)
    assert (emergency["verdict"], emergency["error"]["code"]) == ("refused", "emergency")
    assert result.code == 2


def test_a_refused_number_is_shown_as_it_was_understood(evocall):
    """Who wonders why a number is refused sees which number that is."""
    [entry] = json.loads(evocall("check", "+1 (900) 234-5678", "--json").out)
    assert (entry["number"], entry["class"], entry["verdict"]) == ("+19002345678", "premium", "refused")
    assert "--allow premium" in entry["error"]["hint"]


def test_allow_lets_a_class_through(evocall):
    assert evocall("check", "+19002345678", "--allow", "premium").code == 0


def test_an_unknown_class_is_a_usage_error(evocall):
    result = evocall("check", "+19002345678", "--allow", "expensive")
    assert result.code == 2
    assert "'expensive' is not a number class" in result.out + result.err


def test_contacts_and_region_come_from_the_profile(evocall, config):
    config('[profiles.a]\nregion = "US"\n[profiles.a.contacts]\noncall = "(814) 555-0100"\n')
    entries = json.loads(evocall("check", "oncall", "814 555 0101", "--json").out)
    assert [(entry["typed"], entry["number"]) for entry in entries] == [
        ("oncall", "+18145550100"),
        ("814 555 0101", "+18145550101"),
    ]


def test_the_region_of_the_command_beats_the_environment_which_beats_the_profile(evocall, config, monkeypatch):
    config('[profiles.a]\nregion = "US"\n')
    monkeypatch.setenv("EVOCALL_REGION", "GB")
    [entry] = json.loads(evocall("check", "020 7946 0958", "--json").out)
    assert entry["number"] == "+442079460958"
    [entry] = json.loads(evocall("check", "030 1234567", "--region", "DE", "--json").out)
    assert entry["number"] == "+49301234567"


def test_the_countries_of_the_profile_are_checked(evocall, config):
    config('[profiles.a.guard]\ncountries = ["US"]\n')
    assert evocall("check", "+18145550100").code == 0
    result = evocall("check", "+442079460958", "--json")
    assert (result.code, json.loads(result.out)[0]["error"]["code"]) == (3, "country")


def test_the_verdict_is_that_of_dial(evocall):
    """Code and message for a number are the same in both commands."""
    for number in ("911", "hello", "+19002345678", "+1814404309", "404-3093"):
        [entry] = json.loads(evocall("check", number, "--json").out)
        dialled = evocall("dial", number, "--flow", "x", "--dry-run", "--json")
        assert json.loads(dialled.out)["error"] == entry["error"]
        assert dialled.code == entry["error"]["exit_code"]


def test_works_without_a_home_network_or_login(spawn):
    done = spawn("check", "+18145550100", env={"HTTPS_PROXY": "http://127.0.0.1:9"})
    assert (done.returncode, done.stderr) == (0, "")


def test_a_broken_profile_file_is_an_error(evocall, config):
    path = config("[profiles.a]\npace = 0\n")
    result = evocall("check", "+18145550100")
    assert (result.code, result.out) == (10, "")
    assert f"{path}, line 2" in result.err


def test_a_number_cannot_move_the_cursor(evocall):
    """What a file of numbers brings along is shown and not obeyed."""
    result = evocall("check", "\x1b[2J\u202e+18145550100 [bold red]x[/]")
    assert "\x1b" not in result.out + result.err
    assert "\u202e" not in result.out + result.err
    assert "[bold red]x[/]" in result.out
