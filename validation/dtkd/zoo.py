"""DT-KD instances to be right on: named ones, each with a reason, and random ones that can be drawn anew."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from radioopt.base.quantity import Array
from radioopt.dtkd.catalogue import ModelCatalogue
from radioopt.dtkd.problem import DistillationProblem

#: parameters of VGG-8, ResNet-8x4, ResNet-14x4 and ResNet-26x4 for CIFAR-100 (derived in a test)
PARAMETERS = (3_965_028, 1_233_540, 2_783_620, 5_883_780)
IID = [0.6271, 0.6813, 0.7184, 0.7255]  # Table 1, KD, top-1


def catalogue(*, iid: bool = False) -> ModelCatalogue:
    """Return the paper's four students with its accuracies of Tables 1 and 2 (KD, top-1)."""
    return ModelCatalogue(
        names=("VGG-8", "ResNet-8x4", "ResNet-14x4", "ResNet-26x4"),
        cycles=np.array([6.83e9, 8.75e9, 12.27e9, 18.96e9]),
        parameter_bits=32.0 * np.array(PARAMETERS),
        own_accuracy=np.array(IID if iid else [0.8653, 0.8946, 0.9098, 0.9014]),
        average_accuracy=np.array(IID if iid else [0.2360, 0.2581, 0.2848, 0.2873]),
    )


def draw(
    users: int, count: int | None = None, seed: int = 0, *, iid: bool = False, **changes: Any
) -> DistillationProblem:
    """Draw the paper's cell; server and band grow with the users, from 10 GHz and 10 MHz for four.

    Parameters
    ----------
    users : int
        K.
    count : int, optional
        Number of instances; a single one by default.
    seed : int, default 0
        The same seed gives the same instances.
    iid : bool, default False
        Accuracies of identically distributed data.
    **changes
        Fields that differ.

    Returns
    -------
    DistillationProblem
        Weights and prices as calibrated (see ``docs/dtkd.md``).

    Examples
    --------
    >>> draw(20).solve().status.name
    'OPTIMAL'
    """
    rng = np.random.default_rng([seed, users])
    shape = (users,) if count is None else (count, users)
    fields: dict[str, Any] = {
        "catalogue": catalogue(iid=iid),
        "channel_gain": 1e-4 * rng.uniform(10, 100, shape) ** -2.8,
        "local_cpu_frequency_hz": rng.uniform(0.5e9, 2e9, shape),
        "transmit_power_w": 0.1,
        "noise_power_w": 1e-12,
        "bandwidth_hz": 10e6 * users / 4,
        "server_cpu_frequency_hz": 10e9 * users / 4,
        "teacher_cycles": 9.5e9,
        "label_bits": 51.2e6,
        "delay_weight_per_s": 0.0075,
        "cpu_price_per_cycle": 3e-12,
        "bandwidth_price_per_hz": 1e-10,
        "strict": None,  # what is far outside in the zoo is meant so
    }
    return DistillationProblem(**fields | changes)


def subset_sum(users: int, seed: int = 0) -> DistillationProblem:
    """Draw an instance in which every user is indifferent between its places at the prices of an even split.

    What is left is to make the sums U and V come out at one point: a subset-sum problem, which no bound sees.

    Parameters
    ----------
    users : int
        K.
    seed : int, default 0
        The same seed gives the same instance.

    Returns
    -------
    DistillationProblem
        A single instance.
    """
    rng = np.random.default_rng([seed, users])
    one = ModelCatalogue(("student",), np.array([8e9]), np.array([40e6]), np.array([0.9]), np.array([0.3]))
    problem = draw(users, seed=seed, catalogue=one, label_bits=40e6, bandwidth_price_per_hz=0.0)
    problem = problem.replace(channel_gain=10 ** rng.uniform(-9, -7, users), cpu_price_per_cycle=0.0)
    alpha = float(problem.delay_weight_per_s)
    snr = problem.transmit_power_w * problem.channel_gain / problem.noise_power_w
    u = np.sqrt(alpha * np.array([17.5e9, 9.5e9]) / problem.server_cpu_frequency_hz)
    v = np.sqrt(alpha * np.outer([40e6, 80e6], 1 / np.log2(1 + snr)) / problem.bandwidth_hz)
    cpu, width = users * u.mean(), v.mean(0).sum()
    saved = 2 * cpu * (u[0] - u[1]) - 2 * width * (v[1] - v[0])
    return problem.replace(local_cpu_frequency_hz=alpha * 8e9 / np.maximum(saved, 1e-3 * saved.max()))


