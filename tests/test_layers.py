"""Who may import whom: read from the source, so that a function-level import counts too."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
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
    "psycopg": "postgres_connection",
}


def name_of(path: Path) -> str:
    """`evocall/commands/dial.py` is `evocall.commands.dial`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}


def imports_of(module: str, *, types: bool = True) -> set[str]:
    """All that a module imports, wherever in it, with or without what is there for its types only.

    `from evocall import phone` is `evocall.phone`. `__version__` alone is no import: Python has loaded it before.
    """
    found = set()
    for node in nodes_of(TREES[module], types=types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import, which these tests do not read"
            names = {f"{node.module}.{alias.name}" for alias in node.names} - {"evocall.__version__"}
            found |= {name if name in MODULES else str(node.module) for name in names}
    return found


def nodes_of(node: ast.AST, *, types: bool) -> Iterator[ast.AST]:
    """The node and all within it; without `types` not what is below `if TYPE_CHECKING`."""
    yield node
    for inner in ast.iter_child_nodes(node):
        if types or not (isinstance(inner, ast.If) and ast.unparse(inner.test) == "TYPE_CHECKING"):
            yield from nodes_of(inner, types=types)


IMPORTS = {module: imports_of(module) for module in MODULES}


def ours(found: set[str]) -> set[str]:
    """Those that are modules of evocall."""
    return {name for name in found if name.split(".")[0] == "evocall"}


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


def rows_of_the_layout() -> list[list[str]]:
    """The table in CONTRIBUTING, as names of modules and packages in their order."""
    page = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("| modules | about |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.+`) \|", table, re.MULTILINE)
    return [[name_in_the_layout(name) for name in re.findall("`(.+?)`", row)] for row in rows]


def name_in_the_layout(name: str) -> str:
    return "evocall" if name == "__init__" else f"evocall.{name.rstrip('/')}"


ROWS = rows_of_the_layout()
ORDER = [name for row in ROWS for name in row]
ROW = {name: number for number, row in enumerate(ROWS) for name in row}


def room(module: str) -> str:
    """What the layout calls it: itself, or the package that it is in."""
    return ".".join(module.split(".")[:2])


DOORS = within("evocall.commands") | {"evocall.api"}  # where people and programs come in


def test_each_module_has_one_place_in_the_layout():
    assert sorted(ORDER) == sorted({room(module) for module in MODULES})


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_those_before_it(module):
    """As CONTRIBUTING lists them.

    For types alone any module of the same row will do, since an error carries a call, and an answer carries an error.
    """
    us = room(module)
    needed = {room(name) for name in ours(imports_of(module, types=False))} - {us}
    assert [name for name in needed if ORDER.index(name) > ORDER.index(us)] == []
    assert [name for name in map(room, ours(IMPORTS[module])) if ROW[name] > ROW[us]] == []


def test_no_imports_run_in_a_circle():
    """Not in a package either, whose modules have one place."""
    TopologicalSorter({module: ours(imports_of(module, types=False)) for module in MODULES}).prepare()


def test_modules_are_imported_by_name():
    """These tests cannot read a name that is made when the program runs; the two that do so are above all others."""
    found = {
        module for module, path in MODULES.items() if re.search("import_module|__import__", path.read_text("utf-8"))
    }
    assert found == {"evocall", "evocall.cli"}


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
    """What others have to say comes from `wording`."""
    assert importers_of("evocall.output") <= {"evocall.cli"} | within("evocall.commands")


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
    assert ours(IMPORTS[module]) <= within("evocall.sandbox")


def test_the_sandbox_is_started_by_commands_and_as_a_target_only():
    starters = within("evocall.commands") | {"evocall.target"}
    assert importers_of("evocall.sandbox") <= starters | within("evocall.sandbox")
