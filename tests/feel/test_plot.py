"""Pictures of a round: what can be drawn, and what is said of the rest."""

import pytest

from radioopt import OptionError, ProblemError
from radioopt.feel import BatchsizeProblem

PROBLEM = BatchsizeProblem(
    payload_bits=1e6,
    uplink_rate_bps=[2e7, 3e7],
    downlink_rate_bps=4e7,
    seconds_per_sample=0.05,
    update_time_s=0.1,
    max_batchsize=64,
)


def test_a_solution_without_an_answer_is_not_drawn():
    solution = PROBLEM.replace(max_round_latency_s=0.1).solve(throw=False)
    with pytest.raises(
        ProblemError, match=r"^plot: INFEASIBLE: max_round_latency_s: expected at least 0\.\d+"
    ):
        solution.plot()


def test_a_path_is_for_savefig():
    with pytest.raises(OptionError, match=r"solution\.plot\(\)\.savefig\('a\.png'\)"):
        PROBLEM.solve().plot("a.png")
