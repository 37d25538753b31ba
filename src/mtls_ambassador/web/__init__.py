"""HTTP the gateway itself answers: decisions, health, metrics."""
