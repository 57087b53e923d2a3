"""docs/reference.md is that of the docstrings, and links of the HTML representation lead there."""

import importlib.util
import inspect
import re
import runpy
from importlib.metadata import metadata
from pathlib import Path
from urllib.parse import unquote

import pytest
from sklearn.utils import estimator_html_repr

from sklearn_bce import BCENeuronClassifier, BCENeuronClassifierCV

SCRIPT = Path(__file__).parents[1] / "docs" / "reference.py"
PAGE = SCRIPT.with_suffix(".md").read_text("utf-8")


def reference():
    """Return the names of the script that writes the page, which needs all optional packages."""
    for name in ("dask", "skl2onnx"):
        pytest.importorskip(name)
    return runpy.run_path(str(SCRIPT))


def test_page_is_that_of_the_docstrings():
    assert reference()["page"]() == PAGE, "run python docs/reference.py"


def test_every_public_name_is_described():
    names = reference()
    for module in names["public_modules"]():
        for name in names["public_names"](module):
            heading, *rest = names["described"](module, name)
            assert f'<a id="{module.__name__}.{name}"></a>' in heading
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                is_exception = inspect.isclass(value) and issubclass(value, BaseException)
                assert len(rest[0 if is_exception else 1]) > 80, name


def test_docstring_becomes_markdown():
    names = reference()
    docstring = """Return a * b_ of ``x_``.

    A formula::

        F = a_b * 2

    Parameters
    ----------
    C : float, \
            default=1.0
        The ``factor``.
    *args : tuple

    Examples
    --------
    >>> 1 + 1
    2
    """
    expected = (
        "Return a \\* b\\_ of `x_`.\n\nA formula:\n\n```text\nF = a_b * 2\n```\n\n"
        "#### Parameters\n\n"
        "- `C` `float, default=1.0`\n\n  The `factor`.\n- `*args` `tuple`\n\n#### Examples\n\n"
        "```python\n>>> 1 + 1\n2\n```"
    )
    assert names["markdown"](docstring, 4) == expected


def test_links_to_names_have_anchors():
    links = re.findall(r"\]\(#([\w.]+)\)", PAGE)
    assert len(links) > 30
    assert set(links) == set(re.findall(r'<a id="([\w.]+)"></a>', PAGE))


# The docstring of the CV class has one entry for all parameters of `BCENeuronClassifier`, which
# scikit-learn does not link to.
OWN = {"Cs", "l1_ratios", "cv", "scoring", "refit", "rule", "n_jobs"}


@pytest.mark.parametrize(
    ("kind", "linked"),
    [
        (BCENeuronClassifier, set(BCENeuronClassifier().get_params())),
        (BCENeuronClassifierCV, OWN),
    ],
)
def test_parameter_links_of_the_html_lead_to_text_of_the_page(kind, linked):
    """A link ends with a text fragment: name, and the type that follows it on the page."""
    if importlib.util.find_spec("sklearn.utils._repr_html.common") is None:
        pytest.skip("this version of scikit-learn has no links of parameters")
    links = dict(link.split(", ") for link in metadata("sklearn-bce").get_all("Project-URL"))
    assert links["Documentation"].endswith("docs/reference.md")
    found = re.findall(r'href="([^"#]+)#:~:text=([^"]+)"', estimator_html_repr(kind()))
    assert {fragment.split(",")[0] for _, fragment in found} == linked
    shown = re.sub(r"\s+", " ", PAGE.replace("`", ""))
    for page, fragment in found:
        assert page == links["Documentation"]
        name, kind_of = fragment.split(",-", 1)
        assert re.sub(r"\s+", " ", f"{name} {unquote(kind_of)}") in shown
