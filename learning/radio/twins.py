"""Twins at a server: what DT-KD's allocation costs in an epoch, in seconds, payments and joules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from learning.messages import Wire
from learning.options import choose, label
from learning.radio.base import (
    Allocation,
    Delivery,
    Floats,
    Payload,
    Plan,
    Planner,
    Prices,
    Radio,
    Sent,
    Work,
    compute_energy,
)
from radioopt.base.errors import OptionError, ProblemError
from radioopt.dtkd import DistillationProblem, DistillationSolution
from radioopt.dtkd.pricing import spectral_efficiency
from radioopt.scenario import Devices

#: models and places, from the problem: arrays of shape (K,)
Policy = Callable[[DistillationProblem, np.random.Generator], tuple[Any, Any]]
#: policies that are methods of the problem
METHODS = {"optimal": "exact", "fl-min": "fl-min", "fl-max": "fl-max", "q-learning": "q-learning"}


@dataclass(frozen=True, eq=False)
class TwinPlan(Plan):
    """What an epoch costs: DT-KD's solution.

    Parameters
    ----------
    solution : DistillationSolution
        Models, places, server CPU and bandwidth, with its certificate.
    epochs : ndarray of int64, shape (K,)
        Epochs of each user in the round.
    wire : Wire
        What kinds of values cross.
    """

    solution: DistillationSolution
    epochs: Floats
    wire: Wire

    def figures(self) -> Mapping[str, float]:
        """Return the account of an epoch, all users together, and the shares of models and places."""
        solution = self.solution
        names = solution.problem.catalogue.names
        return {
            "mean_delay_s": float(solution.delay_s.mean()),
            "server_cycles": float(solution.server_cycles.sum()),
            "delay_cost": float(solution.delay_cost.sum()),
            "cpu_cost": float(solution.cpu_cost.sum()),
            "bandwidth_cost": float(solution.bandwidth_cost.sum()),
            "accuracy_credit": float(solution.accuracy_credit.sum()),
            "objective": self.costs - float(solution.accuracy_credit.sum()),
            "local_share": float(solution.trains_locally.mean()),
            **{f"share_{name}": float((solution.model == m).mean()) for m, name in enumerate(names)},
        }

    @property
    def costs(self) -> float:
        """What delay, server CPU and bandwidth of an epoch cost all users."""
        solution = self.solution
        return float((solution.delay_cost + solution.cpu_cost + solution.bandwidth_cost).sum())

    def realised(self, found: Mapping[str, float]) -> Mapping[str, float]:
        """Return the objective with the accuracies that were reached in place of the catalogue's."""
        if not {"test_accuracy", "private_accuracy"} <= found.keys():
            return {}
        problem, users = self.solution.problem, self.solution.problem.sizes["device"]
        credit = float(problem.own_accuracy_weight) * found["private_accuracy"]
        credit += float(problem.average_accuracy_weight) * found["test_accuracy"]
        return {"realised_objective": self.costs - users * credit}


@dataclass(frozen=True, eq=False)
class TwinSent(Sent):
    """What became of an epoch, part by part.

    Parameters
    ----------
    teacher_time_s, student_time_s, label_time_s, model_time_s : ndarray, shape (K,)
        Time of each user for the teacher's outputs, for its student, to hear the outputs, and to bring both copies of
        the student together [s]; their sum is its delay, times its epochs.
    user_uplink_bits, user_downlink_bits : ndarray, shape (K,)
        Sent by each user, and to it [bit]. ``uplink_bits`` and ``downlink_bits`` are means over the users.
    user_server_cycles : ndarray, shape (K,)
        Cycles that each user buys.
    user_cost : ndarray, shape (K,)
        What delay, server CPU and bandwidth of an epoch cost each user.
    """

    teacher_time_s: Floats
    student_time_s: Floats
    label_time_s: Floats
    model_time_s: Floats
    user_uplink_bits: Floats
    user_downlink_bits: Floats
    user_server_cycles: Floats
    user_cost: Floats

    columns: ClassVar[tuple[str, ...]] = (
        "teacher_time_s",
        "student_time_s",
        "label_time_s",
        "model_time_s",
        "user_uplink_bits",
        "user_downlink_bits",
        "user_server_cycles",
        "user_cost",
    )


