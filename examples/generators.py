"""Three generators fitted on the same public digits: how useful their samples are, and how much they copy."""

from pathlib import Path
from tempfile import mkdtemp

import pandas as pd

import learning
from learning.generators import measure

PUBLIC, SEED = 600, 0

streams = learning.Streams(SEED)
data = learning.digits(streams.at("data"))
public = data.set_aside(PUBLIC, streams.at("public"))

# The public samples themselves, drawn by "ready-made", are what the others are to be compared with.
rows = {}
for generator in (learning.Diffusion(steps=600), learning.Gan(steps=600), learning.ReadyMade()):
    fitted = generator.fit(public, streams.at("generator"))
    quality = measure(fitted, public, data, streams.at("samples"))
    rows[generator.name] = quality.figures()
    picture = Path(mkdtemp()) / f"{generator.name}.png"
    quality.plot().savefig(picture)
    print(f"samples of {generator.name} beside the nearest public ones: {picture}")
print(pd.DataFrame(rows).T.to_string(float_format="{:.3f}".format))
