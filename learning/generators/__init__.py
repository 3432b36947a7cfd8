"""Class-conditional generators of samples, fitted on public samples only."""

from learning.generators.base import Generator as Generator
from learning.generators.base import Learner as Learner
from learning.generators.base import is_fitted as is_fitted
from learning.generators.base import refuse_held as refuse_held
from learning.generators.diffusion import Diffusion as Diffusion
from learning.generators.formulas import cosine_alpha_bar as cosine_alpha_bar
from learning.generators.formulas import ddim_step as ddim_step
from learning.generators.formulas import ddim_steps as ddim_steps
from learning.generators.formulas import guided as guided
from learning.generators.gan import Gan as Gan
from learning.generators.quality import Quality as Quality
from learning.generators.quality import measure as measure
from learning.generators.ready import ReadyMade as ReadyMade
from learning.generators.saved import load as load
from learning.generators.saved import make as make
