"""What the server runs."""

from learning.flower.deployment import server_app

app = server_app()
