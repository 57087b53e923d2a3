"""The tools of the tests: the table of mutants, and the matcher that finds their places."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from tools.mutate import mutants_of, rewritten
from tools.token_pattern import changed, find, tokens_of, unknown_names, with_names

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sklearn_bce"
MUTANTS = mutants_of()


def test_every_mutant_has_its_place():
    gone = [each.name for each in MUTANTS if each.place(PACKAGE)[1] is None]
    assert not gone


def test_every_mutant_changes_its_file_into_one_that_can_run():
    for mutant in MUTANTS:
        text, match = mutant.place(PACKAGE)
        mutated = changed(mutant.old, mutant.new, text, match)
        pieces = mutant.old, mutant.new
        before, after = ([each.text for each in tokens_of(piece)] for piece in pieces)
        assert before != after, mutant.name
        assert not unknown_names(mutant.new, text, match), mutant.name
        if mutant.path.endswith(".py"):
            ast.parse(mutated)


def test_no_two_mutants_are_the_same():
    made = Counter((each.key, each.function, each.old, each.new, each.which) for each in MUTANTS)
    assert max(made.values()) == 1


def test_every_mutant_names_tests_that_exist():
    named = {test for each in MUTANTS for test in each.tests}
    assert not {test for test in named if not (ROOT / "tests" / f"test_{test}.py").exists()}


def test_places_survive_that_a_name_of_the_pattern_is_changed():
    for mutant in MUTANTS[::7]:
        text, match = mutant.place(PACKAGE)
        for _, name in match.names.items():
            if not name.isidentifier():
                continue
            renamed = re.sub(rf"\b{name}\b", "another_name", text)
            found = find(mutant.old, renamed, function=mutant.function, which=mutant.which)
            assert found is not None, (mutant.name, name)
            before = text[: match.start]
            assert found.start == len(re.sub(rf"\b{name}\b", "another_name", before))


def test_a_rewritten_table_has_the_same_mutants_in_the_same_places(tmp_path):
    table = tmp_path / "mutants.jsonl"
    table.write_text(rewritten(), "utf-8")
    for mutant, again in zip(MUTANTS, mutants_of(table), strict=True):
        text, match = mutant.place(PACKAGE)
        assert again.place(PACKAGE)[1][:2] == match[:2], mutant.name
        mutated = changed(mutant.old, mutant.new, text, match)
        assert changed(again.old, again.new, text, again.place(PACKAGE)[1]) == mutated


TEXT = """
def first(a, b):  # a * b - b
    return a * b - b


def second(x, y):
    value = (
        x * y  # the product
        - y
    )
    return value, x * y - x
"""


def test_a_pattern_prefers_its_own_names():
    match = find("x * y - y", TEXT)
    assert TEXT[match.start : match.end].split() == ["x", "*", "y", "#", "the", "product", "-", "y"]


def test_a_pattern_of_other_names_is_found_by_its_function():
    match = find("p * q - q", TEXT, function="first")
    assert TEXT[match.start : match.end] == "a * b - b"
    assert with_names("p * q + q", match.names) == "a * b + b"


def test_a_name_stands_for_the_same_name_throughout_the_pattern():
    match = find("p * q - p", TEXT, function="second")
    assert TEXT[match.start : match.end] == "x * y - x"


def test_which_of_equal_places():
    text = "def f(a):\n    b = a + 1\n    c = a + 1\n"
    match = find("a + 1", text, function="f", which=2)
    assert text[: match.start].count("\n") == 2
    assert find("a + 1", text, function="f", which=3) is None


@pytest.mark.parametrize("old", ["x * y * y", "p * q - q", "x / y"])
def test_no_place_and_no_telling_which(old):
    assert find(old, TEXT) is None


def test_numbers_operators_and_names_of_libraries_are_themselves():
    assert find("np.minimum(a, 0.0)", "b = np.maximum(a, 0.0)") is None
    assert find("np.maximum(a, 1.0)", "b = np.maximum(a, 0.0)") is None
    assert find("a += 1.0", "a -= 1.0") is None


def test_layout_does_not_count():
    text = 'f(\n    a,  # the first\n    "b",\n)\n'
    match = find("f(a, 'b')", text)
    assert (match.start, match.end) == (0, len(text) - 1)
