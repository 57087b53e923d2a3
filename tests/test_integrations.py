"""Each block of docs/integrations.md runs where the package that it is about is installed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_readme import blocks

PAGE = Path(__file__).parents[1] / "docs" / "integrations.md"
BLOCKS = blocks("python", PAGE.read_text("utf-8"))


def about(code):
    """Return the first package that a block imports."""
    return re.match(r"(?:import|from) (\w+)", code).group(1)


CODE = {about(code): code for code in BLOCKS}


# nyoka does not close the file that it has written.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("tool", [tool for tool in CODE if tool != "mlflow"])
def test_block_runs(tool, tmp_path, monkeypatch):
    pytest.importorskip(tool)
    monkeypatch.chdir(tmp_path)
    exec(compile(CODE[tool], PAGE.name, "exec"), {})


def test_block_of_mlflow_runs_in_a_process_of_its_own(tmp_path):
    """MLflow replaces methods of scikit-learn's classes."""
    pytest.importorskip("mlflow")
    # MLflow without its server stores runs in a folder.
    folder = {
        "MLFLOW_TRACKING_URI": (tmp_path / "runs").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
    }
    done = subprocess.run(
        [sys.executable, "-c", CODE["mlflow"]],
        cwd=tmp_path,
        env=os.environ | folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    C, score = done.stdout.split()[-2:]
    assert C == "1.0"
    assert float(score) > 0.98


def test_blocks_are_about_each_tool():
    assert list(CODE) == ["nyoka", "eli5", "onnxruntime", "mlflow", "dask", "dask_ml"]
    assert len(CODE) == len(BLOCKS)
