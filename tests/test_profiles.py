"""The profile file: read with its mistakes named, written whole or not at all."""

import contextlib
import re
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evocall import profiles
from evocall.errors import ConfigError, EvocallError, ExitCode, UsageError
from evocall.model import PRODUCTION, Guard, Profile
from evocall.settings import GUARD_KEYS, PROFILE_KEYS, typed_value

FILE = """\
# the company's file, kept under version control
default_profile = "production"

[profiles.production]
base_url = "https://evovoice.io"
username = "ops@example.com"
flow = "alert"
caller_id = "+18145550190"
region = "US"
pace = 1.5
timeout = 60
# first one set wins
password_command = "pass show evo"
password_file = "$CREDENTIALS_DIRECTORY/evo"

[profiles.production.guard]
countries = ["US", "CA"]
hours = "08:00-21:00"
deny = "do-not-call.txt"
max_per_day = 500
max_per_number_per_day = 3

[profiles.production.flows]
alert = "665f1c0000000000000000aa"

[profiles.production.contacts]
oncall = "+18144043093"

[profiles.staging]
base_url = "https://team.evovoice.io"
"""


def broken(path):
    """What is said about a file that cannot be used."""
    with pytest.raises(ConfigError) as raised:
        profiles.load(path)
    assert (raised.value.exit_code, raised.value.code) == (ExitCode.CONFIG, "profile_file")
    return raised.value


def test_without_a_file_there_is_one_profile_for_production(home):
    config = profiles.load(home / "nowhere" / "config.toml")
    assert config.choose(None, {}) == Profile("default", PRODUCTION, directory=home / "nowhere")


def test_reads_every_documented_key(config):
    """The example of the documentation, with its types as the rest of the program uses them."""
    path = config(FILE)
    assert profiles.load(path).choose("production", {}) == Profile(
        "production",
        "https://evovoice.io",
        username="ops@example.com",
        flow="alert",
        caller_id="+18145550190",
        region="US",
        pace=1.5,
        timeout=60,
        password_command="pass show evo",
        password_file="$CREDENTIALS_DIRECTORY/evo",
        guard=Guard(("US", "CA"), "08:00-21:00", "do-not-call.txt", 500, 3),
        flows={"alert": "665f1c0000000000000000aa"},
        contacts={"oncall": "+18144043093"},
        directory=path.parent,
    )


def test_reads_a_file_with_a_byte_order_mark(config):
    """Windows editors write one."""
    assert list(profiles.load(config("\ufeff" + FILE)).profiles) == ["production", "staging"]


@pytest.mark.parametrize(
    ("section", "key", "wanted"),
    [
        ('base_url = "evovoice.io"', "base_url", "an address such as"),
        ('base_url = "ftp://evovoice.io"', "base_url", "an address such as"),
        ('base_url = "https://"', "base_url", "an address such as"),
        ('base_url = "https://evovoice.io:99999"', "base_url", "an address such as"),
        ('base_url = "https://["', "base_url", "an address such as"),
        ("base_url = 1", "base_url", "an address such as"),
        ("username = 1", "username", "a text in quotes"),
        ('username = ""', "username", "a text in quotes"),
        ("flow = []", "flow", "a text in quotes"),
        ("caller_id = 18145550190", "caller_id", "a text in quotes"),
        ('region = "us"', "region", 'a country code such as "US"'),
        ('region = "Germany"', "region", 'a country code such as "US"'),
        ("pace = 0", "pace", "above 0"),
        ("pace = -1.0", "pace", "above 0"),
        ("pace = true", "pace", "above 0"),
        ("pace = nan", "pace", "above 0"),
        ("timeout = inf", "timeout", "a number of seconds above 0"),
        ('timeout = "60"', "timeout", "a number of seconds above 0"),
        ("connect_timeout = 0", "connect_timeout", "a number of seconds above 0"),
        ('sign_in = "digest"', "sign_in", '"basic" or "cookies"'),
        ("sign_in = 1", "sign_in", '"basic" or "cookies"'),
        ('sign_in = ["basic"]', "sign_in", '"basic" or "cookies"'),
        ("sign_in = {}", "sign_in", '"basic" or "cookies"'),
        ("guard = 1", "guard", "a table"),
        ('flows = ["alert"]', "flows", "a table of names and flow IDs"),
        ("flows = { alert = 665 }", "flows", "a table of names and flow IDs"),
        ("contacts = { oncall = 18144043093 }", "contacts", "a table of names and numbers"),
        ("password_file = false", "password_file", "a text in quotes"),
        ("usrename = 'x'", "usrename", "base_url, username, flow, caller_id, region"),
    ],
)
def test_a_wrong_value_is_named_with_file_line_and_key(config, section, key, wanted):
    """And with what would be right."""
    path = config(f"# a comment\n\n[profiles.production]\n{section}\n")
    error = broken(path)
    assert error.message.startswith(f"{path}, line 4: profiles.production.{key} ")
    assert wanted in error.message


