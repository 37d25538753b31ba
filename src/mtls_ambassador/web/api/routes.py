"""Every endpoint, once."""

from http import HTTPStatus
from typing import Any

from mtls_ambassador.model.operator import Scope
from mtls_ambassador.web.api import act, explain, happen, read, tokens
from mtls_ambassador.web.api import answers as a
from mtls_ambassador.web.api import questions as q
from mtls_ambassador.web.api.endpoint import Call, Endpoint

R, W = Scope.READ, Scope.WRITE


async def _document(call: Call) -> dict[str, Any]:
    from mtls_ambassador.web.api.openapi import document  # noqa: PLC0415 - asks this module for the endpoints

    del call
    return document(ENDPOINTS)


ENDPOINTS = (
    Endpoint("GET", "/openapi.json", R, "This document.", _document, dict[str, Any]),
    Endpoint("GET", "/overview", R, "Is it well, and how much is there.", read.overview, a.Overview),
    Endpoint("GET", "/devices", R, "Devices, the newest first.", read.devices, a.Devices, q.DevicesQuery),
    Endpoint(
        "GET",
        "/devices/{identity}",
        R,
        "All about one device; `identity` is the SHA-256 of its identity.",
        read.device,
        a.DeviceAnswer,
        is_found_by_path=True,
    ),
    Endpoint(
        "GET",
        "/devices/{identity}/why",
        R,
        "Why the device is in or not; asks Mender.",
        explain.of_device,
        a.ExplanationAnswer,
        is_found_by_path=True,
    ),
    Endpoint("POST", "/why", R, "Why something is in or not.", explain.why, a.ExplanationAnswer, body=q.WhyBody),
    Endpoint(
        "POST",
        "/devices/{identity}/approve",
        W,
        "Let another certificate speak for the device.",
        act.approve,
        a.ApproveAnswer,
        body=q.ApproveBody,
        can_conflict=True,
        is_found_by_path=True,
    ),
    Endpoint("GET", "/denials", R, "Denials, the newest first.", read.denials, a.Denials, q.DenialsQuery),
    Endpoint(
        "POST",
        "/denials",
        W,
        "Keep devices out: all of it or nothing.",
        act.deny,
        a.DenyAnswer,
        body=q.DenyBody,
        can_conflict=True,
    ),
    Endpoint(
        "POST",
        "/denials/restore",
        W,
        "Let devices in again: all of it or nothing.",
        act.restore,
        a.RestoreAnswer,
        body=q.RestoreBody,
        can_conflict=True,
    ),
    Endpoint(
        "GET",
        "/certificates",
        R,
        "Certificates of the records: by name, by their end, or the last recorded first.",
        read.certificates,
        a.Certificates,
        q.CertificatesQuery,
    ),
    Endpoint("GET", "/batches", R, "Batches, the newest first.", read.batches, a.Batches, q.Paged),
    Endpoint("GET", "/refusals", R, "Refusals, the newest first.", read.refusals, a.Refusals, q.RefusalsQuery),
    Endpoint("GET", "/events", R, "The audit, the newest first.", read.events, a.Events, q.EventsQuery),
    Endpoint("GET", "/tallies", R, "Counts over time.", read.tallies, a.Tallies, q.TalliesQuery),
    Endpoint("GET", "/inputs", R, "Readiness, and the files that are watched.", read.inputs, a.Inputs),
    Endpoint("GET", "/settings", R, "Settings in force.", read.settings, a.SettingsAnswer),
    Endpoint("GET", "/tokens", W, "Tokens of this API.", tokens.listed, a.Tokens),
    Endpoint("POST", "/tokens", W, "Make a token.", tokens.create, a.TokenMade, body=q.TokenBody, can_conflict=True),
    Endpoint(
        "POST",
        "/tokens/revoke",
        W,
        "Revoke a token.",
        tokens.revoke,
        a.Done,
        body=q.TokenRevokeBody,
        can_conflict=True,
    ),
    Endpoint("GET", "/live", R, "What happens, as server-sent events.", happen.live, None),
)
STATUS = HTTPStatus.OK
"""Of every answer that is no refusal."""
