"""`benchmarks.tuning`: each measurement is of a constant that exists, and does not change it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import tuning, unit_costs
from benchmarks.generators import gaussian
from benchmarks.problems import generated
from benchmarks.tuning import CONSTANTS, NAMES, Compiled, Measured, Tried
from sklearn_bce import BCENeuronClassifier
from sklearn_bce._solvers.newton import cost, smooth

TRIED = [each for each in CONSTANTS if isinstance(each, Tried)]
PACKAGE = Path(tuning.ROOT, "sklearn_bce")
SOURCES = sorted(path for kind in ("py", "pyx", "pxd", "h") for path in PACKAGE.rglob(f"*.{kind}"))
ANY_CONSTANT = "NAME"  # in the docstring of a module, for each constant of the module
TESTS = Path(__file__).parent


def source_of(constant):
    """Return the file of the package that defines a constant."""
    if isinstance(constant, Compiled):
        return PACKAGE / constant.module
    return PACKAGE / f"{constant.module.replace('.', '/')}.py"


def unwrapped(path):
    """Return the text of a file with the lines of its comments joined."""
    return re.sub(r"\s*\n[ \t]*#?[ \t]*", " ", path.read_text("utf-8"))


def commands_in(path):
    """Return the names of the constants in the commands of a file's comments."""
    return re.findall(r"python -m benchmarks\.tuning (\w+)", unwrapped(path))


@pytest.mark.parametrize("constant", CONSTANTS, ids=NAMES)
def test_constant_exists(constant):
    assert np.all(np.asarray(constant.present, dtype=float) >= 0)


def test_each_command_in_the_package_measures_a_constant_of_the_file_that_has_the_command():
    unknown = []
    for path in SOURCES:
        measured = {each.name for each in CONSTANTS if source_of(each) == path}
        names = set(commands_in(path)) - {ANY_CONSTANT if measured else ""}
        unknown += [f"{path.name}: {name}" for name in sorted(names - measured)]
    assert unknown == []


def test_the_comment_of_each_constant_that_is_measured_has_the_command():
    missing = []
    for each in CONSTANTS:
        commands = commands_in(source_of(each))
        if commands.count(each.name) != 1 and ANY_CONSTANT not in commands:
            missing.append(each.name)
    assert missing == []


def test_each_test_that_the_package_names_exists():
    named = [
        test
        for path in SOURCES
        for test in re.findall(r"tests/(\w+\.py)(?:::(\w+))?", unwrapped(path))
    ]
    assert named
    for file, function in named:
        text = Path(TESTS, file).read_text("utf-8")
        assert not function or f"def {function}(" in text, function


@pytest.mark.parametrize("constant", TRIED, ids=lambda constant: constant.name)
def test_the_present_value_is_among_those_tried_on_some_problem(constant):
    assert constant.present in constant.values
    assert constant.problems


def test_a_constant_is_found_with_and_without_its_module():
    name = "_solvers.newton.cost.TYPICAL_PRODUCTS"
    for other in ("TYPICAL_PRODUCTS", "cost.TYPICAL_PRODUCTS"):
        assert tuning.named(other) == tuning.named(name)


def test_a_constant_that_is_not_measured_is_an_error_that_lists_the_others(capsys):
    with pytest.raises(SystemExit):
        tuning.main(["NO_SUCH_CONSTANT"])
    assert "TYPICAL_PRODUCTS" in capsys.readouterr().err


def test_a_value_is_replaced_where_it_is_imported_and_put_back():
    constant = Tried("_solvers.newton.cost", "TYPICAL_PRODUCTS", (1, 2), [])
    before = cost.TYPICAL_PRODUCTS
    with tuning.replaced(constant, 12):
        assert cost.TYPICAL_PRODUCTS == smooth.TYPICAL_PRODUCTS == 12
    assert cost.TYPICAL_PRODUCTS == smooth.TYPICAL_PRODUCTS == before


def test_table_of_values_tried(monkeypatch, capsys):
    small = generated("small", gaussian, 200, 4)
    (present,) = tuning.named("WORTH_A_SEARCH")
    constant = Tried(present.module, present.name, (present.present, np.inf), [small])
    monkeypatch.setattr(tuning, "named", lambda word: [constant])
    tuning.main(["WORTH_A_SEARCH", "--repeats", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["small", "small"]
    assert "1.00" in lines[2]


@pytest.mark.parametrize("fit", [tuning.alone, tuning.along_path, tuning.from_chunks])
def test_figures_of_several_fits_are_added_up(fit):
    small = replace(generated("small", gaussian, 200, 4), l1_ratio=1.0)
    constant = Tried("_solvers.newton.cost", "TYPICAL_PRODUCTS", (cost.TYPICAL_PRODUCTS,), [small])
    constant = replace(constant, fit=fit)
    (trial,) = tuning.trials_of(constant, constant.values, small, 1)
    fits = fit(small, BCENeuronClassifier(C=small.C, l1_ratio=1.0, random_state=0))
    assert len(fits) == (10 if fit is tuning.along_path else 1)
    assert trial.iterations == sum(each.iterations for each in fits) > 0
    assert trial.objective == sum(each.objective for each in fits)


def test_measured_constant_is_printed_beside_the_figure():
    constant = Measured("_solvers.newton.cost", "FACTOR", lambda: (7.0, 2e7), "", 0)
    assert tuning.measured_line(constant) == f"FACTOR = {cost.FACTOR}, measured 7"


def test_a_cost_is_also_given_in_passes(monkeypatch):
    monkeypatch.setattr(unit_costs, "dense_pass", lambda: 2.0)
    constant = Measured("_solvers.newton.cost", "FACTOR", lambda: 7.0)
    assert "3.5 times DENSE_PASS" in tuning.measured_line(constant)


@pytest.mark.parametrize("name", ["call", "factor", "steps_from_zero"])
def test_unit_costs_are_positive(name, monkeypatch):
    monkeypatch.setattr(unit_costs, "SECONDS", 0.0)
    monkeypatch.setattr(unit_costs, "REPEATS", 1)
    assert getattr(unit_costs, name)() > 0


def test_kernels_as_they_are_are_measured_for_a_compiled_constant(monkeypatch, capsys):
    small = generated("small", gaussian, 200, 4)
    constant = Compiled("_kernels/dense_row.pxd", "LONG_ROW", (64,), [small], {"solver": "sgd"})
    monkeypatch.setattr(tuning, "named", lambda word: [constant])
    tuning.main(["LONG_ROW", "--json", "--repeats", "1"])
    (trial,) = json.loads(capsys.readouterr().out)
    assert trial["problem"] == "small"
    assert trial["value"] == constant.present


def test_trials_of_builds_are_listed_by_problem_and_value(monkeypatch):
    problems = [generated(name, gaussian, 200, 4) for name in ("first", "second")]
    constant = Compiled("_kernels/dense_row.pxd", "LONG_ROW", (1, 2), problems)
    seconds = iter(range(100))

    def trials_in(tree, constant):
        value = float(tree.name)
        return [
            tuning.Trial(each.name, value, next(seconds), 1, 1, 0.0) for each in constant.problems
        ]

    monkeypatch.setattr(tuning, "build_with", lambda constant, value, tree: tree)
    monkeypatch.setattr(tuning, "trials_in", trials_in)
    trials = tuning.try_values(constant, [], repeats=3)
    found = [[(each.problem, each.value, each.seconds) for each in row] for row in trials]
    assert found == [
        [("first", 1.0, 4), ("first", 2.0, 6)],
        [("second", 1.0, 5), ("second", 2.0, 7)],
    ]
