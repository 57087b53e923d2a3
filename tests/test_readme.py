"""README and CONTRIBUTING: code runs, commands are those that CI runs, links and paths exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
MOST_LINES = 250  # of the README, which is read in one sitting


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_readme_is_short():
    assert len(README.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("code", blocks("python") + blocks("python", GUIDE))
def test_python_block_runs(code, tmp_path, monkeypatch):
    for name in ("sklearn.callback", "skl2onnx", "dask.array", "torch"):  # not everywhere
        if name in code:
            pytest.importorskip(name)
    if "array_api_dispatch" in code:
        pytest.importorskip("sklearn", minversion="1.9")
    monkeypatch.setenv("SCIPY_ARRAY_API", "0")  # is set anew where a block sets it, and then reset
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_tables_shown_are_those_that_the_code_before_them_prints(tmp_path, monkeypatch, capsys):
    shown = re.findall(
        r"^```python\n((?:(?!^```).)*?)^```\n\n```text\n(.*?)^```$",
        README,
        flags=re.MULTILINE | re.DOTALL,
    )
    assert shown
    monkeypatch.chdir(tmp_path)
    for code, table in shown:
        exec(compile(code, "README.md", "exec"), {})
        assert capsys.readouterr().out == table


def test_there_are_python_blocks():
    assert len(blocks("python")) >= 3


def test_first_two_commands_install_and_then_run_benchmarks_and_tests():
    main_job, tests = blocks("sh")[:2]
    assert main_job.splitlines()[-1] == "python -m benchmarks"
    assert tests.splitlines()[-1] == "pytest"
    for command in (main_job, tests):
        assert "python3 -m venv" in command
        assert "pip install" in command


PAGES = ("README.md", "CONTRIBUTING.md", "docs/guide.md", "docs/integrations.md")
DOCUMENTS = {name: (ROOT / name).read_text("utf-8") for name in PAGES}
LINK = r"\]\(([^)#:]+)(?:#[^)]*)?\)|(?:src|srcset)=\"([^\"]+)\""
LINKS = [
    Path(name).parent / "".join(link)
    for name, text in DOCUMENTS.items()
    for link in re.findall(LINK, text)
]
PATH = r"`((?:sklearn_bce|_\w+|benchmarks|tests|\.ci)/[\w./]*)`"


@pytest.mark.parametrize("link", LINKS, ids=str)
def test_relative_link_leads_to_a_file(link):
    assert (ROOT / link).exists()


FRAGMENTS = [
    ((ROOT / name).parent / (path or Path(name).name), fragment)
    for name, text in DOCUMENTS.items()
    for path, fragment in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text)
]


@pytest.mark.parametrize(("path", "fragment"), FRAGMENTS)
def test_fragment_of_a_link_is_a_heading(path, fragment):
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), flags=re.MULTILINE)
    assert fragment in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in headings}


@pytest.mark.parametrize(
    "path", sorted({path for text in DOCUMENTS.values() for path in re.findall(PATH, text)})
)
def test_path_in_the_text_exists(path):
    assert (ROOT / path).exists() or (ROOT / "sklearn_bce" / path).exists()


def test_map_shows_the_entries_of_the_package():
    shown = re.findall(r"^    [├└]── (\S+?)/? ", DOCUMENTS["CONTRIBUTING.md"], re.MULTILINE)
    there = {
        path.name
        for path in (ROOT / "sklearn_bce").iterdir()
        if path.suffix in {"", ".py"} and path.name != "__pycache__"
    }
    assert set(shown) == there
