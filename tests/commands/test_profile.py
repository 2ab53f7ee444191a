"""`evocall profile`: the file without an editor."""

import json
import subprocess
import sys

import pytest

FILE = """\
# ours
default_profile = "production"

[profiles.production]
username = "ops@example.com"
flow = "alert"

[profiles.production.guard]
countries = ["US", "CA"]

[profiles.production.contacts]
oncall = "+18145550100"

[profiles.staging]
base_url = "https://team.evovoice.io"
"""


def test_list_marks_the_default(evocall, config):
    config(FILE)
    result = evocall("profile", "list")
    assert [line.split() for line in result.out.splitlines()] == [
        ["profile", "username", "base_url", "flow"],
        ["*", "production", "ops@example.com", "https://evovoice.io", "alert"],
        ["staging", "https://team.evovoice.io"],
    ]
    assert (result.code, result.err) == (0, "")


def test_list_gives_json(evocall, config):
    config(FILE)
    production, staging = json.loads(evocall("profile", "list", "--json").out)
    assert production == {
        "name": "production",
        "username": "ops@example.com",
        "base_url": "https://evovoice.io",
        "flow": "alert",
        "default": True,
    }
    assert (staging["name"], staging["username"], staging["default"]) == ("staging", None, False)


def test_list_without_profiles_says_how_to_make_one(evocall):
    result = evocall("profile", "list")
    assert (result.code, result.out) == (0, "")
    assert "evocall login" in result.err
    assert json.loads(evocall("profile", "list", "--json").out) == []


def test_show_gives_the_default_profile_with_its_defaults(evocall, config):
    config(FILE)
    result = evocall("profile", "show")
    shown = {line.split()[0]: line.split(None, 1)[1] for line in result.out.splitlines()}
    assert shown["name"] == "production"
    assert shown["base_url"] == "https://evovoice.io"
    assert shown["guard.countries"] == "US, CA"
    assert shown["contacts.oncall"] == "+18145550100"
    assert shown["timeout"] == "60.0"


def test_show_gives_json_with_every_key(evocall, config):
    config(FILE)
    shown = json.loads(evocall("profile", "show", "staging", "--json").out)
    assert (shown["name"], shown["base_url"], shown["username"]) == ("staging", "https://team.evovoice.io", None)
    assert shown["guard"]["countries"] is None
    assert "password" not in shown


def test_show_lays_the_environment_over_the_profile(evocall, config, monkeypatch):
    config(FILE)
    monkeypatch.setenv("EVOCALL_BASE_URL", "https://elsewhere.example")
    assert json.loads(evocall("profile", "show", "staging", "--json").out)["base_url"] == "https://elsewhere.example"


def test_show_means_the_profile_that_the_environment_means(evocall, config, monkeypatch):
    """EVOCALL_PROFILE is what `dial` would use, so it is what is shown."""
    config(FILE)
    monkeypatch.setenv("EVOCALL_PROFILE", "staging")
    assert json.loads(evocall("profile", "show", "--json").out)["name"] == "staging"


def test_show_without_a_file_gives_the_profile_that_dial_would_use(evocall):
    shown = json.loads(evocall("profile", "show", "--json").out)
    assert (shown["name"], shown["base_url"]) == ("default", "https://evovoice.io")


@pytest.mark.parametrize("command", [["show", "nobody"], ["use", "nobody"], ["remove", "nobody"]])
def test_a_profile_that_is_not_there_is_a_config_error(evocall, config, command):
    path = config(FILE)
    result = evocall("profile", *command)
    assert (result.code, result.out) == (10, "")
    assert "nobody" in result.err
    assert path.read_text(encoding="utf-8") == FILE


@pytest.mark.parametrize(
    ("arguments", "old", "new"),
    [
        (["flow", "night"], 'flow = "alert"', 'flow = "night"'),
        (["guard.countries", "GB,DE"], 'countries = ["US", "CA"]', None),
        (["contacts.oncall", "+18145550101"], "+18145550100", "+18145550101"),
        (["base_url", "https://a.example", "--profile", "staging"], "https://team.evovoice.io", "https://a.example"),
    ],
)
def test_set_changes_one_key(evocall, config, arguments, old, new):
    """Of the default profile, or of the one that is named; the rest of the file is as it was."""
    path = config(FILE)
    result = evocall("profile", "set", *arguments)
    assert result.code == 0
    if new:
        assert path.read_text(encoding="utf-8") == FILE.replace(old, new)
    else:
        assert json.loads(evocall("profile", "show", "--json").out)["guard"]["countries"] == ["GB", "DE"]


def test_set_makes_profile_and_file(evocall, home):
    evocall("profile", "set", "timeout", "30", "--profile", "new")
    path = home / "evocall" / "config.toml"
    assert path.read_text(encoding="utf-8") == "[profiles.new]\ntimeout = 30\n"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("flwo", "x", "'flwo' is not a key of a profile"),
        ("pace", "fast", "pace is calls per second, above 0 and at most a million, not 'fast'"),
        ("sign_in", "digest", 'sign_in is "basic" or "cookies", not \'digest\''),
        ("password", "hunter2", "A password has no place in the profile file"),
    ],
)
def test_set_refuses_what_would_not_work(evocall, config, key, value, said):
    path = config(FILE)
    result = evocall("profile", "set", key, value)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert "hunter2" not in result.err
    assert path.read_text(encoding="utf-8") == FILE


def test_use_makes_a_profile_the_default(evocall, config):
    path = config(FILE)
    assert evocall("profile", "use", "staging").code == 0
    assert path.read_text(encoding="utf-8") == FILE.replace('= "production"', '= "staging"')
    assert json.loads(evocall("profile", "show", "--json").out)["name"] == "staging"


def test_remove_takes_a_profile_out(evocall, config):
    """And the default with it, when it was that one, so that the file stays one that can be read."""
    path = config(FILE)
    assert evocall("profile", "remove", "production").code == 0
    assert path.read_text(encoding="utf-8").startswith("# ours\n")
    assert [entry["name"] for entry in json.loads(evocall("profile", "list", "--json").out)] == ["staging"]


def test_an_unknown_subcommand_points_at_the_help(evocall):
    result = evocall("profile", "add")
    assert result.code == 2
    assert "evocall profile --help" in result.err


def test_a_region_that_numbers_cannot_be_read_in_is_refused(evocall):
    """It would keep every dial from being read."""
    result = evocall("profile", "set", "region", "XX")
    assert (result.code, "'XX' is not a region" in result.err) == (2, True)


def test_the_environment_is_laid_over_what_is_shown(evocall, monkeypatch):
    for name, value in (("FLOW", "alert"), ("CALLER_ID", "+18145550190"), ("REGION", "US")):
        monkeypatch.setenv(f"EVOCALL_{name}", value)
    shown = json.loads(evocall("profile", "show", "--json").out)
    assert (shown["flow"], shown["caller_id"], shown["region"]) == ("alert", "+18145550190", "US")


def test_changes_at_once_are_all_kept(evocall, config):
    """Each command reads the file, changes its key, and writes all of it."""
    config("[profiles.default]\n")
    names = [f"c{n}" for n in range(12)]
    crowd = [
        subprocess.Popen([sys.executable, "-m", "evocall", "profile", "set", f"contacts.{name}", "+18145550100"])
        for name in names
    ]
    assert [process.wait(60) for process in crowd] == [0] * 12
    assert sorted(json.loads(evocall("profile", "show", "--json").out)["contacts"]) == sorted(names)
