"""D2D: from which device each device receives data before training (Wagle et al.)."""

from radioopt.d2d import baselines as _baselines  # noqa: F401
from radioopt.d2d import solver as _solver  # noqa: F401 (registers the methods, the default one first)
from radioopt.d2d.certificate import Exchange, Rewards, exchange, rewards
from radioopt.d2d.clusters import ClusterGraphProblem, ClusterGraphSolution
from radioopt.d2d.problem import GraphProblem
from radioopt.d2d.q_learning import Training, train
from radioopt.d2d.sequence import Discovery, discover
from radioopt.d2d.solution import GraphSolution
from radioopt.d2d.sparse import SparseGraphProblem
from radioopt.d2d.trust import block_trust, column_sparse_trust, random_trust, row_sparse_trust
from radioopt.d2d.wireless import (
    EnergyModel,
    cluster_message_bits,
    label_message_bits,
    mean_distance_m,
    outage_probability,
    reliable_clusters,
)

__all__ = [
    "ClusterGraphProblem",
    "ClusterGraphSolution",
    "Discovery",
    "EnergyModel",
    "Exchange",
    "GraphProblem",
    "GraphSolution",
    "Rewards",
    "SparseGraphProblem",
    "Training",
    "block_trust",
    "cluster_message_bits",
    "column_sparse_trust",
    "discover",
    "exchange",
    "label_message_bits",
    "mean_distance_m",
    "outage_probability",
    "random_trust",
    "reliable_clusters",
    "rewards",
    "row_sparse_trust",
    "train",
]
