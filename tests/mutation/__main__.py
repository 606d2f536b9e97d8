"""Mutation testing: change the heart of the program in one place, and see whether a test notices.

    make mutate
    python -m tests.mutation overnight.store.queue    # one module only

The changes are cosmic-ray's. They are tried here and not by its own command, which edits files in
place and starts Python anew for each: a child process is forked with everything but ``overnight``
imported, is given the changed module from memory, and runs the fast tests until one fails.

Ends with 1 if more than :data:`ALLOWED` of all changes went unnoticed, and says which they are.
"""

from __future__ import annotations

import ast
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType

import pytest

ROOT = Path(__file__).parents[2]
MODULES = (
    "overnight.lifecycle",
    "overnight.engine.retry",
    "overnight.store.queue",
    "overnight.store.resting",
    "overnight.store.steps",
)
TESTS = [
    str(ROOT / "tests" / "unit" / f"test_{name}.py")
    for name in ("store_guards", "store_reach", "store_queue", "engine_retry", "lifecycle")
]
AT_ONCE = int(os.environ.get("MUTANTS_AT_ONCE", os.cpu_count() or 1))
PATIENCE = 180
"""Seconds that the tests may take; a change that makes them hang is one that was noticed."""
ALLOWED = 0.15

OPERATORS = (
    "NumberReplacer",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceUnaryOperator_Delete_Not",
    "ZeroIterationForLoop",
    "ReplaceContinueWithBreak",
    "ReplaceBreakWithContinue",
    "ExceptionReplacer",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_BitOr_BitAnd",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_Eq_LtE",
    "ReplaceComparisonOperator_Eq_GtE",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_GtE_Gt",
)
"""Changes that a person might make by mistake. Most others of cosmic-ray's (``a + b`` turned into
``a >> b``) are noticed by whatever runs the line, and would only flatter the figure."""

IMPORTED_BEFORE = ("sqlalchemy.dialects.sqlite", "alembic.command", "hypothesis", "psutil")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One module, changed in one place."""

    module: str
    line: int
    operator: str
    before: str
    after: str
    code: CodeType

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.operator}\n  - {self.before}\n  + {self.after}"


class Given(MetaPathFinder, Loader):
    """Imports a mutant in place of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname == self._mutant.module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._mutant.code, module.__dict__)


def mutants(module: str) -> Iterator[Mutant]:
    """Every change of ``module``."""
    path = ROOT / "src" / Path(*module.split(".")).with_suffix(".py")
    source = path.read_text()
    mutate = import_module("cosmic_ray.mutating").mutate_code
    get_operator = import_module("cosmic_ray.plugins").get_operator
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        occurrence = 0
        while (changed := mutate(source, operator, occurrence)) is not None:
            occurrence += 1
            if _meaning(changed) == _meaning(source):
                continue
            line, before, after = _difference(source, changed)
            yield Mutant(module, line, name, before, after, compile(changed, str(path), "exec"))


def _meaning(source: str) -> str:
    """The program without its annotations, which nothing evaluates: a change there is none."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.dump(tree)


def _difference(source: str, changed: str) -> tuple[int, str, str]:
    pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
    for number, (before, after) in enumerate(pairs, start=1):
        if before != after:
            return number, before.strip(), after.strip()
    return 0, "", ""


def start(mutant: Mutant | None) -> int:
    """Run the tests on a mutant in a child process; its process id. None tries them unchanged."""
    child = os.fork()
    if child:
        return child
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    signal.alarm(PATIENCE)
    if mutant is not None:
        sys.meta_path.insert(0, Given(mutant))
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    # It is imported above on purpose.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    os._exit(int(pytest.main([*options, "--rootdir", str(ROOT), *TESTS])) & 0xFF)


def survivors(every: Sequence[Mutant]) -> list[Mutant]:
    """The mutants that no test noticed."""
    unnoticed: list[Mutant] = []
    under_way: dict[int, Mutant] = {}
    for mutant in [*every, None]:
        while under_way and (mutant is None or len(under_way) >= AT_ONCE):
            child, status = os.wait()
            tried = under_way.pop(child)
            if status == 0:
                unnoticed.append(tried)
                say(f"not noticed: {tried}")
        if mutant is not None:
            under_way[start(mutant)] = mutant
    return unnoticed


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Try every change; the exit status."""
    for name in IMPORTED_BEFORE:
        import_module(name)
    if any(name.startswith("overnight") for name in sys.modules):
        raise RuntimeError("overnight is imported already, so nothing would be changed")
    with tempfile.TemporaryDirectory() as folder:
        # Found examples would be tried again in the real tests.
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
        if os.waitpid(start(None), 0)[1] != 0:
            say("The tests fail without any change; mend that first.")
            return 1
        every = [mutant for module in sys.argv[1:] or MODULES for mutant in mutants(module)]
        say(f"{len(every)} changes, {AT_ONCE} at a time")
        unnoticed = survivors(every)
    share = 1 - len(unnoticed) / len(every)
    say(f"{len(every) - len(unnoticed)} of {len(every)} changes were noticed: {share:.1%}")
    return 0 if share >= 1 - ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
