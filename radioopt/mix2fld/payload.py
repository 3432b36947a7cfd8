"""What devices and server send each other in a round of FL, FD and FLD."""

from __future__ import annotations

from dataclasses import dataclass

from radioopt.base.quantity import Domain, at_least, nonnegative, positive
from radioopt.numerics.arrays import check_number

_COUNT, _LABELS = at_least(1), at_least(2)


@dataclass(frozen=True, kw_only=True)
class Payload:
    """Sizes of what one device sends and receives per round.

    Parameters
    ----------
    uplink_bits : float
        Bits from a device in every round > 0.
    downlink_bits : float
        Bits to every device in every round > 0, multicast.
    seed_bits : float, default 0.0
        Bits from a device in the first round beside that, >= 0: its seed samples.

    Raises
    ------
    ProblemError
        If a size is not a finite number, or outside its domain.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Sections II-C and III-A. Its "42.4x" smaller uplink is one seed sample in every round; the formulas printed give
    6.1x in the first round with 10 samples, 1.27x with 50, and 125x in later ones.

    Examples
    --------
    >>> fl = Payload.fl(num_weights=12_544)
    >>> fld = Payload.fld(num_weights=12_544, num_labels=10, seed_samples=10, sample_bits=8 * 28 * 28)
    >>> round(fl.uplink_bits / fld.first_uplink_bits, 2), round(fl.uplink_bits / fld.uplink_bits, 2)
    (6.09, 125.44)
    """

    uplink_bits: float
    downlink_bits: float
    seed_bits: float = 0.0

    def __post_init__(self) -> None:
        domains = {"uplink_bits": positive, "downlink_bits": positive, "seed_bits": nonnegative}
        self.__dict__.update(_numbers("Payload", domains, **self.__dict__))

    @property
    def first_uplink_bits(self) -> float:
        """Bits from a device in the first round."""
        return self.uplink_bits + self.seed_bits

    @classmethod
    def fl(cls, *, num_weights: float, bits_per_weight: float = 32.0) -> Payload:
        """Federated learning: the model's weights both ways.

        Parameters
        ----------
        num_weights : float
            Weights of the model, N_mod >= 1.
        bits_per_weight : float, default 32.0
            Their size b_mod in bit, > 0.

        Returns
        -------
        Payload
            b_mod N_mod up and down.

        Raises
        ------
        ProblemError
            If a number is outside its domain.
        """
        given = _numbers(
            "Payload.fl",
            {"num_weights": _COUNT, "bits_per_weight": positive},
            num_weights=num_weights,
            bits_per_weight=bits_per_weight,
        )
        size = given["num_weights"] * given["bits_per_weight"]
        return cls(uplink_bits=size, downlink_bits=size)

    @classmethod
    def fd(cls, *, num_labels: float, bits_per_output: float = 32.0) -> Payload:
        """Federated distillation: the mean output for each label both ways.

        Parameters
        ----------
        num_labels : float
            Labels, N_L >= 2.
        bits_per_output : float, default 32.0
            Size b_out of an element of an output in bit, > 0.

        Returns
        -------
        Payload
            b_out N_L^2 up and down.

        Raises
        ------
        ProblemError
            If a number is outside its domain.
        """
        given = _numbers(
            "Payload.fd",
            {"num_labels": _LABELS, "bits_per_output": positive},
            num_labels=num_labels,
            bits_per_output=bits_per_output,
        )
        size = given["bits_per_output"] * given["num_labels"] ** 2
        return cls(uplink_bits=size, downlink_bits=size)

    @classmethod
    def fld(
        cls,
        *,
        num_weights: float,
        num_labels: float,
        seed_samples: float,
        sample_bits: float,
        label_bits: float = 0.0,
        bits_per_weight: float = 32.0,
        bits_per_output: float = 32.0,
    ) -> Payload:
        """Federated learning after distillation (MixFLD and Mix2FLD too): outputs up, weights down, seed samples first.

        Parameters
        ----------
        num_weights : float
            Weights of the model, N_mod >= 1.
        num_labels : float
            Labels, N_L >= 2.
        seed_samples : float
            Samples, mixed or not, that a device uploads in the first round, N_S >= 0.
        sample_bits : float
            Size b_s of a sample in bit, > 0.
        label_bits : float, default 0.0
            Size of a sample's label in bit, >= 0; the paper does not charge it.
        bits_per_weight : float, default 32.0
            Size b_mod of a weight in bit, > 0.
        bits_per_output : float, default 32.0
            Size b_out of an element of an output in bit, > 0.

        Returns
        -------
        Payload
            b_out N_L^2 up, and N_S samples in the first round; b_mod N_mod down.

        Raises
        ------
        ProblemError
            If a number is outside its domain.
        """
        given = _numbers(
            "Payload.fld",
            {"seed_samples": nonnegative, "sample_bits": positive, "label_bits": nonnegative},
            seed_samples=seed_samples,
            sample_bits=sample_bits,
            label_bits=label_bits,
        )
        return cls(
            uplink_bits=cls.fd(num_labels=num_labels, bits_per_output=bits_per_output).uplink_bits,
            downlink_bits=cls.fl(num_weights=num_weights, bits_per_weight=bits_per_weight).downlink_bits,
            seed_bits=given["seed_samples"] * (given["sample_bits"] + given["label_bits"]),
        )


def _numbers(owner: str, domains: dict[str, Domain], **given: float) -> dict[str, float]:
    return {name: check_number(owner, name, value, domains[name]) for name, value in given.items()}
