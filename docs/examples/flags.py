"""A feature flag that targets a type of shopper, with OpenFeature.

The flag service is OpenFeature's in-memory provider here. With another one, the rule stands in that service,
and targets the attributes persona_type, persona_confidence and persona_status.
"""

import os
import sys

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from simpersona_client import PersonaClient, Retries
from simpersona_client.openfeature import PersonaHook

STORE = os.environ.get("PERSONA_STORE", "acme")
BUDGET_S = float(os.environ.get("BUDGET_S", "0.05"))


def rule(flag: InMemoryFlag[bool], context: EvaluationContext) -> FlagResolutionDetails[bool]:
    """On for everyone of whom a persona was said."""
    status, kind = context.attributes.get("persona_status"), context.attributes.get("persona_type")
    print(f"persona_status {status}, persona_type {kind}")
    return FlagResolutionDetails(status == "said", reason=Reason.TARGETING_MATCH)


api.set_provider(
    InMemoryProvider(
        {"comparison-table": InMemoryFlag("off", {"on": True, "off": False}, context_evaluator=rule)}
    )
)
url, key = os.environ["PERSONA_URL"], os.environ["PERSONA_KEY"]
with PersonaClient(url, key, timeout_s=BUDGET_S, retries=Retries(times=0)) as personas:
    hook = PersonaHook(personas, STORE, budget_s=BUDGET_S)
    flags = api.get_client()
    flags.add_hooks([hook])
    for shopper in sys.argv[1:]:
        shown = flags.get_boolean_value("comparison-table", False, EvaluationContext(shopper))
        print(f"{shopper}: comparison table {'on' if shown else 'off'}")
    hook.close()
api.shutdown()
