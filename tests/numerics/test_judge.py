"""The verdict for kernels is that of certify()."""

import math

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from radioopt.base.certify import certify
from radioopt.base.options import SolveOptions
from radioopt.base.status import Status
from radioopt.numerics import judge

NUMBERS = st.one_of(st.floats(), st.sampled_from([0.0, 1.0, 1.0 + 1e-9, 1e-9, math.inf, -math.inf, math.nan]))


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["min", "max"]), st.sampled_from([0.0, 1.0]))
@example(0.0, 1.0, 0.0, "min", 0.0)
@example(1e308, -1e308, 0.0, "min", 0.0)
@example(1.0, 1.0, 1e-9, "max", 0.0)
@example(1.0, 1.0, 1e-7, "min", 0.0)  # at the tolerance
@example(1e-6, 0.0, 0.0, "min", 1.0)
@example(0.0, 1e-7, 0.0, "min", 1.0)
def test_the_same_verdict_as_certify(objective, bound, residual, sense, scale):
    options = SolveOptions(gap_tol=1e-6, feasibility_tol=1e-7)
    sign = 1.0 if sense == "min" else -1.0
    verdict = judge.judge(objective, bound, residual, sign, scale, options.feasibility_tol, options.gap_tol)
    expected = certify(objective, bound, residual, sense=sense, scale=scale, options=options)
    np.testing.assert_array_equal(verdict, [float(x) for x in expected])


def test_the_codes_are_those_of_status():
    assert {status.name: getattr(judge, status.name) for status in Status} == {
        s.name: s.value for s in Status
    }
