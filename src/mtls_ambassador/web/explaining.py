"""`why`, asked of the running service: the lists in force are those that Envoy has."""

import asyncio

from mtls_ambassador.flows.explain_device import Sources, explain
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.explanation import Explanation
from mtls_ambassador.web.context import Context

_AT_ONCE = asyncio.Semaphore(4)
"""Each asks Mender a few things, which devices' auth requests must not wait for."""


async def explained(context: Context, asked: str) -> Explanation:
    """Why what was asked about is in, or not. Raises UsageError, RefusedError as `explain` does."""

    def lists(shown: DeviceCertificate) -> list[str]:
        found = context.denied.why(shown)
        return [f"by {found}, in the list in force"] if found and found not in {"expired", "not-yet-valid"} else []

    sources = Sources(context.loaded.settings, context.database, context.mender, lists, context.now)
    async with _AT_ONCE:
        return await explain(asked, sources)
