"""Handlers of `why`."""

from http import HTTPStatus

from mtls_ambassador.model.storable import storable
from mtls_ambassador.store import fleet_devices
from mtls_ambassador.web.api.answers import ExplanationAnswer
from mtls_ambassador.web.api.endpoint import Call, RefusalError
from mtls_ambassador.web.explaining import explained


async def of_device(call: Call) -> ExplanationAnswer:
    """Of a device that has a record."""
    found = await call.context.database.read(lambda c: fleet_devices.find(c, call.path["identity"]))
    if found is None:
        raise RefusalError(HTTPStatus.NOT_FOUND, "no device with this identity has a record here")
    return ExplanationAnswer.of(await explained(call.context, found.identity))


async def why(call: Call) -> ExplanationAnswer:
    """Of whatever was asked about."""
    return ExplanationAnswer.of(await explained(call.context, storable(call.body.about)))
