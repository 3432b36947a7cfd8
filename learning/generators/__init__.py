"""Class-conditional generators of samples, fitted on public samples only."""

from learning.generators.base import (
    Generator as Generator,
)
from learning.generators.base import (
    Learner as Learner,
)
from learning.generators.base import (
    is_fitted as is_fitted,
)
from learning.generators.base import (
    make as make,
)
from learning.generators.base import (
    refuse_held as refuse_held,
)
from learning.generators.ready import ReadyMade as ReadyMade
from learning.generators.saved import load as load