def named() -> dict[str, DistillationProblem]:
    """Instances that have gone wrong somewhere, or well may.

    Returns
    -------
    dict of str to DistillationProblem
        Single instances by name, all feasible; :func:`infeasible` has the others.

    Examples
    --------
    >>> named()["paper"].solve().status.name
    'OPTIMAL'
    """
    paper = draw(4)
    best = paper.solve()
    f, b, delay = best.server_cpu_frequency_hz, best.bandwidth_hz, best.delay_s
    return {
        "paper": paper,
        "paper_iid": draw(4, iid=True),
        "one_user": draw(1),
        "one_model": draw(3, catalogue=ModelCatalogue(("only",), *np.array([[9e9], [40e6], [0.9], [0.3]]))),
        "identical_users": paper.replace(channel_gain=1e-8, local_cpu_frequency_hz=1e9),
        # the band costs nothing: it is full
        "free_bandwidth": paper.replace(bandwidth_price_per_hz=0.0),
        "zero_prices": paper.replace(bandwidth_price_per_hz=0.0, cpu_price_per_cycle=0.0),
        # bandwidth costs so much that part of the band stays unused
        "dear_bandwidth": paper.replace(bandwidth_price_per_hz=1e-6),
        "all_local": paper.replace(local_cpu_frequency_hz=1e12, label_bits=0.0),
        "all_at_the_server": paper.replace(local_cpu_frequency_hz=1e6),
        "low_snr": paper.replace(channel_gain=1e-16),
        "high_snr": paper.replace(channel_gain=1e3),
        # whoever trains locally needs no server at all
        "no_teacher": paper.replace(teacher_cycles=0.0, local_cpu_frequency_hz=[0.1e9, 1e9, 10e9, 100e9]),
        "accuracy_is_worth_nothing": paper.replace(own_accuracy_weight=0.0, average_accuracy_weight=0.0),
        "only_accuracy_counts": paper.replace(delay_weight_per_s=1e-12),
        "subset_sum": subset_sum(6),
        "some_choices_fixed": paper.replace(
            fixed_model=[0.0, -1.0, -1.0, 3.0], fixed_place=[-1.0, 1.0, -1.0, 0.0]
        ),
        "problem_3": paper.fix([0, 1, 2, 3], [0, 1, 0, 1]),
        "problem_3_dear_bandwidth": paper.replace(bandwidth_price_per_hz=1e-6).fix(
            [0, 1, 2, 3], [0, 1, 0, 1]
        ),
        "bounds": paper.replace(
            min_server_cpu_frequency_hz=[0.0, 3e9, 0.0, 0.0],
            max_server_cpu_frequency_hz=[2e9, math.inf, math.inf, math.inf],
            min_bandwidth_hz=[0.0, 0.0, 4e6, 0.0],
            max_bandwidth_hz=[1e6, math.inf, math.inf, 2e6],
        ),
        "bounds_leave_resources_idle": paper.replace(max_server_cpu_frequency_hz=1e9, max_bandwidth_hz=1e6),
        "equal_shares": paper.replace(
            min_server_cpu_frequency_hz=2.5e9, max_server_cpu_frequency_hz=2.5e9, min_bandwidth_hz=2.5e6
        ),
        "deadlines": paper.replace(max_delay_s=[0.9 * delay[0], math.inf, 1.2 * delay[2], 0.8 * delay[3]]),
        "tight_deadlines": paper.replace(max_delay_s=0.83 * delay),
        "deadlines_and_bounds": paper.replace(
            max_delay_s=[0.9 * delay[0], math.inf, math.inf, math.inf],
            max_server_cpu_frequency_hz=[1.1 * f[0], math.inf, 0.9 * f[2], math.inf],
            min_bandwidth_hz=[0.0, 1.1 * b[1], 0.0, 0.0],
        ),
        "deadlines_problem_3": paper.fix(best.model, best.trains_locally).replace(
            max_delay_s=1.02 * delay.max()
        ),
        "density": paper.replace(noise_power_w=0.0, noise_psd_w_per_hz=1e-19),
        "density_low_snr": paper.replace(
            noise_power_w=0.0, noise_psd_w_per_hz=1e-14, bandwidth_price_per_hz=0.0
        ),
        "density_bounds_deadlines": paper.replace(
            noise_power_w=0.0,
            noise_psd_w_per_hz=1e-19,
            max_delay_s=[0.9 * delay[0], math.inf, math.inf, math.inf],
            max_bandwidth_hz=[math.inf, 2e6, math.inf, math.inf],
        ),
        "density_problem_3": paper.replace(noise_power_w=0.0, noise_psd_w_per_hz=1e-19).fix(
            [0, 1, 2, 3], [0, 1, 0, 1]
        ),
    }


