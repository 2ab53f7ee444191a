"""Who may import whom: read from the source, so that a function-level import counts too."""

import ast
from pathlib import Path

import pytest

import evocall

PACKAGE = Path(evocall.__file__).parent
OWNER = {
    "requests": "transport connections",
    "urllib3": "transport connections",
    "phonenumbers": "phone",
    "keyring": "keychain",
    "secretstorage": "keychain",
    "tomllib": "toml_text",
    "tomli_w": "toml_text",
    "rich": "output progress",
    "platformdirs": "paths",
    "sqlite3": "sqlite",
    "psycopg": "postgres",
}


def name_of(path: Path) -> str:
    """`evocall/commands/dial.py` is `evocall.commands.dial`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}


def imports_of(module: str) -> set[str]:
    """All that a module imports, wherever in it: `from evocall import phone` is `evocall.phone`."""
    found = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import, which these tests do not read"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= inner or {str(node.module)}
    return found


IMPORTS = {module: imports_of(module) for module in MODULES}


def importers_of(package: str) -> set[str]:
    """The modules that import a package or something in it."""
    return {
        module
        for module, found in IMPORTS.items()
        if any(name == package or name.startswith(f"{package}.") for name in found)
    }


def users_of(owner: str, function: str) -> set[str]:
    """The modules that name a function of another module, as `owner.function` or imported by its own name."""

    def names_it(node: ast.AST) -> bool:
        match node:
            case ast.Attribute(ast.Name(name), attribute):
                return (name, attribute) == (owner, function)
            case ast.ImportFrom(name, aliases):
                return name == f"evocall.{owner}" and any(alias.name == function for alias in aliases)
        return False

    return {module for module, tree in TREES.items() if any(map(names_it, ast.walk(tree)))}


def within(package: str) -> set[str]:
    """A package and its modules."""
    return {module for module in MODULES if module == package or module.startswith(f"{package}.")}


DOORS = within("evocall.commands") | {"evocall.api"}  # where people and programs come in


@pytest.mark.parametrize("library", OWNER)
def test_a_library_is_imported_by_its_owner_only(library):
    """So that replacing or updating it concerns one file; rich and requests have two that belong together."""
    assert importers_of(library) == {f"evocall.{owner}" for owner in OWNER[library].split()}


def test_typer_stays_in_the_command_line():
    assert importers_of("typer") <= {"evocall.cli"} | within("evocall.commands")


def test_only_main_imports_the_command_line():
    assert importers_of("evocall.cli") == {"evocall.__main__"}


def test_only_the_command_line_imports_commands():
    assert importers_of("evocall.commands") <= {"evocall.cli"} | within("evocall.commands")


def test_only_the_command_line_prints():
    """What others have to say comes from `wording`; `target` shows the exchanges of --verbose."""
    printers = {"evocall.cli", "evocall.progress", "evocall.target"} | within("evocall.commands")
    assert importers_of("evocall.output") <= printers


def test_nothing_is_built_on_the_api():
    """It is for programs; the package only passes it on."""
    assert importers_of("evocall.api") <= {"evocall"}


def test_only_what_places_or_follows_calls_knows_of_placing():
    """It is above the owners of libraries and files, which know nothing of it."""
    above = {"evocall.campaign", "evocall.crew", "evocall.settling", "evocall.watching"}
    assert importers_of("evocall.placing") <= DOORS | above


def test_only_campaigns_and_settling_place_calls():
    """Commands and programs place by way of `settling`, and nobody who follows a call can place one."""
    assert users_of("placing", "place") == {"evocall.campaign", "evocall.settling"}
    assert users_of("settling", "place") <= DOORS


@pytest.mark.parametrize("module", sorted(within("evocall.sandbox")))
def test_the_sandbox_stands_alone(module):
    """It must not agree with evocall by sharing its mistakes."""
    ours = {name for name in IMPORTS[module] if name.split(".")[0] == "evocall"}
    assert ours <= within("evocall.sandbox")


def test_the_sandbox_is_started_by_commands_and_as_a_target_only():
    starters = within("evocall.commands") | {"evocall.target"}
    assert importers_of("evocall.sandbox") <= starters | within("evocall.sandbox")
