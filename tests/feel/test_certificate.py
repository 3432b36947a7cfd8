"""What is judged: points out of feasibility, perturbed points, nonsense; by the kernel and by plain NumPy alike."""

import numpy as np
import pytest

from radioopt import Status
from radioopt.base.quantity import DEVICE, PER_INSTANCE
from radioopt.feel import kernel
from radioopt.feel import kernel_rows as rows
from validation.feel import zoo

DECISIONS = ("batchsize", "uplink_slot_s", "downlink_slot_s")


def decisions(solution):
    return {name: np.array(getattr(solution, name)) for name in DECISIONS}


@pytest.fixture(scope="module")
def solved():
    """Random batches with their solutions, of 1 to 30 devices."""
    rng = np.random.default_rng(11)
    problems = [zoo.random_batch(rng, 40, devices) for devices in (1, 2, 3, 8, 30)]
    return [(problem, problem.solve()) for problem in problems]


def scaled(name, factor):
    def change(problem, point):
        point[name] = point[name] * factor

    return change


def beyond(limit, factor):
    def change(problem, point):
        point["batchsize"][..., 0] = getattr(problem, limit)[..., 0] * factor

    return change


OUT_OF_FEASIBILITY = {
    "batch over its maximum": beyond("max_batchsize", 1 + 1e-6),
    "uplink frame overrun": scaled("uplink_slot_s", 1 + 1e-6),
    "downlink frame overrun": scaled("downlink_slot_s", 1 + 1e-6),
}


@pytest.mark.parametrize("name", OUT_OF_FEASIBILITY)
def test_a_point_slightly_out_of_feasibility_is_never_optimal(solved, name):
    for problem, solution in solved:
        point = decisions(solution)
        OUT_OF_FEASIBILITY[name](problem, point)
        certificate = problem.certificate(**point)
        assert (certificate.status == Status.FAILED).all()
        assert (certificate.residual > 0.9e-6).all()


def test_a_batch_slightly_under_its_minimum_is_never_optimal(solved):
    for problem, solution in solved:
        point = decisions(solution)
        # the smallest whole batch: below a fractional limit the time is flat, so a smaller one is allowed, not good
        point["batchsize"][..., 0] = np.floor(problem.min_batchsize[..., 0]) * (1 - 1e-6)
        certificate = problem.certificate(**point)
        assert (certificate.residual > 0.9e-6).all()
        assert (certificate.status == Status.FAILED).all()


def test_weak_duality_on_random_points(solved):
    # the bound from any feasible point lies above the optimum, and the objective of any below it
    rng = np.random.default_rng(5)
    for problem, solution in solved:
        for _ in range(10):
            shape = solution.batchsize.shape
            mixed = rng.uniform(0, 1, shape) ** rng.choice([0.0, 0.1, 1.0, 20.0], (shape[0], 1))
            low, high = problem.min_batchsize, problem.max_batchsize
            point = problem.repair(
                batchsize=low + mixed * (high - low),
                uplink_slot_s=solution.uplink_slot_s * 10 ** rng.uniform(-1, 1, shape),
                downlink_slot_s=solution.downlink_slot_s * 10 ** rng.uniform(-1, 1, shape),
            )
            certificate = problem.certificate(**point)
            assert (certificate.objective <= solution.bound * (1 + 1e-12)).all()
            assert (certificate.bound >= solution.objective * (1 - 1e-12)).all()
            assert (certificate.residual <= 1e-12).all()


def certify_in_the_kernel(problem, point):
    """Objective, bound and residual of points by the kernel's own certificate."""
    devices = problem.sizes["device"]
    device = problem.block(DEVICE).reshape(rows.BASE + 1, -1, devices)
    instance = problem.block(PER_INSTANCE).reshape(rows.DEADLINE + 1, -1)
    out_device = np.stack([point[name].reshape(-1, devices) for name in DECISIONS])
    out_instance = np.empty((6, instance.shape[1]))
    kernel.certify_points(device, instance, problem.downlink == "broadcast", out_device, out_instance)
    return out_instance[: rows.RESIDUAL + 1]


def test_kernel_and_numpy_certificates_agree_on_perturbed_points(solved):
    rng = np.random.default_rng(6)
    for problem, solution in solved:
        for size in (0.0, 1e-9, 1e-4, 0.3):
            point = {
                name: value * (1 + size * rng.uniform(-1, 1, value.shape))
                for name, value in decisions(solution).items()
            }
            objective, bound, residual = certify_in_the_kernel(problem, point)
            plain = problem.certificate(**point)
            np.testing.assert_allclose(objective, plain.objective, rtol=1e-13)
            np.testing.assert_allclose(np.maximum(residual, 0), plain.residual, rtol=1e-9, atol=1e-14)
            # far from the optimum the bound, on 1/E^2, is a small difference of large sums
            difference = np.abs(bound**-2.0 - np.asarray(plain.bound) ** -2.0)
            assert (difference <= 1e-9 * objective**-2.0).all()


@pytest.mark.parametrize("name", DECISIONS)
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_neither_certificate_accepts_nonsense(solved, name, value):
    for problem, solution in solved:
        point = decisions(solution)
        point[name][..., 0] = value
        plain = problem.certificate(**point)
        assert (plain.status == Status.FAILED).all()
        objective, bound, residual = certify_in_the_kernel(problem, point)
        good = np.isfinite(objective) & (residual <= 1e-9) & (objective <= bound * (1 + 1e-9))
        assert not good.any()


def test_repair_makes_any_positive_point_feasible(solved):
    for problem, solution in solved:
        point = {name: 3.0 * value for name, value in decisions(solution).items()}
        certificate = problem.certificate(**problem.repair(**point))
        assert (certificate.residual <= 1e-12).all()
        np.testing.assert_array_equal(certificate.status == Status.FAILED, False)


def test_a_certificate_reads_like_one():
    solution = zoo.named()["paper_cpu"].solve()
    text = str(solution.verify())
    assert text.startswith("certificate: OPTIMAL\n  objective  ")
    assert "  largest violation\n" in text
    assert "    uplink_slots " in text
