"""Neurons that are pickled, and come back: perhaps to another version of the package."""

from __future__ import annotations

import warnings
from inspect import signature
from typing import Any

from sklearn_bce._stream import Stream
from sklearn_bce._version import __version__

VERSION = "_sklearn_bce_version"
OF_THIS_PROCESS = "_memory"  # goes by the identity of arrays
STREAM = "_stream"


class Persistent:
    """What is saved of an estimator, and what becomes of it."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, and the version they are of."""
        state = dict(super().__getstate__())
        state.pop(OF_THIS_PROCESS, None)
        if STREAM in state:  # as numbers and arrays, which every format knows
            state[STREAM] = vars(state[STREAM]).copy()
        return state | {VERSION: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the attributes; of another version, parameters that it did not have by default.

        Warns
        -----
        UserWarning
            If they are of another version.
        """
        state = dict(state)
        saved_by = state.pop(VERSION, "another version")
        if saved_by != __version__:
            name = type(self).__name__
            warnings.warn(
                f"This {name} was saved by sklearn_bce {saved_by}, and is loaded by {__version__}: "
                "what it predicts may differ. Fit and save it again with this version.",
                UserWarning,
                stacklevel=2,
            )
            state.pop(STREAM, None)
            known = signature(type(self).__init__).parameters.values()
            defaults = {p.name: p.default for p in known if p.default is not p.empty}
            state = defaults | state
        elif STREAM in state:
            state[STREAM] = Stream(**state[STREAM])
        super().__setstate__(state)
