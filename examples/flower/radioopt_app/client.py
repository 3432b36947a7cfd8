"""What a node runs."""

from learning.flower.trainer import client_app

app = client_app()
