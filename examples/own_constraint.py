"""One more constraint: the model of a problem in CVXPY and in Pyomo, added to, solved and judged."""

import radioopt as ro
import validation

problem = ro.Scenario.load("feel-cpu", {"devices.count": 6}).draw(seed=1).problem("feel")
about = ro.SolveOptions(feasibility_tol=1e-7, gap_tol=1e-6)  # as exact as the generic solvers are

program = validation.model(problem, "cvxpy")
print("constraints:", ", ".join(program.constraints))
slots = program.variables["uplink_slot_s"]  # in seconds
print("as it is:", problem.judge(about, **program.solve()).status)
for least_ms in (1.0, 1.2, 1.4, 1.6):
    fair = problem.judge(about, **program.solve(slots >= least_ms / 1e3))
    print(f"nobody below {least_ms} ms: costs {fair.gap:.3%} of the learning efficiency")

model = validation.model(
    problem, "pyomo"
)  # model.model is a ConcreteModel: everything of Pyomo's may be added
batch = model.variables["batchsize"]
first = problem.judge(about, **model.solve(batch[0] == batch[1], batch[1] == batch[2]))
print("three equal batches:", first.batchsize.round(2), f"cost {first.gap:.3%}")
