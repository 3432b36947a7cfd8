"""A Flower project of one's own, in the form of Flower's PyTorch quickstart, with allocations from radioopt.

The lines marked (1), (2) and (3) are all that radioopt adds: a certified batch size for every node in every round.

    python examples/flower/quickstart.py
"""

import warnings

import torch
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.app import Message as Reply
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from sklearn.datasets import load_digits
from torch import nn

from radioopt.flower import AllocatingStrategy  # (1)

NODES, ROUNDS = 4, 3
client, server = ClientApp(), ServerApp()


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def load_data(part, parts):
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x[part::parts] / 16, dtype=torch.float32), torch.tensor(y[part::parts])


@client.train()
def train(message, context):
    torch.set_num_threads(1)  # nodes share this machine
    model = make_model()
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    x, y = load_data(context.node_config["partition-id"], context.node_config["num-partitions"])
    batchsize = message.content["config"]["batchsize"]  # (3)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for rows in torch.randperm(len(x)).split(batchsize):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimiser.step()
    metrics = MetricRecord({"loss": loss.item(), "batchsize": batchsize, "num-examples": len(x)})
    content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
    return Reply(content, reply_to=message)


@server.main()
def main(grid, context):
    strategy = FedAvg(fraction_train=1.0, fraction_evaluate=0.0, min_available_nodes=NODES)
    strategy = AllocatingStrategy(strategy, "feel-cpu")  # (2)
    arrays = ArrayRecord(make_model().state_dict())
    result = strategy.start(grid=grid, initial_arrays=arrays, num_rounds=ROUNDS, train_config=ConfigRecord())
    for round, metrics in result.train_metrics_clientapp.items():
        print(f"round {round}: loss {metrics['loss']:.3f}, mean batch {metrics['batchsize']:.1f}")
    print(f"certified: {strategy.solution.status.name}, gap {strategy.solution.gap:.1e}")


if __name__ == "__main__":
    from flwr.simulation import run_simulation

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_simulation(server_app=server, client_app=client, num_supernodes=NODES)
