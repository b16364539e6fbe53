"""Fleets of simulated engines on a real RabbitMQ and Redis; see __main__."""
