"""FEEL by the paper's rounding: batch sizes of the continuous optimum rounded up, its slots as they are.

The paper relaxes the batch sizes and adds: "we can round up to the nearest integer for practical implementation"
(end of Section III). It says nothing of the slots, which therefore stay: they still fill their frames, and every
round with more samples in the same slots lasts longer than was planned. Rounded up, a batch can be larger than
the device's limit or the round later than its deadline; what is done then is stated at :func:`round_up`.
"""

from __future__ import annotations

import numpy as np

from radioopt.base.certify import certify
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import Array, refuse
from radioopt.base.status import Status
from radioopt.feel.problem import BatchsizeProblem
from radioopt.feel.solution import BatchsizeSolution
from radioopt.feel.solver import newton

#: a batch size above a whole number by less is that number, missed by rounding [samples]
NOISE = 1e-9


@BatchsizeProblem.method("round-up", exact=False)
def round_up(problem: BatchsizeProblem, options: SolveOptions) -> BatchsizeSolution:
    """Paper's rounding: continuous optimum, batches rounded up, slots kept; a baseline, not optimal.

    Parameters
    ----------
    problem : BatchsizeProblem
        One instance or a batch, with the total batch free.
    options : SolveOptions
        Tolerances and limits.

    Returns
    -------
    BatchsizeSolution
        Whole samples; ``bound`` is that of the continuous optimum, so that ``gap`` is what the rounding loses
        at most, unless the status would then be another than that of :meth:`~radioopt.Solution.verify`.
        ``iterations`` are those of the continuous solution.

    Raises
    ------
    ProblemError
        If the total batch is fixed: rounding every batch up cannot keep it.

    Notes
    -----
    Two things that the paper leaves open are settled as whoever carries the answer out would have to:

    - no batch is larger than its device can hold, so it is rounded down where the limit is no whole number and
      the next one lies above it;
    - a device whose larger batch would make the round miss its deadline rounds down, which is always in time.

    Choosing whole samples and slots together (``method="newton", integer=True``) is never worse.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    end of Section III.
    """
    fixed = np.isfinite(problem.total_batchsize)
    if fixed.any():
        expected = "inf, as rounding up cannot keep a total (method 'newton' with integer=True can)"
        refuse("method 'round-up'", "total_batchsize", problem.total_batchsize, fixed, expected)
    planned = newton(problem, options)
    most = np.floor(problem.max_batchsize)
    batch = np.minimum(np.ceil(planned.batchsize - NOISE), most)
    with np.errstate(over="ignore"):
        deadline = problem.max_round_latency_s * (1 + 1e-12)
    in_time = np.expand_dims(deadline - planned.download_phase_s, -1)
    late = _uploaded_s(planned, batch) > in_time
    batch = np.where(late, np.minimum(np.floor(planned.batchsize + NOISE), most), batch)

    slots = {"uplink_slot_s": planned.uplink_slot_s, "downlink_slot_s": planned.downlink_slot_s}
    measured = problem.certificate(options, batchsize=batch, **slots)
    bound = np.fmin(measured.bound, planned.bound)
    gap, status = certify(measured.objective, bound, measured.residual, sense="max", options=options)
    # what the rounded point cannot show by itself is not claimed
    same = status == measured.status
    bound, gap = np.where(same, bound, measured.bound), np.where(same, gap, measured.gap)
    status = measured.status
    phase = _uploaded_s(planned, batch).max(-1)
    values = {
        **slots,
        "batchsize": batch,
        "upload_phase_s": phase,
        "download_phase_s": planned.download_phase_s,
        "round_latency_s": phase + planned.download_phase_s,
        "objective": measured.objective,
        "bound": bound,
        "gap": gap,
        "iterations": planned.iterations,
        "status_code": np.where(planned.status_code == Status.INFEASIBLE, planned.status_code, status),
    }
    laid_out = BatchsizeSolution._computed(values, problem.batch_shape, problem.sizes)
    return BatchsizeSolution(problem, "round-up", laid_out._blocks)


def _uploaded_s(planned: BatchsizeSolution, batch: Array) -> Array:
    """When each device is done computing a batch and uploading in the planned slots [s]."""
    problem = planned.problem
    computed = problem.base_time_s + problem.seconds_per_sample * np.maximum(batch, problem.min_batchsize)
    return np.asarray(computed + planned.upload_time_s)
