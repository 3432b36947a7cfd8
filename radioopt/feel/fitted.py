"""What the fits of FEEL have in common: they give keywords to problems and keys to scenario files."""

from __future__ import annotations

import numpy as np

from radioopt.numerics.arrays import FloatArray

#: measurements on a part of a law below which a report warns
FEW = 3


def none() -> FloatArray:
    """Return the measurements of a law that is stated and not fitted."""
    return np.empty(0)


class Fitted:
    """Numbers for ``[feel]`` and for the constructors of the problem, with how they were found."""

    def to_dict(self) -> dict[str, float]:
        """Return the keywords of ``BatchsizeProblem`` and the keys of ``[feel]`` in a scenario file."""
        raise NotImplementedError

    def found(self) -> str:
        """Say in one line what it was fitted to, and how well."""
        raise NotImplementedError

    def to_toml(self) -> str:
        """Return lines for ``[feel]`` in a scenario file, with a comment that says how they were found."""
        lines = [f"# {self.found()}", *(f"{name} = {value:.6g}" for name, value in self.to_dict().items())]
        return "\n".join(lines) + "\n"
