"""What a node runs."""

from learning.flower.grid import client_app

app = client_app()
