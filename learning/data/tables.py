"""Labels that are words, and tables with a label column: frames and CSV files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from learning.data.arrays import array_of, labels_of
from radioopt.base.errors import ProblemError, suggestion

if TYPE_CHECKING:
    import pandas as pd

#: names that a column of labels has without being said
LABELS = ("label", "class", "target", "y")


def named_labels(
    what: str, given: Any, known: tuple[str, ...] | None = None
) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
    """Turn labels, which may be words, into numbers.

    Parameters
    ----------
    what : str
        What they are, for messages.
    given : array_like, shape (N,)
        Whole numbers, or words.
    known : tuple of str, optional
        Names of the classes, where they are numbered already.

    Returns
    -------
    labels : ndarray of int64, shape (N,)
        Words are numbered in the order of the alphabet.
    names : tuple of str or None
        Names of the classes by their number; None where labels are numbers.

    Raises
    ------
    ProblemError
        If they are neither, one is missing, or one is no known name; the message names the sample.

    Examples
    --------
    >>> named_labels("y", ["dog", "cat", "dog"])
    (array([1, 0, 1]), ('cat', 'dog'))
    """
    words = given if hasattr(given, "__array__") or isinstance(given, (list, tuple)) else list(given)
    first = words[0] if isinstance(words, (list, tuple)) and len(words) else None
    if first is not None and not isinstance(first, str):
        return labels_of(what, given), None
    values = np.asarray(words)
    if values.dtype.kind not in "OUT" or values.ndim != 1 or not any(isinstance(v, str) for v in values):
        return labels_of(what, given), None
    wrong = [i for i, value in enumerate(values) if not isinstance(value, str)]
    if wrong:
        raise ProblemError(f"{what}: sample {wrong[0]} has label {values[wrong[0]]!r}, the others are words")
    texts = values.astype(str)
    names = tuple(np.unique(texts).tolist()) if known is None else known
    if len(names) < 2:
        raise ProblemError(f"{what}: all labels are {names[0]!r}: expected words for at least two classes")
    unknown = np.flatnonzero(~np.isin(texts, names))
    if unknown.size:
        name = str(texts[unknown[0]])
        raise ProblemError(f"{what}: sample {unknown[0]} has label {name!r}{suggestion(name, names)}")
    order = {name: i for i, name in enumerate(names)}
    return np.array([order[text] for text in texts.tolist()], np.int64), names


def of_frame(what: str, frame: pd.DataFrame, label: str | None = None) -> tuple[NDArray[np.float32], Any]:
    """Take a table apart into features and labels.

    Parameters
    ----------
    what : str
        What it is, for messages.
    frame : pandas.DataFrame
        A row per sample.
    label : str, optional
        Column of the labels; by default the one named label, class, target or y.

    Returns
    -------
    features : ndarray of float32, shape (N, columns)
        All other columns, in order.
    labels : pandas.Series
        As they stand.

    Raises
    ------
    ProblemError
        If no column or several could be that of the labels, or another one holds no numbers; the message names it.
    """
    columns = [str(name) for name in frame.columns]
    if label is None:
        found = [name for name in columns if name.lower() in LABELS]
        if len(found) != 1:
            raise ProblemError(
                f"{what}: {len(found)} columns are called label, class, target or y; its columns are "
                f"{', '.join(columns)}: call the one with the labels label, or give (features, labels), or of a file "
                "csv:FILE:COLUMN"
            )
        (label,) = found
    if label not in columns:
        raise ProblemError(f"{what}: no column {label}{suggestion(label, columns)}")
    place = columns.index(label)
    features = frame.drop(columns=frame.columns[place])
    if not features.shape[1]:
        raise ProblemError(f"{what}: no column but {label}: there are no features")
    for name, kind in features.dtypes.items():
        if kind.kind not in "fiub":
            raise ProblemError(
                f"{what}: column {name} holds no numbers: leave it out, or make some of it, as pandas.get_dummies does"
            )
        if bool(features[name].isna().any()):
            row = int(np.argmax(features[name].isna()))
            raise ProblemError(f"{what}: row {row} has no {name}: fill it in, or leave the row out")
    return array_of(what, features.to_numpy(np.float32)), frame[frame.columns[place]]


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a CSV file with a header."""
    import pandas as pd

    file = Path(path).expanduser()
    if not file.is_file():
        raise ProblemError(f"data csv: no file {file}: expected one with a header and a row per sample")
    try:
        return pd.read_csv(file)
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise ProblemError(f"data csv: {file} is no CSV table: {error}") from error
