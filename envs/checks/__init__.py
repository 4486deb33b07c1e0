"""The contracts as code, for people who extend the suite: does a problem, a representation, an environment keep them?

Each check raises `CheckError` at the first thing that is wrong, naming what failed and on what input, and returns
nothing where all is well:

    from envs.checks import check_problem
    check_problem(PROBLEM)
"""

from envs.checks.compare import CheckError, difference
from envs.checks.environments import check_vector_env
from envs.checks.problems import check_construction, check_problem, constructs
from envs.checks.representations import check_representation

__all__ = [
    "CheckError",
    "check_construction",
    "check_problem",
    "check_representation",
    "check_vector_env",
    "constructs",
    "difference",
]
