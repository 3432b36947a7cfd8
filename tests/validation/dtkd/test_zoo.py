"""The zoo of DT-KD: instances are what their names say, sizes of the networks follow from their layers."""

import numpy as np
import pytest

from radioopt import OptionError, Status
from validation.dtkd import cvxpy_model, enumeration, ipopt_model, pyomo_model, zoo
from validation.dtkd.scaling import Scaling
from validation.reference import NoAnswerError, references

NAMED = zoo.named()


def convolution(inputs, outputs, kernel):
    return inputs * outputs * kernel**2


def batch_norm(channels):
    return 2 * channels


def resnet_x4(depth, classes=100):
    """ResNet of basic blocks for small images, widened four times: stages of 64, 128 and 256 channels."""
    blocks, count, before = (depth - 2) // 6, convolution(3, 32, 3) + batch_norm(32), 32
    for channels in (64, 128, 256):
        for _ in range(blocks):
            count += (
                convolution(before, channels, 3)
                + convolution(channels, channels, 3)
                + 2 * batch_norm(channels)
            )
            if before != channels:
                count += convolution(before, channels, 1) + batch_norm(channels)
            before = channels
    return count + 256 * classes + classes


def vgg8(classes=100):
    """One convolution, with a bias, per stage of 64, 128, 256, 512 and 512 channels."""
    count, before = 0, 3
    for channels in (64, 128, 256, 512, 512):
        count += convolution(before, channels, 3) + channels + batch_norm(channels)
        before = channels
    return count + 512 * classes + classes


def test_sizes_follow_from_the_architectures():
    assert (vgg8(), resnet_x4(8), resnet_x4(14), resnet_x4(26)) == zoo.PARAMETERS


def test_random_instances_are_reproducible():
    assert all(zoo.random(seed) == zoo.random(seed) for seed in range(12))
    assert zoo.random(1) != zoo.random(2)
    assert 8 <= sum(not zoo.random(seed).is_plain for seed in range(30)) <= 10


def test_instances_are_what_their_names_say():
    solved = {name: problem.solve() for name, problem in NAMED.items()}
    assert solved["all_local"].trains_locally.all()
    assert not solved["all_at_the_server"].trains_locally.any()
    assert solved["dear_bandwidth"].bandwidth_hz.sum() < 0.99 * NAMED["paper"].bandwidth_hz
    assert solved["dear_bandwidth"].price_bandwidth_per_hz == 0
    assert solved["free_bandwidth"].bandwidth_hz.sum() == pytest.approx(10e6)
    local = solved["no_teacher"].trains_locally
    assert local.any()
    assert (solved["no_teacher"].server_cpu_frequency_hz[local] == 0).all()
    assert solved["bounds_leave_resources_idle"].server_cpu_frequency_hz.sum() == pytest.approx(4e9)
    assert (solved["deadlines"].price_delay_per_s > 0).any()
    assert solved["subset_sum"].nodes > 50
    np.testing.assert_allclose(solved["equal_shares"].server_cpu_frequency_hz, 2.5e9)
    assert solved["some_choices_fixed"].model[[0, 3]].tolist() == [0, 3]


def test_models_refuse_what_is_not_theirs():
    with pytest.raises(NoAnswerError, match="given models and places"):
        cvxpy_model.solve_given_choices(NAMED["paper"], 1.0)
    with pytest.raises(NoAnswerError, match="given models and places"):
        ipopt_model.solve(NAMED["paper"], 1.0)
    for solve in (cvxpy_model.solve_perspective, pyomo_model.solve_paper_form):
        with pytest.raises(NoAnswerError, match="no noise density"):
            solve(NAMED["density"], 1.0)
    with pytest.raises(NoAnswerError, match="no bounds, deadlines or noise density"):
        pyomo_model.solve_reduced(NAMED["bounds"], 1.0)
    with pytest.raises(NoAnswerError, match="16777216 vectors of actions, more than 300000"):
        enumeration.solve(zoo.draw(8), 1.0)
    with pytest.raises(NoAnswerError, match="infeasible"):
        enumeration.solve(zoo.infeasible()["all_deadlines"].replace(fixed_model=[0, 1, 2, 3]), 1.0)
    with pytest.raises(OptionError, match="expected a single instance"):
        Scaling.of(zoo.draw(2, 2))


def test_references_are_registered():
    assert set(references("dtkd")) == {
        "cvxpy", "cvxpy-scip", "enumeration", "ipopt", "pyomo-scip", "pyomo-scip-reduced",
    }  # fmt: skip
    assert all(
        problem.solve(throw=False).status is Status.INFEASIBLE for problem in zoo.infeasible().values()
    )
