"""Devices as data: some of them, a table that is changed and taken back, and what more of everything is worth."""

import pandas as pd

import radioopt as ro

names = [f"phone-{i}" for i in range(8)] + [f"laptop-{i}" for i in range(4)]
scenario = ro.Scenario.load("feel-cpu", {"devices.names": names})
devices = scenario.draw(seed=1)

fast = devices[devices.cpu_frequency_hz > 1e9]  # by mask; by position or name too
solution = fast.problem("feel").solve()
print(solution.to_frame()[["batchsize", "uplink_slot_s"]].round(4).head(3))

devices.to_frame().to_csv("devices_as_data.csv")
table = pd.read_csv("devices_as_data.csv", index_col="device")
table.loc["phone-3", "cpu_frequency_hz"] *= 2
upgraded = scenario.replace(devices=table).draw().problem("feel").solve()
before = devices.problem("feel").solve()
print(f"a faster phone-3: {upgraded.objective / before.objective - 1:+.2%} learning efficiency")

print("\nwhat more of everything is worth")
for parameter, row in before.sensitivity().table().head(4).iterrows():
    print(f"  {parameter}: {row.says}")
