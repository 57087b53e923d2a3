"""The README: its code runs, its commands are those that are tested, its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_block_of_the_readme_runs(code, tmp_path, monkeypatch):
    for name in ("sklearn.callback", "skl2onnx", "dask.array"):  # not with every version
        if name in code:
            pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_there_are_python_blocks():
    assert len(blocks("python")) >= 3


def test_first_two_commands_install_and_then_run_benchmarks_and_tests():
    main_job, tests = blocks("sh")[:2]
    assert main_job.splitlines()[-1] == "python -m benchmarks"
    assert tests.splitlines()[-1] == "pytest"
    for command in (main_job, tests):
        assert "python3 -m venv" in command
        assert "pip install" in command


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_relative_link_of_the_readme_leads_to_a_file(link):
    assert (ROOT / link).exists()


def test_map_of_the_code_names_files_that_exist():
    pages = [page.read_text(encoding="utf-8") for page in ROOT.glob("*.md")]
    pattern = r"^[│├└─ ]*(\S+\.p(?:yx?|xd)|\S+/),? "
    paths = [path for page in pages for path in re.findall(pattern, page, re.MULTILINE)]
    assert [path for path in paths if not list(ROOT.glob(f"**/{path.rstrip('/')}"))] == []
