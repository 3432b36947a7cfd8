"""Numbers near the ends of float64: an answer is proven, or the instance is refused; nothing crashes or hangs."""

import numpy as np
import pytest

from radioopt import Status
from validation.fimi import zoo

PAPER = zoo.named()["paper"]
QUANTITIES = [name for name in PAPER.quantities if not name.startswith("curve")]


def honest(solution):
    """Check that a claim holds for the point, and that a refusal has words."""
    assert solution.status is not Status.NODE_LIMIT
    if solution.status is Status.INFEASIBLE:
        assert "expected at least" in solution.why_infeasible()
    elif solution.status is Status.OPTIMAL:
        check = solution.verify()
        assert check.residual <= 1e-9
        assert check.objective == pytest.approx(float(solution.objective), rel=1e-9)
        # the plain bound may be weaker where computing takes next to nothing of the round; it must not contradict
        assert check.bound <= solution.objective * (1 + 1e-9)


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize("factor", [1e-300, 1e-30, 1e30, 1e290])
def test_an_extreme_instance_is_solved_or_refused(name, factor):
    value = np.clip(PAPER.to_dict()[name] * factor, 5e-324, 1.0 if name == "max_global_error" else None)
    honest(PAPER.replace(**{name: value}).solve(throw=False))


@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_an_extreme_instance_leaves_the_rest_of_its_batch_alone(factor):
    together = PAPER.replace(payload_bits=PAPER.payload_bits * np.array([1.0, factor, 0.9])).solve(
        throw=False
    )
    assert together.status[0] == together.status[2] == Status.OPTIMAL
    assert together.status[1] in (Status.FAILED, Status.INFEASIBLE)
    assert together.objective[0] == PAPER.solve().objective


@pytest.mark.parametrize("decades", [3, 30, 300])
def test_random_exponents_are_solved_or_refused(decades):
    rng = np.random.default_rng(decades)
    values = {name: value for name, value in PAPER.to_dict().items() if name in QUANTITIES}
    for _ in range(20):
        changed = {}
        for name in rng.choice(QUANTITIES, 2, replace=False):
            log = np.log(values[name]) + np.log(10) * rng.uniform(-decades, decades, np.shape(values[name]))
            changed[name] = np.exp(np.clip(log, -700, 0 if name == "max_global_error" else 700))
        honest(PAPER.replace(**changed).solve(throw=False))


@pytest.mark.parametrize("name", ["one_device", "learning_slack"])
def test_a_longer_deadline_never_costs_a_proven_optimum(name):
    # once the deadline swallows the digits of the compute time, slower and thriftier computing is out of sight
    problem, least = zoo.named()[name].replace(num_rounds=1e13), np.inf
    for latency in 10.0 ** np.arange(3, 30, 0.25):
        solution = problem.replace(max_round_latency_s=latency).solve(throw=False)
        if solution.status is Status.OPTIMAL:
            assert solution.objective <= least * (1 + 1e-9)
            least = min(least, float(solution.objective))
    assert least < np.inf
