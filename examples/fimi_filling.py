"""Fill the devices with synthetic samples and train, beside what the filling is made of.

A generator is fitted to public samples; FIMI's allocation says how many samples each device gets, and the classes
that it lacks come first. Real public samples in their place, and a device's own samples twice, show what of the gain
is the generator's. A generator of one's own is any object with ``fit`` and ``sample``.
"""

import numpy as np

import learning


class Blurred:
    """Public samples, blurred: a generator in three lines."""

    def fit(self, samples, rng):
        """Remember them."""
        self.known = samples
        return self

    def sample(self, labels, rng):
        """Draw one of each label and move it by half a pixel."""
        rows = [rng.choice(np.flatnonzero(self.known.train_y == label)) for label in labels]
        x = self.known.train_x[rows]
        return (x + np.roll(x, 1, axis=-1)) / 2


options = {
    "scheme": "fedavg",
    "radio": "fdma",
    "public": 600,
    "partition": "dirichlet:0.4,32",
    "rounds": 20,
    "learning_rate": 0.3,
    "seed": 3,
}
cases = {
    "nothing added": [],
    "own samples repeated": [learning.RepeatOwn()],
    "diffusion": [learning.Fill(generator="diffusion:steps=600")],
    "a generator of one's own": [learning.Fill(generator=Blurred())],
    "real public samples": [learning.Fill(generator="ready-made")],
}
for name, before in cases.items():
    result = learning.train("fimi", before=before, **options)
    joules = result.to_frame()["energy_j"].iloc[1]
    print(
        f"{name:26} {result.task.sizes.sum() - 640:4} samples, {joules:.1f} J a round, {result.ledger.headline}"
    )
