"""Loops in C: the loss and its derivatives of many samples at once, and products with a row."""

import math
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import mpmath
import numpy as np
import pytest

from sklearn_bce import _kernels
from sklearn_bce._kernels import dense

KERNELS = Path(_kernels.__file__).parent
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


@pytest.mark.parametrize("weights", ["equal", "own"])
def test_losses_slopes_and_curvatures_have_all_digits(weights):
    z = np.concatenate([np.linspace(-40, 40, 1601), [-700.0, -300.0, 300.0, 700.0]])
    y = np.tile([0.0, 0.25, 1.0], len(z))[: len(z)]
    p = np.broadcast_to(0.125, len(z)) if weights == "equal" else np.linspace(0.5, 2, len(z))
    slope, curvature, sums = np.empty(len(z)), np.empty(len(z)), np.zeros(2)
    arguments = z.copy(), slope, curvature, sums
    loss = dense.dense_loss(z[:, np.newaxis], np.ones(1), 0.0, True, y, p, *arguments)
    tail, exact = [mpmath.exp(-abs(mpmath.mpf(each))) for each in z], 0
    for i, t in enumerate(tail):
        exact += p[i] * (mpmath.log1p(t) + max(mpmath.mpf(z[i]), 0) - y[i] * z[i])
        a = 1 / (1 + t) if z[i] > 0 else t / (1 + t)
        assert slope[i] == pytest.approx(float(p[i] * (a - y[i])), rel=1e-14)
        assert curvature[i] == pytest.approx(float(p[i] * t / (1 + t) ** 2), rel=1e-14)
    assert loss == pytest.approx(float(exact), rel=1e-14)


@pytest.mark.parametrize("z", [3.0, 30.0, 300.0, 700.0])
def test_a_small_loss_with_a_weight_of_its_own_has_all_digits(z):
    results, weight = [np.empty(1), np.empty(1), np.zeros(2)], np.array([0.5])
    loss = dense.dense_loss(
        np.ones((1, 1)), np.array([z]), 0.0, False, np.ones(1), weight, np.empty(1), *results
    )
    assert loss == pytest.approx(0.5 * math.log1p(math.exp(-z)), rel=1e-14)


@pytest.mark.parametrize(
    ("header", "used", "loop", "n_loops", "n_modules"),
    [
        ("sigmoid.h", "bce_loss", "for (int i = 0; i < n; i++)", 3, 3),
        ("dense_row.h", "bce_float_dot, bce_float_square", "j < whole", 2, 3),
        ("dense_row.h", "bce_float_add", "for (ptrdiff_t j = 0; j < n; j++)", 1, 3),
    ],
)
def test_the_compiler_vectorises_each_loop(header, used, loop, n_loops, n_modules, tmp_path):
    """A loop that is not vectorised takes four times as long; GCC tells by -fopt-info-vec."""
    compiler = shutil.which("gcc")
    if compiler is None or platform.machine() != "x86_64" or sys.platform != "linux":
        pytest.skip("no GCC for x86-64 Linux")
    path = KERNELS / header
    settings = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    modules = settings["tool"]["setuptools"]["ext-modules"]
    flags = {each["name"]: each["extra-compile-args"] for each in modules if header in str(each)}
    python = sysconfig.get_config_var("CFLAGS").split()  # -fwrapv makes some loops harder
    source = tmp_path / "loops.c"
    source.write_text(f'#include "{path}"\nvoid *used[] = {{{used}}};\n')
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    loops = [number for number, line in lines if loop in line]
    assert len(loops) == n_loops
    assert len(flags) == n_modules
    for each in flags.values():
        command = [compiler, *python, *each, "-fopt-info-vec", "-c", source, "-o", tmp_path / "o"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        for number in loops:
            for n_bytes in (16, 32, 64):  # of the default, AVX2 and AVX-512
                found = rf"{re.escape(header)}:{number}:\d+: .*vectorized using {n_bytes} byte"
                assert re.search(found, told), (number, n_bytes)
