"""Inverse design: which price of bandwidth and which deadline make a wanted allocation the optimal one.

A planner wants six tenths of the band used, and the last user's delay halved. Derivatives of the optimum give
the price and the deadline that do it in a few Newton steps, without a search.
"""

import numpy as np

from radioopt import Scenario

problem = Scenario.load("dtkd").draw(seed=3).problem("dtkd").replace(bandwidth_price_per_hz=1e-7)
best, users = problem.solve(), problem.sizes["device"]
problem = problem.fix(best.model, best.trains_locally)  # models and places stay
wanted = np.array([0.6 * float(problem.bandwidth_hz), 0.5 * float(best.delay_s[-1])])


def posed(price, deadline):
    """The problem with this price, and this deadline for the last user."""
    return problem.replace(
        bandwidth_price_per_hz=price, max_delay_s=[*[np.inf] * (users - 1), deadline], strict=None
    )


unknown = np.log([1e-7, 0.5 * best.delay_s[-1]])
for step in range(30):
    solution = posed(*np.exp(unknown)).solve()
    reached = np.array([solution.bandwidth_hz.sum(), solution.delay_s[-1]])
    miss = np.log(reached / wanted)
    print(f"step {step}: band used {reached[0] / 1e6:.4f} MHz, delay {reached[1]:.4f} s")
    if np.abs(miss).max() < 1e-10:
        break
    slopes = [solution.vjp({"bandwidth_hz": 1.0}), solution.vjp({"delay_s": np.eye(users)[-1]})]
    jacobian = [[s["bandwidth_price_per_hz"], s["max_delay_s"][-1]] for s in slopes] * np.exp(unknown)
    unknown -= np.clip(np.linalg.solve(jacobian / reached[:, None], miss), -0.7, 0.7)

print(f"price {np.exp(unknown[0]):.4g} per Hz and deadline {np.exp(unknown[1]):.4f} s make it optimal")