@pytest.mark.parametrize(
    ("line", "key", "wanted"),
    [
        ('countries = ["USA"]', "countries", "two-letter country codes"),
        ('countries = "US"', "countries", "two-letter country codes"),
        ("countries = [1]", "countries", "two-letter country codes"),
        ('hours = "8-21"', "hours", 'hours such as "08:00-21:00"'),
        ('hours = "08:00-25:00"', "hours", 'hours such as "08:00-21:00"'),
        ("deny = 1", "deny", "a text in quotes"),
        ("max_per_day = -1", "max_per_day", "a whole number, 0 or more"),
        ("max_per_day = true", "max_per_day", "a whole number, 0 or more"),
        ("max_per_number_per_day = 1.5", "max_per_number_per_day", "a whole number, 0 or more"),
        ("max = 5", "max", "countries, hours, deny, max_per_day, max_per_number_per_day"),
    ],
)
def test_a_wrong_guard_is_an_error_and_never_no_guard(config, line, key, wanted):
    path = config(f"[profiles.production]\n[profiles.production.guard]\n{line}\n")
    error = broken(path)
    assert error.message.startswith(f"{path}, line 3: profiles.production.guard.{key} ")
    assert wanted in error.message


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("default_profile = 1\n", "line 1: default_profile must be a text in quotes"),
        ('default_profile = "staging"\n', "line 1: default_profile names 'staging', which is not a profile"),
        ("profiles = 1\n", "line 1: profiles must be a table"),
        ("[profiles]\nproduction = 1\n", "line 2: profiles.production must be a table [profiles.production]"),
        ('[profile.production]\nflow = "x"\n', "profile is not a key that evocall knows here"),
        ("[profiles.a]\nflow = alert\n", "not valid TOML"),
        ("[profiles.a]\nflow = 'x'\nflow = 'y'\n", "not valid TOML"),
    ],
)
def test_a_mistake_outside_the_profiles_is_named_too(config, text, what):
    path = config(text)
    message = broken(path).message
    assert message.startswith(str(path))
    assert what in message


def test_a_mistake_in_the_toml_is_named_with_its_line(config):
    assert "line 3" in broken(config("# one\n[profiles.a]\nflow = alert\n")).message


@pytest.mark.parametrize(
    "text",
    [
        '[profiles.production]\npassword = "hunter2"\n',
        '[profiles.production]\npassword = ["hunter2"]\n',
        '[profiles.production.password]\nis = "hunter2"\n',
        'profiles.production = { password = "hunter2" }\n',
        'password = "hunter2"\n',
        '[profiles]\npassword = "hunter2"\n',
        '[profiles.production.guard]\npassword = "hunter2"\n',
        "[profiles.production]\npassword = hunter2\n",
        '[profiles.production]\nbase_url = "https://ops:hunter2@evovoice.io"\n',
        '[profiles.production]\nbase_url = ["https://ops:hunter2@evovoice.io"]\n',
    ],
)
def test_a_password_in_the_file_is_an_error_that_does_not_show_it(config, text):
    error = broken(config(text))
    assert "hunter2" not in f"{error.message} {error.hint} {error!r}"


