r"""Which classes the synthetic samples of a device go to: the fewest first, until all are level.

The entropy of the class shares is Schur-concave, so it is largest where the counts are as even as the samples held
allow: every class is filled up to a common level. With the counts sorted, filling the j lowest classes takes them to
(sum of the j lowest + G)/j, which falls in j as long as the next class lies below it and rises from then on: the
level is the least of these numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import check, nonnegative, refuse
from radioopt.numerics.arrays import FloatArray, float_if_scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from radioopt.fimi.solution import SynthesisSolution


def fill_classes(
    class_counts: ArrayLike, synthetic_samples: ArrayLike, *, integer: bool = False
) -> FloatArray:
    r"""Distribute synthetic samples over the classes so that the entropy of the mixed data is largest.

    .. math::
        \max_d \; -\sum_c p_c \log_2 p_c, \quad p_c = \frac{n_c + d_c}{\sum_c n_c + G}
        \quad \text{s.t.} \quad \sum_c d_c = G, \; d_c \ge 0.

    Parameters
    ----------
    class_counts : array_like, shape (..., C)
        Samples held per class >= 0; leading axes are devices, or instances and devices.
    synthetic_samples : array_like, shape (...)
        Synthetic samples G >= 0 per device.
    integer : bool, default False
        Distribute whole samples; counts and G must be whole numbers.

    Returns
    -------
    ndarray, shape (..., C)
        Synthetic samples per class.

    Raises
    ------
    ProblemError
        If a number is negative, not finite or, with `integer`, not whole, or the shapes clash.

    Notes
    -----
    A sort per device and a minimum over the classes, no search. Of whole samples, those left after filling to
    the level rounded down go to the lowest classes, one each, which is optimal by the same argument. The upper
    limit in the paper's (47), G per class, never binds.

    References
    ----------
    P. Li et al., "Filling the Missing", IEEE Transactions on Mobile Computing, 2024: problem P8 (46), Theorem 3
    (47).

    Examples
    --------
    >>> fill_classes([[50.0, 10.0, 0.0], [5.0, 5.0, 5.0]], [30.0, 4.0]).round(3)
    array([[ 0.   , 10.   , 20.   ],
           [ 1.333,  1.333,  1.333]])
    >>> fill_classes([5, 5, 5], 4, integer=True)
    array([2., 1., 1.])
    """
    owner = "fill_classes"
    counts = check(owner, "class_counts", class_counts, nonnegative)
    given = check(owner, "synthetic_samples", synthetic_samples, nonnegative)
    if not counts.ndim or not counts.size:
        raise ProblemError(f"{owner}.class_counts: expected axes (..., class), got shape {counts.shape}")
    if integer:
        for name, values in (("class_counts", counts), ("synthetic_samples", given)):
            if (values != np.floor(values)).any():
                refuse(owner, name, values, values != np.floor(values), "whole numbers")
    try:
        total = np.broadcast_to(given, np.broadcast_shapes(given.shape, counts.shape[:-1]))[..., None]
    except ValueError:
        raise ProblemError(
            f"{owner}.synthetic_samples: expected a value per device, shape {counts.shape[:-1]}, got {given.shape}"
        ) from None
    filled = np.cumsum(np.sort(counts, axis=-1), axis=-1) + total
    level = (filled / np.arange(1.0, counts.shape[-1] + 1)).min(-1, keepdims=True)
    if not integer:
        return np.asarray(np.maximum(level - counts, 0.0))
    fill = np.maximum(np.floor(level) - counts, 0.0)
    rank = np.argsort(np.argsort(counts + fill, axis=-1, kind="stable"), axis=-1)
    return np.asarray(fill + (rank < total - fill.sum(-1, keepdims=True)))


def data_entropy_bits(class_counts: ArrayLike) -> float | FloatArray:
    """Entropy of the class shares of each device, the paper's (45).

    Parameters
    ----------
    class_counts : array_like, shape (..., C)
        Samples per class >= 0.

    Returns
    -------
    float or ndarray, shape (...)
        Between 0 (one class) and log2 C (all alike) [bit]; 0 for a device without samples.

    Raises
    ------
    ProblemError
        If a count is negative or not finite.

    Examples
    --------
    >>> data_entropy_bits([[1.0, 1.0, 1.0, 1.0], [7.0, 0.0, 0.0, 0.0]])
    array([2., 0.])
    """
    counts = check("data_entropy_bits", "class_counts", class_counts, nonnegative)
    total = counts.sum(-1, keepdims=True)
    share = counts / np.where(total > 0, total, 1.0)
    return float_if_scalar(-(share * np.log2(np.where(share > 0, share, 1.0))).sum(-1) + 0.0)


def augmentation_plan(
    solution: SynthesisSolution,
    class_counts: ArrayLike,
    *,
    integer: bool = False,
    classes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Tabulate what to generate for every device and class.

    Parameters
    ----------
    solution : SynthesisSolution
        A single instance; its ``synthetic_samples`` are distributed.
    class_counts : array_like, shape (I, C)
        Samples that each device holds per class; they add up to the problem's ``local_samples``.
    integer : bool, default False
        Whole samples, of a solution in whole samples.
    classes : sequence of str, optional
        Names of the classes; their numbers by default.

    Returns
    -------
    pandas.DataFrame
        One row per device and class: ``local_samples``, ``synthetic_samples``, ``samples``.

    Raises
    ------
    ProblemError
        If the solution is a batch or no answer, or the counts do not fit it.

    Examples
    --------
    >>> from radioopt.fimi import LearningCurve, SynthesisProblem
    >>> problem = SynthesisProblem(
    ...     local_samples=1250.0, cycles_per_sample=5e6, energy_coefficient=5e-27,
    ...     max_cpu_frequency_hz=[1e9, 2e9],
    ...     max_transmit_power_w=0.15, channel_gain=[2e-11, 5e-11], noise_psd_w_per_hz=4e-21, bandwidth_hz=8e6,
    ...     payload_bits=111.7e6, max_round_latency_s=60.0, num_rounds=200.0, convergence_constant=66.78,
    ...     max_global_error=0.2, learning_curve=LearningCurve(alpha=4.671, beta=0.3, gamma=0.05))
    >>> solution = problem.solve()
    >>> plan = augmentation_plan(solution, [[1000.0, 200.0, 50.0], [500.0, 500.0, 250.0]])
    >>> bool(np.isclose(plan["synthetic_samples"].sum(), solution.synthetic_samples.sum()))
    True
    """
    import pandas as pd

    owner = "augmentation_plan"
    if solution.batch_shape:
        raise ProblemError(
            f"{owner}: expected a single instance, got a batch {solution.batch_shape}: use solution[i]"
        )
    if not solution.status.usable:
        raise ProblemError(f"{owner}: {solution.status.name}: {solution.status.message}")
    counts = check(owner, "class_counts", class_counts, nonnegative)
    devices = solution.sizes["device"]
    if counts.ndim != 2 or len(counts) != devices:
        raise ProblemError(
            f"{owner}.class_counts: expected shape ({devices}, classes), a row per device, got {counts.shape}"
        )
    local = np.asarray(solution.problem.local_samples)
    wrong = np.abs(counts.sum(-1) - local) > 1e-9 * local
    if wrong.any():
        first = int(np.argmax(wrong))
        expected = f"rows that add up to local_samples ({local[first]:.10g})"
        refuse(owner, "class_counts", counts.sum(-1), wrong, expected)
    if classes is not None and len(classes) != counts.shape[1]:
        raise ProblemError(f"{owner}.classes: expected {counts.shape[1]} names, got {len(classes)}")
    extra = fill_classes(counts, solution.synthetic_samples, integer=integer)
    names = range(counts.shape[1]) if classes is None else list(classes)
    index = pd.MultiIndex.from_product([range(devices), names], names=["device", "class"])
    columns = {"local_samples": counts, "synthetic_samples": extra, "samples": counts + extra}
    return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()}, index=index)
