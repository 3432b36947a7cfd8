"""Generators read back from their files."""

from __future__ import annotations

from pathlib import Path

from learning.catalog import GENERATORS
from learning.generators.base import Learner, Learnt
from learning.generators.files import read
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
    name = header.get("generator")
    if name not in GENERATORS:
        raise ProblemError(
            f"{path}: a generator {name!r}, which is not known here: give it a name first, learning.GENERATORS[...]"
        )
    try:
        made: Learner = GENERATORS[name](**header["options"])
        seen = arrays.pop("seen")
        learnt = Learnt(
            arrays,
            tuple(int(side) for side in header["sample_shape"]),
            int(header["num_classes"]),
            str(header["data"]),
            str(header["digest"]),
            seen,
        )
    except (KeyError, TypeError, ValueError, OptionError) as error:
        raise ProblemError(f"{path}: damaged, or of another version: {error}") from error
    object.__setattr__(made, "learnt", learnt)
    return made
