"""Tests by what they need: unit (nothing), peers (foreign programs), linux (root, namespaces), vm (QEMU, guests)."""
