"""MiniCache: content caches small enough to be born on demand.

Its rooms (node, lifecycle, fleet, agent) arrive with their issues.
"""