def test_a_password_key_is_answered_with_where_it_belongs(config):
    path = config('[profiles.production]\npassword = "hunter2"\n')
    error = broken(path)
    assert error.message == f"{path}, line 2: profiles.production.password has no place here."
    assert "evocall login" in error.hint


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"\x00", b"flow = \xe9", b"a = " + b"[" * 100_000, b"pace = 0x" + b"f" * 5000, b"a = " + b"9" * 5000],
    ids=["utf-16", "nul", "latin-1", "deep", "huge-hexadecimal", "huge"],
)
def test_a_file_that_is_no_profile_file_is_an_error(config, content):
    """Found by others than people, such as a backup tool that restores the wrong bytes."""
    path = config("")
    path.write_bytes(content)
    assert str(path) in broken(path).message


def test_a_huge_number_in_a_profile_is_an_error(config):
    """Python refuses to print what TOML allows to write."""
    path = config(f"[profiles.a]\nflow = 0x{'f' * 2 * sys.get_int_max_str_digits()}\n")
    assert "profiles.a.flow must be a text in quotes" in broken(path).message


def test_a_directory_in_place_of_the_file_is_an_error(config):
    path = config("")
    path.unlink()
    path.mkdir()
    assert str(path) in broken(path).message


LINES = st.one_of(
    st.sampled_from(["[profiles.a]", "[profiles.a.guard]", "[profiles.a.flows]", "[profiles]", "[[profiles.a]]", ""]),
    st.builds(
        "{} = {}".format,
        st.sampled_from([*PROFILE_KEYS, *GUARD_KEYS, "default_profile", "profiles", "x", '""']),
        st.sampled_from(["1", "0", "-1.5", "nan", "true", '"a"', '""', "[]", '["US"]', "{}", "{a = 1}", "1979-05-27"]),
    ),
)