@dataclass(frozen=True)
class Twins(Radio):
    r"""Users with twins at a server: DT-KD's delays and payments of an epoch.

    .. math::
        T_k = \frac{c_k}{f_k} + x_k \frac{\mu_{m_k}}{f^{loc}_k} + \frac{\theta_{m_k} + x_k \theta_l}{r_k(b_k)}

    Who trains locally (x = 1) hears the teacher's outputs and sends its parameters; who lets the server train hears the
    parameters. Nothing is averaged, so everybody's epoch counts, and no message is lost.

    Parameters
    ----------
    waiting : bool, default True
        Whether everybody trains one epoch a round and waits for the slowest. Otherwise users go on meanwhile: as many
        whole epochs as fit into the time of the slowest one.

    Raises
    ------
    OptionError
        If it is not true or false.

    Notes
    -----
    A scheme whose devices send weights both ways and hear no outputs, as "fedavg", trains locally one
    model for all, with parameters charged both ways, without a teacher and without payments to the server.

    References
    ----------
    X. Wang, N. Cheng, L. Ma, R. Sun, R. Chai, N. Lu, "Digital twin-assisted knowledge distillation framework for
    heterogeneous federated learning", (6)-(17).
    """

    waiting: bool = True

    table: ClassVar[str] = "dtkd"
    needs_all: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.waiting, bool):
            raise OptionError(f"waiting: expected true or false, got {self.waiting!r}")

    def planner(self, policy: Any, work: Work, wire: Wire, bits_per_parameter: float | None) -> Planner:
        """Solve DT-KD's problem with the models that users have; see :meth:`Radio.planner`."""
        if isinstance(policy, Allocation):
            raise OptionError(
                "allocator: radio twins takes a function as its policy: policy=(problem, rng) -> (models, places)"
            )
        if bits_per_parameter is not None:
            raise OptionError(
                "bits_per_parameter: radio twins takes sizes from the scenario's catalogue: change them there, "
                "or leave out"
            )
        samples = work.samples
        if wire.numbers == (0, 0):
            raise OptionError("radio twins: this scheme sends nothing: take radio silent")
        alike = "weights" in wire.up and "weights" in wire.down
        solved: list[DistillationSolution] = []

        def plan(devices: Devices, rng: np.random.Generator) -> TwinPlan:
            posed = pose(devices, wire)
            if alike:
                problem, own = posed.fix(trains_locally=np.ones(len(samples), np.int64)), policy
                solution = _alike(problem, own, rng)
            else:
                problem = posed if work.kinds is None else posed.fix(model=work.kinds)
                if not (solved and not callable(policy) and solved[0].problem == problem):
                    fixed = "optimal" if work.kinds is not None and not callable(policy) else policy
                    solved[:] = [solve(problem, fixed, rng)]
                solution = solved[0]
            epochs = np.ones(len(samples), np.int64)
            if not self.waiting:
                epochs = np.floor(solution.delay_s.max() / solution.delay_s * (1 + 1e-12)).astype(np.int64)
            theta, labels = _bits(solution, wire)
            prices = Prices(whole={"weights": float(theta.mean()), "outputs": float(labels.mean())})
            return TwinPlan(devices, samples * epochs, prices.payload(wire), prices, solution, epochs, wire)

        return plan

    def deliver(self, bits: float, devices: Devices, rng: np.random.Generator) -> Delivery:
        """Broadcast over the whole band, until the user with the worst channel has it; see :meth:`Radio.deliver`."""
        problem = cast(DistillationProblem, devices.problem("dtkd"))
        rates = float(problem.bandwidth_hz) * np.log2(1.0 + problem.full_band_snr)
        return Delivery(np.ones(rates.shape, np.bool_), bits / float(rates.min()))

    def transmit(self, payload: Payload, plan: Any, rng: np.random.Generator) -> TwinSent:
        """Let an epoch pass; see :meth:`Radio.transmit`. The bits are those of the plan, user by user."""
        solution, epochs = plan.solution, plan.epochs
        problem, local = solution.problem, solution.trains_locally
        theta, labels = _bits(solution, plan.wire)
        cycles, server = problem.catalogue.cycles[solution.model], solution.server_cpu_frequency_hz
        rate = solution.bandwidth_hz * spectral_efficiency(problem, solution.bandwidth_hz)
        teacher_s = _over(np.full(len(epochs), float(problem.teacher_cycles)), server)
        here = np.where(local, cycles / problem.local_cpu_frequency_hz, 0.0)
        there = _over(np.where(local, 0.0, cycles), server)
        up = np.where(local, theta, 0.0)
        down = labels + (theta if "weights" in plan.wire.down else np.where(local, 0.0, theta))
        upload, download = _over(up, rate) * epochs, _over(down, rate) * epochs
        compute = here * epochs
        everybody = np.ones(len(epochs), np.bool_)
        cost = solution.delay_cost + solution.cpu_cost + solution.bandwidth_cost
        return TwinSent(
            arrived=everybody,
            received=everybody,
            seconds=float(solution.delay_s.max()),
            uplink_bits=float((up * epochs).mean()),
            downlink_bits=float((down * epochs).mean()),
            compute_time_s=compute,
            upload_time_s=upload,
            download_time_s=download,
            update_time_s=(teacher_s + there) * epochs,
            compute_energy_j=np.where(local, compute_energy(plan.devices, compute), 0.0),
            upload_energy_j=np.asarray(problem.transmit_power_w * upload),
            teacher_time_s=teacher_s * epochs,
            student_time_s=(here + there) * epochs,
            label_time_s=_over(labels, rate) * epochs,
            model_time_s=_over(up + down - labels, rate) * epochs,
            user_uplink_bits=up * epochs,
            user_downlink_bits=down * epochs,
            user_server_cycles=solution.server_cycles * epochs,
            user_cost=cost,
        )


