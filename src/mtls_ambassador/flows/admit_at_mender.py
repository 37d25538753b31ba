"""Getting one allowed auth request accepted at Mender, with as few calls as can be and never with `force`."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from mtls_ambassador.decide.enrol import Next, Step, after_inspection
from mtls_ambassador.mender.client import Conflict, MenderClient
from mtls_ambassador.mender.transport import Answer
from mtls_ambassador.model.auth_request import AuthRequest
from mtls_ambassador.model.device import AuthSetStatus, DeviceRecord, MenderDevice, Standing
from mtls_ambassador.model.reason import Reason, RefusedError


@dataclass(frozen=True, slots=True)
class Admitted:
    """Mender said yes: its answer with the device token, how it came to that, and its id of the device."""

    reason: Reason
    answer: Answer
    device_id: str


_NOTHING_WAS_DONE = {Reason.LOGIN_REFUSED, Reason.NOT_PERMITTED, Reason.UPSTREAM_THROTTLED}
"""Answers to a preauthorization that leave no doubt."""


class Admission:
    """One auth request on its way to Mender. Every method raises RefusedError when Mender does not say yes."""

    def __init__(
        self,
        mender: MenderClient,
        request: AuthRequest,
        headers: Mapping[str, str],
        proxy_headers: Mapping[str, str],
        *,
        is_first_come: bool,
    ) -> None:
        self._mender = mender
        self._request = request
        self._headers = headers
        self._proxy_headers = proxy_headers
        self._is_first_come = is_first_come
        self.may_be_accepted = False
        """Whether Mender may have accepted the device, or will when it asks again, for all we know."""

    async def of_recorded_key(self, record: DeviceRecord) -> Admitted:
        """One call: Mender answers from its own records. Its "no" gets the reason it has there."""
        answer = await self._forward()
        if answer.status == HTTPStatus.OK:
            known = record.standing is Standing.ACCEPTED and record.device_id == _subject(answer.body)
            return self._admitted(Reason.KNOWN if known else Reason.ACCEPTED_UPSTREAM, answer, record.device_id)
        raise RefusedError(await self._reason_of_recorded(record))

    async def of_new_device(self) -> Admitted:
        """Two calls when Mender has never heard of it; when it has, its own records decide."""
        await self._mender.login.token()  # without one, nothing can have been done
        self.may_be_accepted = True
        try:
            result = await self._mender.preauthorize(
                self._request.identity, self._request.auth_key, self._proxy_headers
            )
        except RefusedError as error:
            self.may_be_accepted = error.reason not in _NOTHING_WAS_DONE
            raise
        if isinstance(result, Conflict):
            self.may_be_accepted = False
            return await self.of_known_device(result.device_id, was_accepted=False)
        answer = await self._forward()
        if answer.status == HTTPStatus.OK:
            return self._admitted(Reason.ENROLLED, answer, result.device_id)
        raise await self._although_preauthorized()

    async def of_known_device(self, device_id: str, *, was_accepted: bool) -> Admitted:
        """Mender knows the device but maybe not the key: look, let it record the key, accept that auth set by id."""
        device, step = await self._inspect(device_id, recorded=False, was_accepted=was_accepted)
        if step.step is Step.RECORD:
            answer = await self._forward()
            if answer.status == HTTPStatus.OK:
                return self._admitted(Reason.ACCEPTED_UPSTREAM, answer, device_id)
            device, step = await self._inspect(device_id, recorded=True, was_accepted=was_accepted)
        if step.step is Step.ACCEPT:
            self.may_be_accepted = True
            await self._mender.set_auth_set_status(
                device_id, step.auth_set_id, AuthSetStatus.ACCEPTED, self._proxy_headers
            )
        answer = await self._forward()
        if answer.status != HTTPStatus.OK:
            raise await self._although_preauthorized()
        return self._admitted(self._how(device, step), answer, device_id)

    async def _inspect(self, device_id: str, *, recorded: bool, was_accepted: bool) -> tuple[MenderDevice, Next]:
        device = await self._mender.get_device(device_id, self._proxy_headers)
        own = self._request.auth_key.spki_sha256
        step = after_inspection(
            device, own, recorded=recorded, was_accepted=was_accepted, is_first_come=self._is_first_come
        )
        if device is None or step.refused is not None:
            raise RefusedError(step.refused or Reason.DECOMMISSIONED)
        return device, step

    def _how(self, device: MenderDevice, step: Next) -> Reason:
        if step.step is Step.ACCEPT:
            return Reason.KEY_ACCEPTED
        own = self._request.auth_key.spki_sha256
        ours = any(
            item.auth_key_sha256 == own and item.status is AuthSetStatus.PREAUTHORIZED for item in device.auth_sets
        )
        return Reason.ENROLLED if ours else Reason.ACCEPTED_UPSTREAM

    async def _forward(self) -> Answer:
        """The body byte for byte. Raises RefusedError on an answer that is neither Mender's yes nor its no."""
        self.may_be_accepted = True
        answer = await self._mender.forward_auth_request(self._request.body, self._headers)
        if answer.status == HTTPStatus.UNAUTHORIZED or (answer.status == HTTPStatus.OK and _subject(answer.body)):
            return answer
        if answer.status < HTTPStatus.BAD_REQUEST:
            # The body may be a device token, which no log should hold.
            raise RefusedError(Reason.UPSTREAM_FAILED, f"HTTP {answer.status} without a device token")
        detail = f"HTTP {answer.status}: {answer.body[:200].decode(errors='replace')}"
        raise RefusedError(Reason.REFUSED_UPSTREAM, detail, status=answer.status)

    async def _reason_of_recorded(self, record: DeviceRecord) -> Reason:
        """Why Mender turned away a device it once accepted; WITHDRAWN where it cannot be learnt."""
        try:
            device = await self._mender.get_device(record.device_id, self._proxy_headers)
        except RefusedError:
            return Reason.WITHDRAWN
        if device is None or device.decommissioning:
            return Reason.DECOMMISSIONED
        own = [item.status for item in device.auth_sets if item.auth_key_sha256 == self._request.auth_key.spki_sha256]
        return Reason.REJECTED_BY_PERSON if AuthSetStatus.REJECTED in own else Reason.WITHDRAWN

    async def _although_preauthorized(self) -> RefusedError:
        """Mender's "no" to what it should accept: the device limit, as far as Mender lets us see it."""
        try:
            limit = await self._mender.device_limit(self._proxy_headers)
            if 0 <= limit <= await self._mender.count_devices(AuthSetStatus.ACCEPTED, self._proxy_headers):
                return RefusedError(Reason.DEVICE_LIMIT, f"{limit} devices")
        except RefusedError as error:
            return RefusedError(Reason.REFUSED_UPSTREAM, f"and its device limit cannot be read: {error.reason.text}")
        return RefusedError(Reason.REFUSED_UPSTREAM, "although accepted; is the device's TenantToken right?")

    def _admitted(self, reason: Reason, answer: Answer, device_id: str) -> Admitted:
        return Admitted(reason, answer, _subject(answer.body) or device_id)


def _subject(token: bytes) -> str:
    """The device id in a device token (claim `sub`), unverified: it comes from Mender itself. "" when unreadable."""
    try:
        payload = token.split(b".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
        return str(claims["sub"])
    except (IndexError, ValueError, KeyError, TypeError, binascii.Error):
        return ""