@settings(database=None, deadline=None)
@given(st.binary(max_size=60) | st.lists(LINES, max_size=6).map(lambda lines: "\n".join(lines).encode()))
def test_any_bytes_are_a_configuration_or_an_error(tmp_path_factory, content):
    """Never another exception, which would be a traceback on somebody's terminal."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    with contextlib.suppress(ConfigError):
        config = profiles.load(path)
        assert all(isinstance(profile, Profile) for profile in config.profiles.values())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "default"),
        ("[profiles.only]\n", "only"),
        ("[profiles.a]\n[profiles.default]\n", "default"),
        ('default_profile = "b"\n[profiles.a]\n[profiles.b]\n', "b"),
    ],
    ids=["none", "the-only-one", "called-default", "named-in-the-file"],
)
def test_the_default_profile(config, text, name):
    """The one that the file names, else the only one, else the one called default."""
    assert profiles.load(config(text)).choose(None, {}).name == name


@pytest.mark.parametrize("name", [None, "c"])
def test_a_profile_that_is_not_there_is_an_error_that_lists_those_that_are(config, name):
    """Also when several are there and none is the default: evocall does not pick an account."""
    path = config("[profiles.b]\n[profiles.a]\n")
    with pytest.raises(ConfigError) as raised:
        profiles.load(path).choose(name, {})
    assert raised.value.code == "no_such_profile"
    assert f"{path} (profiles there: a, b)" in raised.value.message


def test_the_environment_beats_the_profile(config):
    """For address and user; an empty variable is none."""
    chosen = profiles.load(config(FILE)).choose(
        "production", {"EVOCALL_BASE_URL": "https://team.evovoice.io", "EVOCALL_USERNAME": ""}
    )
    assert (chosen.base_url, chosen.username) == ("https://team.evovoice.io", "ops@example.com")


def test_the_environment_fills_a_profile_without_a_file(home):
    environ = {"EVOCALL_BASE_URL": "https://team.evovoice.io", "EVOCALL_USERNAME": "me@example.com"}
    chosen = profiles.load(home / "config.toml").choose(None, environ)
    assert (chosen.base_url, chosen.username) == ("https://team.evovoice.io", "me@example.com")


@pytest.mark.parametrize(
    "address",
    [
        *("evovoice.io", "https://evovoice.io:0", "https://me:hunter2@evovoice.io", "https//me:hunter2@evovoice.io"),
        *("https:/me:hunter2@evovoice.io", "me:hunter2@evovoice.io", "https:me%3Ahunter2%40evovoice.io"),
    ],
)
def test_a_wrong_address_in_the_environment_is_an_error(config, address):
    """It is named, and a password in it is not shown."""
    with pytest.raises(ConfigError) as raised:
        profiles.load(config(FILE)).choose("production", {"EVOCALL_BASE_URL": address})
    assert "EVOCALL_BASE_URL" in raised.value.message
    assert "hunter2" not in raised.value.message


def test_set_keeps_everything_else(config):
    path = config(FILE)
    profiles.set_value(path, ("profiles", "production", "flow"), "night")
    assert path.read_text(encoding="utf-8") == FILE.replace('flow = "alert"', 'flow = "night"')


def test_set_keeps_the_line_endings(config):
    """A file that an editor on Windows wrote stays one."""
    path = config("")
    path.write_bytes(FILE.replace("\n", "\r\n").encode())
    profiles.set_value(path, ("profiles", "production", "flow"), "night")
    assert path.read_bytes() == FILE.replace('flow = "alert"', 'flow = "night"').replace("\n", "\r\n").encode()


def test_set_makes_file_and_directory_for_their_owner_only(home):
    path = home / "new" / "config.toml"
    profiles.set_value(path, ("profiles", "default", "flow"), "alert")
    assert path.read_text(encoding="utf-8") == '[profiles.default]\nflow = "alert"\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_login_is_written_in_one_go(config, monkeypatch):
    """Whoever is stopped meanwhile has not got one host's address with the other one's user."""
    path = config(FILE)
    written, replace_file = [], Path.replace

    def noting(self, target):
        replaced = replace_file(self, target)
        written.append(profiles.load(path).profiles["production"])
        return replaced

    monkeypatch.setattr(Path, "replace", noting)
    wanted = replace(
        profiles.load(path).profiles["production"], base_url="https://b.example", username="b", sign_in="cookies"
    )
    profiles.save_login(path, wanted)
    assert written == [wanted]


def test_set_takes_a_file_away_from_the_eyes_of_others(config):
    path = config(FILE)
    path.chmod(0o644)
    profiles.set_value(path, ("profiles", "production", "flow"), "night")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_set_writes_through_a_link(config, home):
    """Those who keep their dotfiles elsewhere find the change there."""
    path = config(FILE)
    kept = path.rename(home / "dotfiles.toml")
    path.symlink_to(kept)
    profiles.set_value(path, ("profiles", "production", "flow"), "night")
    assert path.is_symlink()
    assert 'flow = "night"' in kept.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("profiles", "production", "pace"), -1),
        (("profiles", "production", "flwo"), "alert"),
        (("profiles", "production", "password"), "hunter2"),
        (("default_profile",), "nobody"),
        (("profiles", "production"), None),
        (("profiles", "production", "hours"), None),
    ],
    ids=["wrong-value", "unknown-key", "password", "unknown-default", "default-removed", "not-there"],
)
def test_a_change_that_would_break_the_file_is_not_written(config, keys, value):
    """The old bytes are still there, and nothing lies beside them but the lock."""
    path = config(FILE)
    with pytest.raises(ConfigError) as raised:
        profiles.set_value(path, keys, value)
    assert path.read_text(encoding="utf-8") == FILE
    assert {entry.name for entry in path.parent.iterdir()} == {path.name, "config.lock"}
    assert "hunter2" not in raised.value.message


def test_a_file_that_is_broken_already_is_not_written(config):
    """Its owner mends it; a rewrite from what could be read of it would lose the rest."""
    path = config("[profiles.a]\nflow = alert\n")
    with pytest.raises(ConfigError):
        profiles.set_value(path, ("profiles", "b", "flow"), "x")
    assert path.read_text(encoding="utf-8") == "[profiles.a]\nflow = alert\n"


@pytest.mark.parametrize("place", ["file", "directory"])
def test_a_file_that_cannot_be_written_is_an_error(home, place):
    """A directory where the file should be, or a file where its directory should be; nothing is left lying about."""
    path = home / "here" / "config.toml"
    if place == "file":
        path.mkdir(parents=True)
    else:
        path.parent.write_text("in the way")
    before = {*home.rglob("*"), path.with_name("config.lock")}
    with pytest.raises(ConfigError) as raised:
        profiles.set_value(path, ("profiles", "default", "flow"), "x")
    assert str(path) in raised.value.message
    assert before >= {*home.rglob("*")}


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("flow", "alert", "alert"),
        ("flow", "42", "42"),
        ("caller_id", "+18145550190", "+18145550190"),
        ("pace", "0.5", 0.5),
        ("timeout", "30", 30),
        ("sign_in", "cookies", "cookies"),
        ("guard.countries", "US,CA", ["US", "CA"]),
        ("guard.countries", "US", ["US"]),
        ("guard.countries", '["US", "CA"]', ["US", "CA"]),
        ("guard.hours", "08:00-21:00", "08:00-21:00"),
        ("guard.max_per_day", "0", 0),
        ("flows.alert", "665f1c0000000000000000aa", "665f1c0000000000000000aa"),
        ("contacts.o.n", "+18145550190", "+18145550190"),
    ],
)
def test_a_value_is_typed_on_the_command_line_without_toml_quotes(key, text, value):
    typed = typed_value(tuple(key.split(".", 1)), text)
    assert (typed, type(typed)) == (value, type(value))


@pytest.mark.parametrize(
    ("key", "text", "named"),
    [
        ("pace", "fast", "calls per second, above 0"),
        ("pace", "0", "calls per second, above 0"),
        ("timeout", "inf", "a number of seconds above 0"),
        ("sign_in", "digest", '"basic" or "cookies"'),
        ("region", "Germany", 'a country code such as "US"'),
        ("base_url", "evovoice.io", "an address such as"),
        ("flow", "", "a text in quotes"),
        ("guard.countries", "USA", "two-letter country codes"),
        ("guard.hours", "8-21", 'hours such as "08:00-21:00"'),
        ("guard.max_per_day", "some", "a whole number, 0 or more"),
        ("flwo", "alert", "flow"),
        ("guard", "x", "guard.hours"),
        ("flows", "x", "flows.NAME"),
        ("guard.max", "5", "guard.max_per_day"),
        ("password", "hunter2", "evocall login"),
        ("base_url", "https://me:hunter2@evovoice.io", "without a login in it"),
    ],
)
def test_a_wrong_value_on_the_command_line_is_named_with_what_would_be_right(key, text, named):
    with pytest.raises(UsageError) as raised:
        typed_value(tuple(key.split(".", 1)), text)
    said = f"{raised.value.message} {raised.value.hint}"
    assert named in said
    assert re.search(rf"\b{key}\b", said)
    assert "hunter2" not in said


@settings(database=None, deadline=None)
@given(st.sampled_from([*PROFILE_KEYS, *(f"guard.{key}" for key in GUARD_KEYS)]), st.text())
def test_whatever_set_accepts_can_be_read_back(tmp_path_factory, key, text):
    """A value that `profile set` takes never makes a file that the next command refuses."""
    path = tmp_path_factory.getbasetemp() / "set.toml"
    path.unlink(missing_ok=True)
    keys = tuple(key.split(".", 1))
    try:
        value = typed_value(keys, text)
        profiles.set_value(path, ("profiles", "a", *keys), value)
    except EvocallError:
        assert not path.exists()
        return
    chosen = profiles.load(path).choose("a", {})
    held = getattr(chosen.guard, keys[1]) if keys[0] == "guard" else getattr(chosen, key)
    assert (list(held) if isinstance(held, tuple) else held) == value
