"""Floor 4: a stage on which the real daemon can be watched: private namespaces, services, a measuring client."""
