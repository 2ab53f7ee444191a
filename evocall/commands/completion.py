"""`evocall completion`."""

from enum import StrEnum
from typing import Annotated

import typer

# zsh loads a file from $fpath at the first TAB and expects it to complete at once, not only to define how.
AUTOLOADED = '[[ $funcstack[1] = _evocall ]] && _evocall_completion "$@"\n'


class Shell(StrEnum):
    """The shells that have a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def completion(
    shell: Annotated[Shell, typer.Argument(help="Shell to print the script for", show_default=False)],
) -> None:
    """Print the completion script for a shell.

    bash: source it in ~/.bashrc. zsh: save it as _evocall in a directory of $fpath. fish: save it as
    ~/.config/fish/completions/evocall.fish. powershell: add it to $PROFILE.

    Examples:

      evocall completion bash

      evocall completion fish
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined] # not named in its __all__

    from evocall.output import Screen

    script = get_completion_script(prog_name="evocall", complete_var="_EVOCALL_COMPLETE", shell=shell) + "\n"
    Screen().text(script + AUTOLOADED if shell is Shell.ZSH else script)
