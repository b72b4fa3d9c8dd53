"""What numba keeps on disk is made anew when a module changes that a compiled function took in."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engines import compiled

ENGINES = Path(compiled.__file__).parent
FAR = """\
from engines.compiled import compiled
FACTOR = 2
@compiled(inline="always")
def far(x): return FACTOR * x
"""
NEAR = """\
from engines.compiled import compiled
from engines.far import far
@compiled()
def near(x): return far(x)
"""
CALLER = """\
from engines.compiled import compiled
from engines.near import near
@compiled(fastmath=True)
def call(x): return near(x) + 1
"""
PROBE = """\
from engines.caller import call
value = call(10)
print(value, sum(call.stats.cache_hits.values()) if hasattr(call, "stats") else 0)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in which `caller` calls `near`, which takes `far` in."""
    engines = tmp_path / "engines"
    engines.mkdir()
    shutil.copy(compiled.__file__, engines)
    for name, source in {"__init__": "", "far": FAR, "near": NEAR, "caller": CALLER}.items():
        (engines / f"{name}.py").write_text(source)
    return engines


def _ask(package: Path, **variables: str) -> tuple[int, int]:
    """What the compiled function says in a process of its own, and how often it was found on disk."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")} | variables
    run = subprocess.run(
        [sys.executable, "-B", "-c", PROBE],
        cwd=package.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    value, hits = run.stdout.split()
    return int(value), int(hits)


def test_a_change_two_modules_away_is_seen(package: Path) -> None:
    assert _ask(package) == (21, 0)
    assert _ask(package) == (21, 1)
    (package / "far.py").write_text(FAR.replace("FACTOR = 2", "FACTOR = 3"))
    assert _ask(package) == (31, 0)
    assert _ask(package) == (31, 1)
    assert len(list(package.glob("__pycache__/caller.call-*.nbc"))) == 1  # the old code was written over


def test_a_folder_of_the_users_choice_is_taken(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert _ask(package, NUMBA_CACHE_DIR=str(folder)) == (21, 0)
    assert _ask(package, NUMBA_CACHE_DIR=str(folder)) == (21, 1)
    assert list(folder.rglob("*.nbc")) and not list(package.rglob("*.nbc"))


def test_where_nothing_may_be_written_it_is_compiled_at_every_start(package: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.touch()  # no folder, so that none can be made in it
    (package / "__pycache__").touch()
    for _ in range(2):
        assert _ask(package, HOME=str(home), XDG_CACHE_HOME=str(home)) == (21, 0)


def test_a_debugger_may_switch_it_off(package: Path) -> None:
    assert _ask(package, NUMBA_DISABLE_JIT="1") == (21, 0)
    assert not list(package.rglob("*.nbc"))


def test_every_import_of_engines_is_followed() -> None:
    for path in ENGINES.glob("*.py"):
        source = path.read_text("utf-8")
        assert _imports(source) <= set(compiled.imported_names(source)), path.name


def _imports(source: str) -> set[str]:
    """The same by the syntax tree."""
    wanted = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module == "engines":
            wanted |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("engines."):
            wanted.add((node.module or "").removeprefix("engines."))
        elif isinstance(node, ast.Import):
            wanted |= {alias.name.removeprefix("engines.") for alias in node.names if "engines." in alias.name}
        assert not (isinstance(node, ast.ImportFrom) and node.level), "imports of engines name it"
    return wanted


def test_engines_compile_through_this_door_only() -> None:
    assert [path.name for path in ENGINES.glob("*.py") if "numba" in path.read_text("utf-8")] == ["compiled.py"]