def pose(devices: Devices, wire: Wire) -> DistillationProblem:
    """Return DT-KD's problem for what a scheme sends.

    Parameters
    ----------
    devices : Devices
        With a ``[dtkd]`` table in their scenario.
    wire : Wire
        Without outputs from the server there are no labels to compute and to send; with weights both ways parameters
        are charged twice.

    Returns
    -------
    DistillationProblem
        Models and places free.
    """
    problem = cast(DistillationProblem, devices.problem("dtkd"))
    if "outputs" in wire.down:
        return problem
    changes: dict[str, Any] = {"teacher_cycles": 0.0, "label_bits": 0.0}
    if "weights" in wire.up and "weights" in wire.down:
        known = problem.catalogue.to_dict()
        changes["catalogue"] = {**known, "parameter_bits": [2 * bits for bits in known["parameter_bits"]]}
    return cast(DistillationProblem, problem.replace(**changes))


def solve(problem: DistillationProblem, policy: Any, rng: np.random.Generator) -> DistillationSolution:
    """Choose models and places, with the best shares of server and band.

    Parameters
    ----------
    problem : DistillationProblem
        Whose models may be fixed already.
    policy : str or callable
        "optimal": proven. "fl-min", "fl-max": the model of fewest, of most cycles for everybody. "q-learning": the
        paper's. The name of a model of the catalogue: this one for everybody. Or a function
        ``(problem, rng) -> (models, places)``.
    rng : numpy.random.Generator
        For policies that draw.

    Returns
    -------
    DistillationSolution
        Certified for these choices.

    Raises
    ------
    OptionError
        If there is no such policy.
    SolveError
        If the choices miss a deadline.
    """
    if callable(policy):
        models, places = policy(problem, rng)
        return problem.fix(model=models, trains_locally=places).solve()
    names = problem.catalogue.names
    if policy in names:
        return problem.fix(model=np.full(problem.sizes["device"], names.index(policy))).solve()
    method = choose(
        "policy", policy, METHODS, f"a model of the catalogue ({', '.join(names)}), or a function"
    )
    return problem.solve(method)


def _alike(problem: DistillationProblem, policy: Any, rng: np.random.Generator) -> DistillationSolution:
    """Choose one model for everybody: by a policy that says so, or the one with the best objective."""
    if policy != "optimal":
        solution = solve(problem, policy, rng)
        if (solution.model != solution.model[0]).any():
            raise ProblemError(
                f"policy {label(policy)}: chose several models, and this scheme averages one: take fl-min, "
                "fl-max or the name of a model"
            )
        return solution
    users = problem.sizes["device"]
    solutions = [problem.fix(model=np.full(users, m)).solve() for m in range(len(problem.catalogue))]
    return min(solutions, key=lambda solution: float(solution.objective))


def _bits(solution: DistillationSolution, wire: Wire) -> tuple[Floats, Floats]:
    """Return the bits of each user's parameters, one way, and of the outputs that it hears."""
    problem = solution.problem
    theta = problem.catalogue.parameter_bits[solution.model]
    labels = np.where(solution.trains_locally, float(problem.label_bits), 0.0)
    return (theta / 2 if "weights" in wire.down else theta), labels


def _over(amount: Floats, rate: Floats) -> Floats:
    """Divide, where there is anything to divide."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(amount > 0, amount / rate, 0.0))
