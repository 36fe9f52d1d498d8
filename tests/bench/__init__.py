"""Measurements: each prints its ratio against a floor or a peer of the same run. `make bench` runs them all."""