def infeasible() -> dict[str, DistillationProblem]:
    """Instances without a feasible point, by what is in the way.

    Returns
    -------
    dict of str to DistillationProblem
        Single instances by name.
    """
    paper = draw(4)
    return {
        # less than any model takes at the user, with all of the server and the band
        "one_deadline": paper.replace(max_delay_s=[math.inf, 1.0, math.inf, math.inf]),
        "all_deadlines": paper.replace(max_delay_s=5.0),
        "deadline_and_bound": paper.replace(
            max_delay_s=20.0, max_server_cpu_frequency_hz=[0.4e9, 5e9, 5e9, 5e9]
        ),
        "deadline_of_a_choice": paper.fix([3, 3, 3, 3], [1, 0, 0, 0]).replace(max_delay_s=10.0),
        "density_cannot_carry": paper.replace(noise_power_w=0.0, noise_psd_w_per_hz=1e-15, max_delay_s=20.0),
    }


def random(seed: int, *, max_devices: int = 6) -> DistillationProblem:
    """Draw one instance: prices, weights and totals over decades; every third with bounds, deadlines or a density.

    Parameters
    ----------
    seed : int
        Non-negative; the same seed gives the same instance.
    max_devices : int, default 6
        Largest number of users.

    Returns
    -------
    DistillationProblem
        A single instance; one with deadlines may be infeasible.

    Examples
    --------
    >>> random(7) == random(7)
    True
    """
    rng = np.random.default_rng([seed, max_devices])
    users = int(rng.integers(1, max_devices + 1))
    models, more = int(rng.integers(1, 5)), seed % 3 == 2
    while more and models > 1 and (2 * models) ** users > 5000:  # what enumeration can do with a program each
        models -= 1
    students = ModelCatalogue(
        tuple(f"model-{m}" for m in range(models)),
        np.sort(10 ** rng.uniform(9, 10.5, models)),
        10 ** rng.uniform(7, 8.5, models),
        np.sort(rng.uniform(0.5, 0.95, models)),
        rng.uniform(0.1, 0.5, models),
    )
    problem = draw(
        users,
        seed=seed,
        catalogue=students,
        delay_weight_per_s=10 ** rng.uniform(-4, -1),
        cpu_price_per_cycle=rng.choice([0.0, 1.0]) * 10 ** rng.uniform(-13, -11),
        bandwidth_price_per_hz=rng.choice([0.0, 1.0]) * 10 ** rng.uniform(-11, -6.5),
        teacher_cycles=rng.choice([0.0, 1.0], p=[0.1, 0.9]) * 10 ** rng.uniform(9, 10.5),
        label_bits=10 ** rng.uniform(6, 8.5),
        server_cpu_frequency_hz=10 ** rng.uniform(9.5, 11),
        bandwidth_hz=10 ** rng.uniform(6, 8),
    )
    return extended(problem, rng) if more else problem


def given(problem: DistillationProblem, seed: int) -> DistillationProblem:
    """Fix models and places at random, as solvers of Problem 3 take them; deadlines may then be infeasible.

    Parameters
    ----------
    problem : DistillationProblem
        A single instance.
    seed : int
        Non-negative; the same seed gives the same choices.

    Returns
    -------
    DistillationProblem
        A single instance of Problem 3.

    Examples
    --------
    >>> given(draw(4), 1).solve().status.name
    'OPTIMAL'
    """
    rng, users = np.random.default_rng([seed, 3]), problem.sizes["device"]
    return problem.fix(rng.integers(0, len(problem.catalogue), users), rng.integers(0, 2, users))


