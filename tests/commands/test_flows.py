"""`evocall flows`, flows by name in `dial`, and what TAB remembers of them."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from evocall import catalog, paths
from evocall.sandbox import Account, Sandbox
from tests.faultserver import FaultServer, answering, http

NUMBER = "+18145550100"
ALERT = "665f1c0000000000000000aa"
COMPLETIONS = Path(__file__).parents[2] / "completions"
BASH = """
{source}
COMP_LINE={typed!r}
COMP_WORDS=($COMP_LINE)
[[ $COMP_LINE == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_evocall_completion evocall
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# compadd is wrapped to write down what it offers; the widget says when it has ended.
ZSH = """
autoload -Uz compinit
compinit -u -D
{source}
compadd() {{
  local -a offered
  builtin compadd -O offered "$@"
  print -rl -- $offered >>{result}
  builtin compadd "$@"
}}
completing() {{
  _main_complete
  print -r -- OFFERED >/dev/tty
}}
zle -C completing complete-word completing
bindkey '^I' completing
print -r -- READY
"""
PTY = """
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner source {setup}
zpty -r inner seen '*READY*'
zpty -n -w inner {typed}$'\\t'
zpty -r inner seen '*OFFERED*'
zpty -d inner
"""
NAMES = ["alert", "duplicate", "duplicate", "oncall", "reminder", "survey", "welcome"]


@pytest.fixture
def named(started):
    """A server whose flows have these names."""

    def serve(*names):
        flows = [{"id": f"f{n}", "name": name} for n, name in enumerate(names)]
        body = json.dumps({"items": flows, "hasMorePages": False}).encode()
        return started(FaultServer(answering(http("200 OK", body))))

    return serve


@pytest.fixture
def shell(tmp_path):
    """Runs a shell with the environment of this process and an evocall to find, and gives what it prints."""
    program = tmp_path / "bin" / "evocall"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m evocall "$@"\n')
    program.chmod(0o755)

    def run(*arguments):
        done = subprocess.run(
            arguments,
            env=os.environ | {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
        )
        assert done.stderr == ""
        return done.stdout

    return run


@pytest.fixture
def in_shell(shell, missing, tmp_path):
    """What TAB in a shell offers after that has been typed, a candidate a line."""
    scripts = {"bash": "evocall.bash", "zsh": "_evocall", "fish": "evocall.fish"}
    result, setup = tmp_path / "offered", tmp_path / "setup.zsh"

    def press(name, typed):
        if which(name) is None:
            missing(f"{name} is not installed: apt install {name}")
        source = f"source {shlex.quote(str(COMPLETIONS / scripts[name]))}"
        if name == "bash":
            return shell("bash", "--norc", "-c", BASH.format(source=source, typed=typed))
        if name == "fish":
            return shell("fish", "--no-config", "-c", f"{source}; complete -C {shlex.quote(typed)}")
        setup.write_text(ZSH.format(source=source, result=shlex.quote(str(result))))
        shell("zsh", "-f", "-c", PTY.format(setup=shlex.quote(str(setup)), typed=shlex.quote(typed)))
        return result.read_text()

    return press


@pytest.fixture
def offered(in_shell):
    """The same in bash, as a list."""
    return lambda typed: [line for line in in_shell("bash", typed).splitlines() if line]


# listing


def test_all_flows_are_listed_by_name_with_what_tells_them_apart(evocall, signed_in):
    result = evocall("flows")
    heading, *lines = result.out.splitlines()
    assert (result.code, result.err) == (0, "")
    assert heading.split() == ["flow", "name", "account", "customer"]
    assert [line.split()[1] for line in lines] == NAMES
    assert lines[0].split() == [ALERT, "alert", "Example", "Company"]
    assert lines[2].endswith("duplicate  Example Company  North Branch")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("al", ["alert", "oncall"]), ("AL", ["alert", "oncall"]), ("duplicate", ["duplicate"] * 2), ("x", [])],
)
def test_a_text_narrows_the_list(evocall, signed_in, text, expected):
    """Anywhere in the name, in any case."""
    result = evocall("flows", text, "--json")
    assert (result.code, [flow["name"] for flow in json.loads(result.out)]) == (0, expected)


def test_json_is_an_array_of_flows(evocall, signed_in):
    flows = json.loads(evocall("flows", "duplicate", "--json").out)
    first = {"id": "665f1c0000000000000000d1", "name": "duplicate", "account": "Example Company", "customer": None}
    assert flows == [first, {**first, "id": "665f1c0000000000000000d2", "customer": "North Branch"}]


def test_no_flow_is_no_error(evocall, signed_in, named):
    """Scripts get an empty array, people a sentence."""
    result = evocall("flows", "zzz")
    assert (result.code, result.out, result.err) == (0, "", "evocall: no flow has 'zzz' in its name.\n")
    assert evocall("flows", "zzz", "--json").out == "[]\n"
    named()
    assert evocall("flows").err == "evocall: the account has no flows.\n"


def test_the_sandbox_lists_its_flows_without_an_account(evocall):
    assert [flow["name"] for flow in json.loads(evocall("flows", "--sandbox", "--json").out)] == NAMES


def test_a_quiet_list_is_for_scripts_that_want_the_exit_code(evocall, signed_in):
    assert evocall("flows", "--quiet").out == ""
    assert len(json.loads(evocall("flows", "--quiet", "--json").out)) == 7


def test_names_move_no_cursor(evocall, signed_in, named):
    named("\x1b[2Jgone\nnext [bold]x[/bold]")
    assert "\\x1b[2Jgone next [bold]x[/bold]" in evocall("flows").out


@pytest.mark.parametrize(
    ("setting", "value", "code", "error"),
    [
        ("EVOCALL_PASSWORD", "wrong", 4, "wrong_login"),
        ("EVOCALL_USERNAME", "phone@example.com", 6, "forbidden"),
        ("EVOCALL_BASE_URL", "http://127.0.0.1:9", 8, "connection_refused"),
    ],
)
def test_a_service_that_does_not_tell_is_an_error(
    evocall, monkeypatch, signed_in, started, setting, value, code, error
):
    """In JSON, too: one document."""
    started(Sandbox(accounts=[Account("phone@example.com", "rings-nobody", ("User",))]))
    monkeypatch.setenv(setting, value)
    result = evocall("flows", "--json")
    assert (result.code, json.loads(result.out)["error"]["code"]) == (code, error)


def test_a_long_search_says_how_far_it_is(evocall, monkeypatch, signed_in, started):
    """On stderr, where it harms no script; not when quiet."""
    monkeypatch.setattr(catalog, "QUIET_FOR", 0.0)
    started(Sandbox(extra_flows=293, most_per_page=100))
    result = evocall("flows", "--json")
    assert len(json.loads(result.out)) == 300
    assert result.err == "".join(f"evocall: still searching: {n} looked at so far.\n" for n in (100, 200, 300))
    assert evocall("flows", "--json", "--quiet").err == ""


# dialling by name


def test_a_name_is_dialled_by_its_id(evocall, signed_in):
    """The receipt, the journal and the JSON have the ID; the receipt shows the name beside it."""
    result = evocall("dial", NUMBER, "--flow", "alert")
    assert result.code == 0
    assert f"flow      alert  {ALERT}\n" in result.out
    assert json.loads(signed_in.dials()[0].body)["flowId"] == ALERT
    assert json.loads(evocall("history", "--json").out)[0]["flow"] == ALERT


def test_an_alias_may_stand_for_a_name(evocall, config, signed_in):
    config('[profiles.a.flows]\nnight = "alert"\nalert = "665f1c0000000000000000a2"\n')
    assert f"flow      night  {ALERT}\n" in evocall("dial", NUMBER, "--flow", "night").out
    assert "flow      alert  665f1c0000000000000000a2\n" in evocall("dial", NUMBER, "--flow", "alert").out


@pytest.mark.parametrize("flow", [ALERT, ALERT.upper(), f"id:{ALERT}"])
def test_an_id_is_never_looked_up(evocall, signed_in, flow):
    """It is sent as it is, and nothing else is."""
    assert evocall("dial", NUMBER, "--flow", flow).code == 0
    (request,) = signed_in.requests
    assert json.loads(request.body)["flowId"] == flow.removeprefix("id:")


def test_a_name_of_two_flows_is_not_dialled(evocall, signed_in):
    """The error has what is needed to choose."""
    result = evocall("dial", NUMBER, "--flow", "duplicate", "--json")
    error = json.loads(result.out)["error"]
    assert (result.code, error["code"]) == (2, "ambiguous_flow")
    for text in ("665f1c0000000000000000d1", "665f1c0000000000000000d2", "Example Company", "customer North Branch"):
        assert text in error["message"]
    assert signed_in.dials() == []


@pytest.mark.parametrize(("typed", "meant"), [("allert", "alert"), ("Welcome", "welcome"), ("remind", "reminder")])
def test_a_name_that_nobody_has_is_not_dialled_and_the_nearest_is_offered(evocall, signed_in, typed, meant):
    result = evocall("dial", NUMBER, "--flow", typed, "--json")
    document = json.loads(result.out)
    assert (result.code, document["error"]["code"], document["outcome"]) == (5, "no_such_flow", "not_placed")
    assert (document["number"], document["call"]) == (NUMBER, None)
    assert f"Did you mean '{meant}'" in document["error"]["message"]
    assert signed_in.dials() == []
    assert json.loads(evocall("history", "--json").out) == []


def test_a_name_that_is_no_text_is_no_defect(evocall, signed_in):
    """Bytes of another encoding, as the shell passes them on."""
    result = evocall("dial", NUMBER, "--flow", "d\udce9j\udce0 vu")
    assert (result.code != 0, signed_in.dials()) == (True, [])
    assert "defect" not in result.err
    assert "defect" not in evocall("flows", "d\udce9j\udce0 vu").err


def test_a_flow_that_cannot_be_looked_up_is_not_dialled(evocall, signed_in, started):
    server = started(FaultServer(answering(http("503 Service Unavailable"))))
    result = evocall("dial", NUMBER, "--flow", "alert", "--json")
    document = json.loads(result.out)
    assert (result.code, document["outcome"], server.posts) == (8, "not_placed", [])


def test_a_rehearsal_looks_nothing_up_unless_it_is_asked_to(evocall, monkeypatch, signed_in):
    """Without `--verbose` it needs no login; with it the request that would be sent has the ID."""
    verbose = evocall("dial", NUMBER, "--flow", "alert", "--dry-run", "--verbose", "--json")
    assert json.loads(verbose.out)["request"]["flowId"] == ALERT
    before = len(signed_in.requests)
    monkeypatch.delenv("EVOCALL_PASSWORD")
    result = evocall("dial", NUMBER, "--flow", "alert", "--dry-run")
    assert (result.code, len(signed_in.requests)) == (0, before)
    assert "the flow 'alert' is looked up when it is dialled" in result.err
    assert signed_in.dials() == []


# TAB


def test_tab_offers_the_names_that_were_listed(evocall, offered, signed_in):
    """Beside nothing before that; it works offline and asks nobody."""
    assert offered("evocall dial --flow ") == []
    evocall("flows")
    signed_in.stop()
    asked = len(signed_in.requests)
    assert offered("evocall dial --flow ") == sorted(set(NAMES))
    assert offered("evocall dial --flow re") == ["reminder"]
    assert offered("evocall batch x.csv --flow we") == ["welcome"]
    assert len(signed_in.requests) == asked


def test_tab_offers_a_name_that_was_dialled_and_the_aliases(evocall, config, offered, signed_in):
    """Not one that was mistyped."""
    config(f'[profiles.a.flows]\nnight = "{ALERT}"\n')
    evocall("dial", NUMBER, "--flow", "survey")
    evocall("dial", NUMBER, "--flow", "surrey")
    assert offered("evocall dial --flow ") == ["night", "survey"]


def test_tab_offers_the_names_of_the_profile_that_was_typed(evocall, config, offered, signed_in):
    config('default_profile = "a"\n[profiles.a]\n[profiles.b]\n')
    evocall("flows", "al", "--profile", "b")
    assert offered("evocall dial --profile b --flow ") == ["alert", "oncall"]
    assert offered("evocall dial --flow ") == []


def test_tab_offers_nothing_of_a_rehearsal(evocall, config, offered, signed_in):
    """Its flows are not those of the account, also where a profile is called like it."""
    config('default_profile = "a"\n[profiles.a]\n[profiles.sandbox]\n')
    evocall("flows", "--sandbox")
    assert offered("evocall dial --profile sandbox --flow ") == []
    evocall("dial", NUMBER, "--flow", "survey", "--sandbox")
    assert offered("evocall dial --profile sandbox --flow ") == []
    assert offered("evocall dial --flow ") == []


HOSTILE = [
    r"\$(touch pwned)",
    r"\`touch pwned`",
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "))'; touch pwned; '((",
    "a\ntouch pwned\n",
    "it's",
    "*",
]


@pytest.mark.parametrize(
    ("name_of_shell", "names"), [("zsh", HOSTILE[:1]), ("zsh", HOSTILE), ("bash", HOSTILE), ("fish", HOSTILE)]
)
def test_tab_runs_nothing_that_a_name_says(evocall, in_shell, tmp_path, signed_in, named, name_of_shell, names):
    """A name is somebody else's text, and shells evaluate what they are offered; the name beside it is still there."""
    named("alert", *names)
    evocall("flows")
    lines = in_shell(name_of_shell, "evocall dial --flow ").splitlines()
    assert not (tmp_path / "pwned").exists()
    assert "alert" in lines
    assert "bin" not in lines


def test_a_name_that_tab_inserts_is_one_word(evocall, offered, signed_in, named):
    """bash puts it on the line as it is: a blank in it has to be quoted, or the name must not be offered."""
    named("After hours", "alert")
    evocall("flows")
    assert all(len(shlex.split(word)) == 1 for word in offered("evocall dial --flow "))


@pytest.mark.parametrize("remembered", [["allert"], ["alert", "allert", "welcome"]])
def test_dialling_does_not_look_into_what_tab_remembers(evocall, signed_in, remembered):
    """Neither for a name that is not there any more, nor instead of asking for one that is."""
    file = paths.names_file("default")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"host": "localhost", "flows": remembered}))
    assert evocall("dial", NUMBER, "--flow", "allert").code == 5
    assert signed_in.dials() == []
    assert evocall("dial", NUMBER, "--flow", "alert").code == 0
    assert json.loads(signed_in.dials()[0].body)["flowId"] == ALERT
    assert sum(request.path.startswith("/flows") for request in signed_in.requests) == 3


def test_a_name_is_asked_for_with_every_dial(evocall, signed_in):
    """It may have moved to another flow meanwhile."""
    for _ in range(3):
        evocall("dial", NUMBER, "--flow", "alert")
    assert sum(request.path.startswith("/flows") for request in signed_in.requests) == 3
