"""Floor 4: the composition root of `jitsu serve`."""
