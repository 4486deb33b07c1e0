"""The service against its own OpenAPI: made-up requests, good and bad, get the answers that it promises."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks

from service.app import make_app
from service.limits import Limits
from service.models import Catalogue

#: Small limits, so that nothing that is made up takes long.
LIMITS = Limits(cells=100, count=2, seconds=0.2, tries=1, repair_seconds=0.2, steps=200)
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", make_app(Catalogue.of(), LIMITS, hosts=("testserver",)))

#: What must hold of every answer. Whether all that the schema allows is accepted is not among it, for a schema cannot
#: say that a level must have the tiles of its problem.
CHECKS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
)


@SCHEMA.parametrize()
@settings(
    max_examples=4,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_made_up_requests_are_answered_as_promised(case):
    case.call_and_validate(checks=CHECKS)
