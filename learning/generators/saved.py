"""Generators by name, and read back from their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from learning.catalog import GENERATORS
from learning.generators.base import Generator, Learner, Learnt
from learning.generators.files import read
from learning.options import choose, keywords
from radioopt.base.errors import OptionError, ProblemError


def load(path: str | Path) -> Learner:
    """Read a generator that was saved.

    Parameters
    ----------
    path : path-like
        What :meth:`Learner.save` wrote.

    Returns
    -------
    Learner
        Fitted: it makes the same samples as the one that was saved.

    Raises
    ------
    ProblemError
        If the file is none of a generator, is damaged, or is of a kind that ``GENERATORS`` does not name.
    FileNotFoundError
        If there is none.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from learning.data.dataset import digits
    >>> from learning.generators import ReadyMade
    >>> generator = ReadyMade().fit(digits(np.random.default_rng(0)), np.random.default_rng(0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = load(generator.save(folder + "/digits.npz"))
    >>> samples = [one.sample([3, 8], np.random.default_rng(1)) for one in (generator, again)]
    >>> bool((samples[0] == samples[1]).all())
    True
    """
    header, arrays = read(path)
    name = str(header.get("generator"))
    if name not in GENERATORS:
        raise ProblemError(
            f"{path}: a generator {name!r}, which is not known here: give it a name first, learning.GENERATORS[...]"
        )
    try:
        made: Learner = GENERATORS[name](**header["options"])
        seen, counts = arrays.pop("seen"), arrays.pop("counts")
        learnt = Learnt(
            arrays,
            tuple(int(side) for side in header["sample_shape"]),
            int(header["num_classes"]),
            str(header["data"]),
            str(header["digest"]),
            seen,
            counts,
        )
    except (KeyError, TypeError, ValueError, OptionError) as error:
        raise ProblemError(f"{path}: damaged, or of another version: {error}") from error
    object.__setattr__(made, "learnt", learnt)
    return made


def make(given: Any) -> Generator:
    """Make a generator of a name and options, or take one that is made.

    Parameters
    ----------
    given : str or Generator
        ``NAME`` or ``NAME:OPTION=VALUE,...`` with a name out of ``GENERATORS``; the path of a saved generator, which
        ends in .npz; or an object with the methods `fit` and `sample`.

    Returns
    -------
    Generator
        Fitted already if it comes from a file.

    Raises
    ------
    OptionError
        If there is no such name or option.
    ProblemError
        If the file holds no generator.

    Examples
    --------
    >>> make("ready-made")
    ReadyMade(source=None)
    """
    if isinstance(given, (str, Path)) and str(given).endswith(".npz") and ":" not in Path(given).name:
        return load(given)
    if not isinstance(given, str) and not isinstance(given, type) and isinstance(given, Generator):
        return given
    name, _, text = given.partition(":") if isinstance(given, str) else (given, "", "")
    kind = choose("generator", name, GENERATORS, "the .npz of a saved one, or an object with fit and sample")
    made: Generator = kind(**keywords(f"generator {name}", text, kind))
    return made
