"""Problems of ordinary scales to us and to a second solver: it has no point that denies what we claim."""

from __future__ import annotations

from typing import Any

import numpy as np

from radioopt import RadioOptError, Status
from validation.fuzz import draw
from validation.fuzz.solving import FAMILIES, QUICK, DeniedError
from validation.reference import NoAnswerError, installed, references

#: who is asked: of the references that find the optimum of a whole problem in milliseconds, another program than ours
PEERS = {
    "feel": "cvxpy",
    "fimi": "ipopt",
    "dtkd": "cvxpy-scip",
    "d2d": "enumeration",
    "mix2fld": "markov-chain",
}
#: devices, decades by which numbers are off, seconds
MOST, DECADES, LIMIT_S = 3, (0.0, 0.5, 1.0), 5.0
#: slots and seed samples, which a peer counts one by one
MOST_COUNTED = 5_000
#: what an optimum may be beaten by, relative to its size; a generic solver's own digits do not matter, as its point is
#: repaired and measured by ours
BEATEN = 1e-7


def trial(seed: int) -> str:
    """Draw a problem, solve it by each exact method and by a peer, and compare.

    Parameters
    ----------
    seed : int
        The same seed makes the same trial.

    Returns
    -------
    str
        What came of it, with the family.

    Raises
    ------
    DeniedError
        If the peer has a feasible point better than an optimum or a bound, or where there should be none.
    """
    rng = np.random.default_rng([seed, 5])
    family = str(rng.choice(FAMILIES))
    try:
        problem: Any = draw.problem(family, rng, most=MOST, batch=False, decades=float(rng.choice(DECADES)))
    except RadioOptError:
        return f"{family} refused"
    plain = family == "dtkd" and problem.is_plain  # closed forms
    peer = installed(references(family)["enumeration" if plain else PEERS[family]])
    if family == "mix2fld" and max(problem.max_slots.max(), problem.seed_samples.max()) > MOST_COUNTED:
        return "mix2fld of too many slots or samples"
    try:
        answer = peer.solve(problem, LIMIT_S)
    except NoAnswerError:
        return f"{family} without an answer of {peer.name}"
    theirs = problem.certificate(**problem.repair(**answer.decisions))
    if not theirs.residual <= 1e-9:
        return f"{family} without a feasible point of {peer.name}"
    sign, said = 1.0 if problem.sense == "min" else -1.0, set()
    for name, method in problem.methods.items():
        if not method.exact:
            continue
        ours = problem.solve(name, throw=False, **QUICK.get((family, name), {}))
        words = f"{name} is {ours.status.name} with {ours.objective!r}, {peer.name} has {theirs.objective!r}"
        if ours.status is Status.INFEASIBLE:
            raise DeniedError(words)
        room = BEATEN * max(float(problem.scale), abs(theirs.objective))
        least = ours.objective if ours.status is Status.OPTIMAL else ours.bound
        if sign * (least - theirs.objective) > room:
            raise DeniedError(words)
        said.add(ours.status.name)
    return f"{family} {', '.join(sorted(said))}"
