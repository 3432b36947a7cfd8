"""What the planning of rounds returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from radioopt.base.certify import certify
from radioopt.base.judge import Limit
from radioopt.base.options import SolveOptions
from radioopt.base.pictures import no_path
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Quantity, quantity, unrestricted
from radioopt.base.solution import Solution
from radioopt.base.status import Status
from radioopt.mix2fld.plan import instances, laws, plans
from radioopt.mix2fld.problem import RoundPlanProblem

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class RoundPlanSolution(Solution):
    """The plan of least expected time to convergence.

    Attributes
    ----------
    num_channels, max_slots, seed_samples : int or ndarray of int64, shape (...)
        Bands, slots that either way may take, seed samples per device; 0 where no candidate is feasible.
    num_rounds : float or ndarray, shape (...)
        Rounds expected.
    participation, first_participation : float or ndarray, shape (...)
        Expected share of devices in a round, and of devices whose samples arrive.
    first_round_s, round_s : float or ndarray, shape (...)
        Expected time of the first and of every later round [s].
    uplink_outage, first_uplink_outage, downlink_outage : ndarray, shape (..., K)
        Probabilities that a device's upload, its first one and its download are late.
    """

    num_rounds: Quantity = quantity("1", unrestricted, PER_INSTANCE, "rounds expected")
    participation: Quantity = quantity("1", unrestricted, PER_INSTANCE, "share of devices in a round")
    first_participation: Quantity = quantity("1", unrestricted, PER_INSTANCE, "share whose samples arrive")
    first_round_s: Quantity = quantity("s", unrestricted, PER_INSTANCE, "time of the first round")
    round_s: Quantity = quantity("s", unrestricted, PER_INSTANCE, "time of a later round")
    num_channels: Quantity = quantity("1", unrestricted, PER_INSTANCE, "bands", dtype=np.int64)
    max_slots: Quantity = quantity("1", unrestricted, PER_INSTANCE, "slots at most", dtype=np.int64)
    seed_samples: Quantity = quantity("1", unrestricted, PER_INSTANCE, "seed samples", dtype=np.int64)
    uplink_outage: Quantity = quantity("1", unrestricted, DEVICE, "outage of an upload")
    first_uplink_outage: Quantity = quantity("1", unrestricted, DEVICE, "outage of the first upload")
    downlink_outage: Quantity = quantity("1", unrestricted, DEVICE, "outage of a download")

    decisions: ClassVar[tuple[str, ...]] = ("num_channels", "max_slots", "seed_samples")
    objective_name: ClassVar[str] = "expected time to convergence"
    objective_unit: ClassVar[str] = "s"
    problem: RoundPlanProblem

    @classmethod
    def best(cls, problem: RoundPlanProblem, method: str, options: SolveOptions) -> Self:
        """Choose the best of all candidates, which is its own bound.

        Parameters
        ----------
        problem : RoundPlanProblem
            One instance or a batch.
        method : str
            The method that asks.
        options : SolveOptions
            Tolerances.

        Returns
        -------
        RoundPlanSolution
            Infeasible where no candidate has enough devices take part; failed where those that have take longer than
            float64 can say.
        """
        shape = problem.batch_shape
        names = [name for name, declared in cls.quantities.items() if declared.dtype.kind == "f"]
        found = {
            name: np.full((*shape, *(problem.sizes[axis] for axis in cls.quantities[name].axes)), np.nan)
            for name in names
        }
        found |= {name: np.zeros(shape, np.int64) for name in cls.decisions}
        none = np.zeros(shape, np.bool_)
        for index, one in instances(problem):
            every = plans(one)
            allowed = every.feasible(one, options.feasibility_tol)
            time = np.where(allowed & np.isfinite(every.time_s), every.time_s, np.inf)
            found["iterations"] = np.full(shape, time.size)
            c, m, s = at = np.unravel_index(time.argmin(), time.shape)
            if time[at] == np.inf:
                none[index] = not allowed.any()
                continue
            found["objective"][index] = time[at]
            for name in ("num_rounds", "participation", "first_participation", "first_round_s", "round_s"):
                found[name][index] = getattr(every, name)[at]
            found["num_channels"][index] = one.num_channels[c]
            found["max_slots"][index] = limit = one.max_slots[m]
            found["seed_samples"][index] = one.seed_samples[s]
            up, first, down = laws(one)
            found["uplink_outage"][index] = np.asarray(up.outage(limit))[c]
            found["first_uplink_outage"][index] = np.asarray(first.outage(limit))[c, s]
            found["downlink_outage"][index] = down.outage(limit)
        found["bound"] = found["objective"]
        found["gap"], status = certify(
            found["objective"], found["bound"], np.zeros(shape), sense=problem.sense, options=options
        )
        found["status_code"] = np.where(none, int(Status.INFEASIBLE), status)
        blocks = {
            key: np.stack([found[q.name] for q in declared]).astype(key[1])
            for key, declared in cls._layout.blocks.items()
        }
        return cls(problem, method, blocks)

    @np.errstate(all="ignore")
    def follows(self) -> dict[str, Any]:
        """Return rounds, shares, times and outages of the plan; NaN where it is no candidate."""
        names = ("num_rounds", "participation", "first_participation", "first_round_s", "round_s")
        outages = ("uplink_outage", "first_uplink_outage", "downlink_outage")
        found = {name: np.full(getattr(self, name).shape, np.nan) for name in (*names, *outages)}
        for index, one in instances(self.problem):
            at = [
                np.flatnonzero(getattr(one, name) == getattr(self, name)[index])
                for name in ("num_channels", "max_slots", "seed_samples")
            ]
            if not all(map(len, at)):
                continue
            c, m, s = (int(place[0]) for place in at)
            every, (up, first, down) = plans(one), laws(one)
            for name in names:
                found[name][index] = getattr(every, name)[c, m, s]
            limit = one.max_slots[m]
            found["uplink_outage"][index] = np.asarray(up.outage(limit))[c]
            found["first_uplink_outage"][index] = np.asarray(first.outage(limit))[c, s]
            found["downlink_outage"][index] = down.outage(limit)
        return found

    def limits(self) -> list[Limit]:
        """Return the candidates, and the least share of devices."""
        problem = self.problem
        found = [
            Limit(
                name,
                (getattr(problem, name) == getattr(self, name)).any(),
                choices=f"one of the candidates {', '.join(map(str, getattr(problem, name)))}",
            )
            for name in self.decisions
        ]
        if all(not limit.broken(0.0) for limit in found):
            least = problem.min_participation
            found += [
                Limit(name, getattr(self, name), least) for name in ("participation", "first_participation")
            ]
        return found

    def candidates(self) -> pd.DataFrame:
        """Tabulate all plans of a single instance.

        Returns
        -------
        pandas.DataFrame
            A row per plan with its expected time, rounds, shares of devices and time per round, and whether enough
            devices take part; the best feasible ones first.
        """
        import pandas as pd

        problem = self.problem
        every = plans(problem)
        axes = {name: getattr(problem, name).tolist() for name in self.decisions}
        index = pd.MultiIndex.from_product(list(axes.values()), names=list(axes))
        frame = pd.DataFrame({name: np.ravel(value) for name, value in every._asdict().items()}, index=index)
        frame["feasible"] = np.ravel(every.feasible(problem))
        return frame.reset_index().sort_values(["feasible", "time_s"], ascending=[False, True], kind="stable")

    def why_infeasible(self) -> str:
        """Name the largest share of devices that takes part, and the plan that has it."""
        every, problem = plans(self.problem), self.problem
        least = np.minimum(every.participation, every.first_participation)
        _, first, down = laws(problem)
        full = max(np.max(down.successes), np.min(first.successes))
        if full > problem.max_slots[-1]:
            return f"max_slots: expected at least {full:.0f}, got at most {problem.max_slots[-1]}"
        c, m, s = np.unravel_index(least.argmax(), least.shape)
        return (
            f"min_participation: expected a share of devices <= {least[c, m, s]:.9g}, which num_channels = "
            f"{problem.num_channels[c]}, max_slots = {problem.max_slots[m]}, seed_samples = {problem.seed_samples[s]} "
            f"reach, got {float(problem.min_participation):.9g}; more slots or channels, or fewer samples, raise it"
        )

    def plot(self, *path: Any, **options: Any) -> Figure:
        """Draw time and participation of all plans; see :func:`radioopt.mix2fld.plot.plot_plans`."""
        no_path(path)
        from radioopt.mix2fld.plot import plot_plans

        return plot_plans(self, **options)
