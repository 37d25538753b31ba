"""Handlers of the API's own tokens."""

import datetime as dt

from mtls_ambassador.flows import api_tokens
from mtls_ambassador.store import tokens
from mtls_ambassador.web.api.act import actions
from mtls_ambassador.web.api.answers import Done, TokenAnswer, TokenMade, Tokens
from mtls_ambassador.web.api.endpoint import Call


async def listed(call: Call) -> Tokens:
    """All of them."""
    now = call.context.now()
    found = await call.context.database.read(tokens.every)
    return Tokens(
        [
            TokenAnswer(
                item.name,
                item.scope,
                item.is_good(now),
                item.made_at,
                item.made_by,
                item.expires_at,
                item.last_used_at,
                item.revoked_at,
            )
            for item in found
        ]
    )


async def create(call: Call) -> TokenMade:
    """A new one."""
    body, now, by = call.body, call.context.now(), actions(call).by
    end = now + dt.timedelta(days=body.days)
    made = await call.context.database.run(lambda c: api_tokens.create(c, body.name, body.scope, by, now, end))
    return TokenMade(body.name, made, end)


async def revoke(call: Call) -> Done:
    """It lets nobody in any more, at once."""
    name, now, by = call.body.name, call.context.now(), actions(call).by
    return Done(await call.context.database.run(lambda c: api_tokens.revoke(c, name, by, now)))
