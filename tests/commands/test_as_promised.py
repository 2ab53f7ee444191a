"""Promises that a first user found broken."""

import json
import subprocess
import sys

GUARDED = """
[profiles.default]
region = "US"
flow = "welcome"

[profiles.default.guard]
deny = "do-not-call.txt"
max_per_day = 1
"""


def test_the_region_of_a_call_does_not_change_the_deny_list(evocall, config):
    """Its national numbers are read as the profile reads them, whatever --region says."""
    config(GUARDED).with_name("do-not-call.txt").write_text("(814) 555-0106\n")
    for more in ((), ("--region", "DE"), ("--region", "IN")):
        assert evocall("check", "+18145550106", *more).code == 3
        assert evocall("dial", "+18145550106", "--dry-run", *more).code == 3


def test_a_deny_list_in_national_format_needs_the_region_of_the_profile(evocall, config):
    """Without one nobody knows whom it means, and nobody is rung."""
    config(GUARDED.replace('region = "US"\n', "")).with_name("do-not-call.txt").write_text("(814) 555-0106\n")
    result = evocall("dial", "+18145550100", "--region", "US", "--dry-run")
    assert result.code == 10
    assert "do-not-call.txt, line 1" in result.err


def test_check_knows_the_caps_that_dial_would_meet(evocall, config, signed_in):
    config(GUARDED).with_name("do-not-call.txt").write_text("")
    assert evocall("check", "+18145550102").code == 0
    assert evocall("dial", "+18145550100").code == 0
    assert evocall("check", "+18145550102").code == evocall("dial", "+18145550102").code == 3


def test_a_dry_run_refuses_the_address_that_a_dial_would_refuse(evocall, monkeypatch):
    monkeypatch.setenv("EVOCALL_BASE_URL", "http://example.com")
    assert evocall("dial", "+18145550100", "--flow", "x", "--dry-run").code == 10


def test_a_batch_does_not_say_of_an_unknown_row_that_it_was_not_placed(evocall, signed_in, tmp_path):
    """And says what to do with it."""
    rows = tmp_path / "rows.csv"
    rows.write_text("number\n+18145550160\n")
    for _ in range(2):
        result = evocall("batch", str(rows), "--campaign", "c", "--yes", "--json")
        assert result.code == 14
        error = json.loads(result.out)["error"]
        assert error["message"] == "0 of 1 rows are placed, 1 may have been, 0 are not."
        assert "--retry-unknown" in error["hint"]


def test_a_hint_in_the_sandbox_names_the_sandbox(evocall):
    result = evocall("dial", "+18145550143", "--sandbox")
    assert "evocall whoami --sandbox" in result.err


def test_a_reader_that_goes_away_meets_no_defect():
    """`evocall --help | head -1` is what people type."""
    with subprocess.Popen(
        [sys.executable, "-m", "evocall", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "defect" not in process.stderr.read()


def test_a_mistyped_command_is_pointed_at_a_help_that_exists(evocall):
    assert evocall("dail").err.endswith("hint: evocall --help\n")


def test_no_command_shows_the_help_and_nothing_else(evocall):
    result = evocall()
    assert result.code == 2
    assert result.err == ""
