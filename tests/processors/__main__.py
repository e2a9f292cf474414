"""`python -m tests.processors`: one line for each combination; exit code 1 when one broke."""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence

from tests.processors.probe import NotRunnableError, probed
from tests.processors.runs import PART, Outcome, environment, numeric_tests, run
from tests.processors.table import COMBINATIONS, Combination


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; return the exit code."""
    chosen = _asked(arguments)
    plain = probed(environment({}))
    moved, sound = set[str](), True
    for each in COMBINATIONS:
        if chosen.only and each.name not in chosen.only:
            continue
        reached, why = _reached(each, plain)
        moved |= reached
        if why:
            _tell(each.name, f"skipped: {why}")
        else:
            tests = chosen.tests or numeric_tests()
            whole = chosen.whole or chosen.tests
            outcome = run(each.variables, tests, share="" if whole else f"{PART} {each.name}")
            sound &= _told(each, outcome, f"moves {', '.join(sorted(reached))}; ")
    return int(not (sound and (chosen.only or _complete(plain, moved))))


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.processors", description=__doc__)
    parser.add_argument("--only", action="append", choices=[each.name for each in COMBINATIONS], metavar="NAME")
    parser.add_argument(
        "--whole", action="store_true", help="all cases of each test, not a share: some four times as long"
    )
    parser.add_argument("tests", nargs="*", help="files or tests in place of all numeric ones")
    return parser.parse_args(arguments)


def _reached(combination: Combination, plain: Mapping[str, str]) -> tuple[set[str], str]:
    """Return the libraries that round otherwise under a combination, and why it is skipped, if it is."""
    try:
        found = probed(environment(combination.variables))
    except NotRunnableError:
        return set(), "this processor lacks the instructions"
    reached = {name for name in found if found[name] != plain[name]}
    if reached.isdisjoint(combination.moves):
        return set(), f"changes nothing here in {' or '.join(combination.moves)}"
    return reached, ""


def _told(combination: Combination, outcome: Outcome, note: str) -> bool:
    took = f"{note}{outcome.summary.strip('= ')}"
    if outcome.code == 0:
        _tell(combination.name, f"ok ({took})")
        return True
    _tell(combination.name, f"FAILED ({took})", _details(combination, outcome))
    return False


def _details(combination: Combination, outcome: Outcome) -> Iterable[str]:
    """Tell what broke, by which of the variables, and how to see it again."""
    if not outcome.broke:
        yield f"pytest ended with {outcome.code} and named no test:\n{outcome.tail}"
        return
    for test, said in outcome.broke.items():
        yield f"{test}  {said}"
    if len(combination.variables) > 1:
        for name, value in combination.variables.items():
            alone = run({name: value}, list(outcome.broke), processes=1).broke
            yield f"{name}={value} alone breaks {len(alone)} of these {len(outcome.broke)}"
    given = " ".join(f"{name}={shlex.quote(value)}" for name, value in combination.variables.items())
    yield f"to see one: {given} python -m pytest {shlex.quote(next(iter(outcome.broke)))}"


def _complete(plain: Mapping[str, str], moved: set[str]) -> bool:
    """Tell whether each library was reached by a combination, where the table's variables are read at all."""
    lost = sorted(set(plain) - moved)
    if not lost or (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return True
    _tell("the table", f"FAILED: no combination changes {', '.join(lost)} any more; correct tests/processors/table.py")
    return False


def _tell(name: str, what: str, details: Iterable[str] = ()) -> None:
    print(f"{name:<44} {what}", flush=True)  # noqa: T201
    for each in details:
        print(f"    {each}", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
