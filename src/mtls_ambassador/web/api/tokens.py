"""Handlers of the API's own tokens."""

import datetime as dt

import sqlalchemy as sa

from mtls_ambassador.store import tokens
from mtls_ambassador.store.audit import AuditEntry, append
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

    def work(connection: sa.Connection) -> str:
        made = tokens.create(connection, body.name, body.scope, by, now, end)
        detail = f"{body.name}, until {end:%Y-%m-%d}, by {by}"
        append(connection, AuditEntry(now, "token-create", body.scope.value, detail))
        return made

    return TokenMade(body.name, await call.context.database.run(work), end)


async def revoke(call: Call) -> Done:
    """It lets nobody in any more, at once."""
    name, now, by = call.body.name, call.context.now(), actions(call).by

    def work(connection: sa.Connection) -> bool:
        done = tokens.revoke(connection, name, by, now)
        if done:
            append(connection, AuditEntry(now, "token-revoke", "revoked", f"{name}, by {by}"))
        return done

    return Done(await call.context.database.run(work))
