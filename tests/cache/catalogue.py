"""All tables in one."""

from tests.cache import (
    cases_answers,
    cases_conditions,
    cases_connections,
    cases_framing,
    cases_methods,
    cases_proxies,
    cases_ranges,
    cases_targets,
    cases_versions,
)
from tests.cache.case import Case

_TABLES = (
    cases_methods,
    cases_targets,
    cases_versions,
    cases_connections,
    cases_framing,
    cases_ranges,
    cases_conditions,
    cases_answers,
    cases_proxies,
)

CASES: dict[str, Case] = {case.name: case for table in _TABLES for case in table.CASES}
assert len(CASES) == sum(len(table.CASES) for table in _TABLES), "two cases have one name"
