"""The package: light to import, and clear about what is missing."""

import subprocess
import sys

import pytest

import learning


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )


def test_importing_learning_imports_neither_torch_nor_a_kernel():
    found = run("import sys, learning; print([m for m in ('torch', 'sklearn', 'numba') if m in sys.modules])")
    assert found.stdout.strip() == "[]"


def test_without_torch_the_first_use_says_what_to_install():
    found = run("import sys; sys.modules['torch'] = None; import learning; learning.train")
    assert "MissingExtraError: torch is not installed: pip install 'radioopt[learning]'" in found.stderr


@pytest.mark.parametrize("name", learning.__all__)
def test_every_public_name_is_there(name):
    assert getattr(learning, name) is not None
    assert name in dir(learning)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'learning' has no attribute 'fit'"):
        _ = learning.fit
