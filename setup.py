"""What pyproject.toml cannot say of the build: modules in parallel, and the limited API.

``pip install``, ``pip install -e`` and ``python -m build`` all run this file; everything else is in
``pyproject.toml``.
"""

import os
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from threading import Lock

from Cython.Build import cythonize
from setuptools import setup
from setuptools.command.build_ext import build_ext

# Python 3.11 is the oldest version that pyproject.toml allows, and the first one with buffers in
# its limited API, which memoryviews need. Free-threaded Python 3.13 and 3.14 have no limited API.
IS_LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")
LIMITED_API, TAG = "0x030b0000", "cp311"


class ParallelBuild(build_ext):
    """Compile as many modules at once as there are cores, unless ``-j`` gives their number."""

    translation = Lock()  # Cython is not safe in threads; the C compiler is a process of its own

    def finalize_options(self):
        """Set the limited API of all modules, and how many of them are compiled at once."""
        for ext in self.distribution.ext_modules if IS_LIMITED else ():
            ext.py_limited_api = True
            ext.define_macros = [("Py_LIMITED_API", LIMITED_API)]
        super().finalize_options()
        if self.parallel is None:
            knows_usable = hasattr(os, "sched_getaffinity")
            self.parallel = len(os.sched_getaffinity(0)) if knows_usable else os.cpu_count()

    def build_extension(self, ext):
        """Translate a module to C, then compile it while other threads translate theirs."""
        if self.inplace or self.editable_mode:
            remove_built(Path(ext.sources[0]))
        if self.compiler.compiler_type == "unix" and not self.debug:
            ext.extra_compile_args.append("-g0")  # debug symbols are a third of the compiler's time
        with self.translation:
            ext.sources = cythonize(ext, force=self.force, quiet=not self.verbose)[0].sources
        super().build_extension(ext)


def remove_built(source):
    """Remove the modules that were built beside a source: Python prefers those of its version."""
    for suffix in EXTENSION_SUFFIXES:
        source.with_suffix(suffix).unlink(missing_ok=True)


setup(
    cmdclass={"build_ext": ParallelBuild},
    options={"bdist_wheel": {"py_limited_api": TAG}} if IS_LIMITED else {},
)
