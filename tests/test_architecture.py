"""The floors: imports point down only, importing is light, and discovery names what is broken."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import envs
from envs.discovery import discover
from envs.problem import Problem

ROOT = Path(__file__).parent.parent
FLOORS = ("envs", "generators", "agents", "search", "service", "experiments")
HEAVY = ("torch", "ray", "pygame", "matplotlib", "stable_baselines3", "optuna", "tensorboard", "imageio")


def sources(floor):
    return sorted((ROOT / floor).rglob("*.py"))


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path, top_level_only=False):
    """The modules that a source names in its import statements; those for type checkers alone are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    found = set()

    def visit(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for child in node.orelse:
                visit(child)
            return
        if top_level_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return found


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_point_down_only(floor):
    above = {*FLOORS[FLOORS.index(floor) + 1 :], "tests", "benchmarks", "docs"}
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(floor)
        for name in imported(path)
        if name.split(".")[0] in above
    }
    assert wrong == set()


def test_there_are_no_import_circles():
    """Circles among modules, counting what is imported when a module is loaded."""
    import networkx

    modules = {module_name(path): path for floor in FLOORS for path in sources(floor)}
    graph = networkx.DiGraph()
    for name, path in modules.items():
        for other in imported(path, top_level_only=True):
            if other in modules and other != name:
                graph.add_edge(name, other)
    circles = [sorted(part) for part in networkx.strongly_connected_components(graph) if len(part) > 1]
    assert circles == []


def test_ray_stays_in_its_engine():
    """Nothing but `agents/rllib` imports Ray, and nothing but `agents/engines.py`, and it late, imports that."""
    engine = ROOT / "agents" / "rllib"
    others = {path: imported(path) for floor in FLOORS for path in sources(floor) if engine not in path.parents}
    assert [path for path, names in others.items() if any(name.split(".")[0] == "ray" for name in names)] == []
    users = [path for path, names in others.items() if any("agents.rllib" in name for name in names)]
    assert users == [ROOT / "agents" / "engines.py"]
    assert not any("agents.rllib" in name for name in imported(users[0], top_level_only=True))


def test_the_floors_are_the_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["packages"]["find"]["include"] == [f"{floor}*" for floor in FLOORS]
    assert project["tool"]["mypy"]["packages"] == list(FLOORS)
    for floor in FLOORS:
        folders = {path.parent for path in sources(floor)}
        assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_every_room_has_a_name():
    names = {path.relative_to(ROOT) for floor in FLOORS for path in sources(floor)}
    assert [path for path in names if path.stem in {"utils", "util", "helpers", "misc", "common"}] == []


def in_a_fresh_process(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    "use",
    [
        "import envs",
        "import envs, gymnasium; gymnasium.make('tilewright/zelda-turtle-v0').reset()",
        "import envs, gymnasium; gymnasium.make_vec('tilewright/binary-wide-v0', num_envs=2).reset()",
        "import envs.checks",
    ],
)
def test_the_environments_are_light(use):
    loaded = in_a_fresh_process(f"{use}; import sys; print(*(n for n in {HEAVY!r} if n in sys.modules))")
    assert loaded == []


def test_importing_registers_every_id():
    import gymnasium

    expected = {*envs.environment_ids(needy=True), *envs.play_environment_ids()}
    assert {name for name in gymnasium.registry if name.startswith("tilewright/")} == expected
    assert len(envs.environment_ids(needy=True)) == len(envs.all_problems()) * len(envs.all_representations())
    assert set(envs.environment_ids(needy=True)) - set(envs.environment_ids()) == {
        f"tilewright/{problem}-latent-v0" for problem in envs.all_problems()
    }


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An empty package, and a function that writes a module into it."""
    import importlib

    folder = tmp_path / "somepackage"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "somepackage"]:
        monkeypatch.delitem(sys.modules, name)

    def write(name, text):
        (folder / f"{name}.py").write_text(text)
        importlib.invalidate_caches()

    yield importlib.import_module("somepackage"), write
    for name in [name for name in sys.modules if name.partition(".")[0] == "somepackage"]:
        del sys.modules[name]


NAMED = """
import dataclasses
from envs.problems.binary import PROBLEM as other
PROBLEM = dataclasses.replace(other, name={name!r})
"""


def test_dropping_a_file_in_is_all_that_it_takes(package):
    somepackage, write = package
    write("caves", NAMED.format(name="caves"))
    write("arena", NAMED.format(name="arena"))
    write("_private", "raise RuntimeError('must not be imported')")
    found = discover(somepackage, Problem, "PROBLEM")
    assert list(found) == ["arena", "caves"]
    assert found["caves"].name == "caves"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def (", ["somepackage.caves", "SyntaxError"]),
        ("import no_such_module_anywhere", ["somepackage.caves", "no_such_module_anywhere"]),
        ("1 / 0", ["somepackage.caves", "ZeroDivisionError"]),
        ("raise SystemError('x')", ["somepackage.caves", "SystemError"]),
        ("X = 1", ["somepackage.caves", "PROBLEM", "Problem"]),
        ("PROBLEM = 3", ["somepackage.caves", "PROBLEM", "3"]),
        (NAMED.format(name="arena"), ["somepackage.caves", "'arena'", "somepackage.arena"]),
    ],
)
def test_a_broken_file_is_reported_by_its_name(package, text, words):
    somepackage, write = package
    write("arena", NAMED.format(name="arena"))
    write("caves", text)
    with pytest.raises(ImportError) as raised:
        discover(somepackage, Problem, "PROBLEM")
    for word in words:
        assert word in str(raised.value)
