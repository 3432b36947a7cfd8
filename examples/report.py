"""One HTML page on an allocation, with the answers of generic solvers, and one on two training runs."""

import learning
import radioopt as ro
import validation

scenario = ro.Scenario.load("feel-cpu", {"devices.count": 6})
solution = scenario.draw(seed=1).problem("feel").solve()
checked = validation.cross_check(solution.problem, references=["cvxpy"])
page = ro.report("allocation.html", solution, scenario=scenario, checked=checked)
print(f"{page}: {page.stat().st_size / 1000:.0f} kB, opens offline")

policies, until = ["optimal", "full"], {"target_accuracy": 0.6, "seconds": 3000.0}
runs = learning.compare(scenario, policies=policies, seeds=2, model="softmax", **until)
page = ro.report(
    "runs.html", runs
)  # saved runs: learning.compare_runs(folders), or radioopt report runs/a runs/b
print(f"{page}: {page.stat().st_size / 1000:.0f} kB")
