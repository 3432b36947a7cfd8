"""Every name that a user may write, and where its object is: the one list that all others are read from.

Reading it imports nothing: the command line, its help and the tests of the documentation take names from here, and
an object is imported when it is first looked up.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any


class Names(MutableMapping[str, Any]):
    """A table of names whose objects are imported when they are looked up.

    An object of one's own gets a name by assignment, ``learning.SCHEMES["mine"] = Mine``, in every process that is to
    know it.

    Parameters
    ----------
    homes : mapping of str to str
        ``"module:attribute"`` by name, in the order in which the names are listed.

    Examples
    --------
    >>> list(SCHEMES)[:2], SCHEMES["fedavg"].__name__
    (['feel', 'fedavg'], 'FedAvg')
    """

    def __init__(self, homes: Mapping[str, str]) -> None:
        self._homes: dict[str, Any] = dict(homes)

    def __getitem__(self, name: str) -> Any:
        """Return the object of a name, imported if need be."""
        found = self._homes[name]
        if not isinstance(found, str):
            return found
        module, _, attribute = found.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __setitem__(self, name: str, value: Any) -> None:
        """Give an object a name."""
        self._homes[name] = value

    def __delitem__(self, name: str) -> None:
        """Take a name out."""
        del self._homes[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._homes)

    def __len__(self) -> int:
        """Count the names."""
        return len(self._homes)

    def __repr__(self) -> str:
        return f"Names({', '.join(self)})"

    def name_of(self, value: object) -> str | None:
        """Return the name of a class or function, if it is in the table."""
        home = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"
        return next((name for name, known in self._homes.items() if known in (home, value)), None)


SCHEMES = Names(
    {
        "feel": "learning.schemes.fedsgd:FedSgd",
        "fedavg": "learning.schemes.fedavg:FedAvg",
        "fedprox": "learning.schemes.fedavg:FedProx",
        "scaffold": "learning.schemes.scaffold:Scaffold",
        "semi": "learning.schemes.semi:Semi",
        "sst": "learning.schemes.server:ServerSide",
        "central": "learning.schemes.server:Central",
        "individual": "learning.schemes.fedavg:Individual",
        "contrastive": "learning.schemes.contrastive:Contrastive",
        "decentralised": "learning.schemes.peers:Decentralised",
        "semi-decentralised": "learning.schemes.peers:SemiDecentralised",
        "fl": "learning.schemes.fedavg:Fl",
        "fd": "learning.schemes.distillation:Fd",
        "fld": "learning.schemes.distillation:Fld",
        "mixfld": "learning.schemes.mix2fld:MixFld",
        "mix2fld": "learning.schemes.mix2fld:Mix2Fld",
        "stu": "learning.schemes.students:Stu",
        "kd": "learning.schemes.students:Kd",
        "simkd": "learning.schemes.students:SimKd",
    }
)

DATASETS = Names(
    {
        "digits": "learning.data.sources:read_digits",
        "fashion-mnist": "learning.data.sources:read_fashion_mnist",
        "mnist": "learning.data.sources:read_mnist",
        "idx": "learning.data.sources:read_idx",
        "cifar10": "learning.data.sources:read_cifar10",
        "cifar100": "learning.data.sources:read_cifar100",
        "images": "learning.data.sources:read_images",
        "csv": "learning.data.sources:read_csv",
    }
)

PARTITIONS = Names(
    {
        "iid": "learning.data.partition:iid",
        "shards": "learning.data.partition:shards",
        "dirichlet": "learning.data.partition:dirichlet",
        "balanced": "learning.data.partition_counts:balanced",
        "rare-labels": "learning.data.partition_counts:rare_labels",
        "few-labels": "learning.data.partition_counts:few_labels",
        "disjoint-labels": "learning.data.partition_counts:disjoint_labels",
    }
)

MODELS = Names(
    {
        "softmax": "learning.models.build:softmax",
        "mlp": "learning.models.build:mlp",
        "cnn": "learning.models.build:cnn",
        "mix2fld-cnn": "learning.models.papers:mix2fld_cnn",
        "vgg9": "learning.models.papers:vgg9",
        "dense": "learning.models.students:dense",
        "dense-teacher": "learning.models.students:dense_teacher",
        "small-vgg": "learning.models.students:small_vgg",
        "small-resnet8": "learning.models.students:small_resnet8",
        "small-resnet8x2": "learning.models.students:small_resnet8x2",
        "small-resnet14x2": "learning.models.students:small_resnet14x2",
        "small-teacher": "learning.models.students:small_teacher",
        "vgg8": "learning.models.students:vgg8",
        "resnet8x4": "learning.models.students:resnet8x4",
        "resnet14x4": "learning.models.students:resnet14x4",
        "resnet26x4": "learning.models.students:resnet26x4",
        "resnet32x4": "learning.models.students:resnet32x4",
        "resnet32x4-group": "learning.models.students:resnet32x4_group",
    }
)

RADIOS = Names(
    {
        "tdma": "learning.radio.tdma:Tdma",
        "fading": "learning.radio.fading:Fading",
        "fdma": "learning.radio.fdma:Fdma",
        "silent": "learning.radio.silent:Silent",
        "twins": "learning.radio.twins:Twins",
        "d2d": "learning.radio.d2d:D2d",
        "d2d-server": "learning.radio.d2d:D2dServer",
    }
)

JUDGES = Names(
    {
        "global": "learning.judges:Global",
        "own": "learning.judges:Own",
        "average": "learning.judges:Average",
        "reference": "learning.judges:Reference",
        "linear": "learning.judges:Linear",
        "gradients": "learning.judges:Gradients",
        "users": "learning.judges:Users",
    }
)

#: batch sizes of FEEL's rounds
POLICIES = Names(
    {
        "optimal": "learning.radio.tdma:optimal",
        "online": "learning.radio.tdma:online",
        "full": "learning.radio.tdma:full",
        "random": "learning.radio.tdma:random",
        "entire": "learning.radio.tdma:entire",
    }
)

#: who takes part in a round
SELECTIONS = Names(
    {
        "uniform": "learning.radio.sampling:uniform",
        "channel": "learning.radio.sampling:by_channel",
        "data": "learning.radio.sampling:by_data",
        "oort": "learning.radio.sampling:oort",
    }
)

GENERATORS = Names(
    {
        "diffusion": "learning.generators.diffusion:Diffusion",
        "gan": "learning.generators.gan:Gan",
        "ready-made": "learning.generators.ready:ReadyMade",
    }
)

PREPARATIONS = Names(
    {
        "share-public": "learning.prepare.share:SharePublic",
        "fill": "learning.prepare.fill:Fill",
        "repeat-own": "learning.prepare.fill:RepeatOwn",
        "share-unlabelled": "learning.prepare.fill:ShareUnlabelled",
        "propagate-labels": "learning.prepare.propagate:PropagateLabels",
        "exchange": "learning.prepare.exchange:Exchange",
        "exchange-clusters": "learning.prepare.exchange:ExchangeClusters",
        "choose-students": "learning.prepare.students:ChooseStudents",
        "teach": "learning.prepare.students:Teach",
    }
)

LOGGERS = Names(
    {
        "tensorboard": "learning.runs.loggers:TensorBoard",
        "mlflow": "learning.runs.loggers:MlFlow",
        "print": "learning.runs.loggers:Printer",
    }
)