def extended(problem: DistillationProblem, rng: np.random.Generator) -> DistillationProblem:
    """Add bounds, deadlines or a noise density, at least one of them, near what they change.

    Parameters
    ----------
    problem : DistillationProblem
        A single instance of the paper's problem.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    DistillationProblem
        The same problem with more fields; its deadlines may be infeasible.
    """
    kinds = rng.random(3) < 0.5
    kinds[rng.integers(3)] = True
    users, best = problem.sizes["device"], problem.solve()
    changes: dict[str, Any] = {}

    def some(value: Array, chance: float, otherwise: float) -> Array:
        return np.where(rng.random(users) < chance, value, otherwise)

    if kinds[0]:
        for name in ("server_cpu_frequency_hz", "bandwidth_hz"):
            even = float(getattr(problem, name)) / users
            changes[f"min_{name}"] = some(even * rng.uniform(0, 0.9, users), 0.5, 0.0)
            changes[f"max_{name}"] = some(even * rng.uniform(0.95, 2, users), 0.5, math.inf)
    if kinds[1]:
        changes["max_delay_s"] = some(best.delay_s * rng.uniform(0.7, 1.3, users), 0.7, math.inf)
    if kinds[2]:
        changes |= {"noise_power_w": 0.0, "noise_psd_w_per_hz": 1e-12 / problem.bandwidth_hz}
    return problem.replace(**changes)


#: options whose derivatives differ
OPTIONS = ("plain", "priced", "bounds", "deadlines", "density", "density_limits")


def with_option(option: str, seed: int, *, count: int | None = None, users: int = 4) -> DistillationProblem:
    """Draw instances of Problem 3: models and places fixed at random, and limits that bind on some users.

    Parameters
    ----------
    option : {"plain", "priced", "bounds", "deadlines", "density", "density_limits"}
        The paper's problem, bandwidth so dear that some is left, bounds, deadlines, a noise density, and all of it.
    seed : int
        Non-negative; the same seed gives the same instances.
    count : int, optional
        Number of instances; a single one by default.
    users : int, default 4
        K.

    Returns
    -------
    DistillationProblem
        A single instance, or of batch shape (count,).

    Examples
    --------
    >>> with_option("bounds", 1, count=3).batch_shape
    (3,)
    """
    rng = np.random.default_rng([seed, users])
    many = 1 if count is None else count
    shape = (many, users)
    problem = draw(
        users,
        many,
        seed,
        transmit_power_w=rng.uniform(0.05, 0.2, shape),
        teacher_cycles=rng.uniform(5e9, 1.5e10, many),
        label_bits=rng.uniform(2e7, 8e7, many),
        bandwidth_price_per_hz=10 ** rng.uniform(-7.5, -6.5, many) if option == "priced" else 1e-10,
        own_accuracy_weight=rng.uniform(0.5, 2, many),
        average_accuracy_weight=rng.uniform(0.5, 2, many),
    )
    if "density" in option:
        problem = problem.replace(noise_power_w=0.0, noise_psd_w_per_hz=1e-12 / problem.bandwidth_hz)
    problem = problem.fix(rng.integers(0, len(problem.catalogue), shape), rng.integers(0, 2, shape))

    def some(value: Array, otherwise: float) -> Array:
        return np.where(rng.random(shape) < 0.6, value, otherwise)

    if option in ("bounds", "density_limits"):
        changes = {}
        for name in ("server_cpu_frequency_hz", "bandwidth_hz"):
            even = np.expand_dims(getattr(problem, name), -1) / users
            changes[f"min_{name}"] = some(even * rng.uniform(0.3, 0.9, shape), 0.0)
            changes[f"max_{name}"] = some(even * rng.uniform(0.95, 1.5, shape), math.inf)
        problem = problem.replace(**changes)
    if option in ("deadlines", "density_limits"):
        delay = problem.solve().delay_s
        problem = problem.replace(max_delay_s=some(delay * rng.uniform(0.93, 1.0, shape), math.inf))
    return problem if count is not None else problem[0]
