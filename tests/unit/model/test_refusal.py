"""Causes of refused handshakes, from what Envoy says."""

import pytest

from mtls_ambassador.model.refusal import CallCause, HandshakeCause


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (
            "TLS_error:|268435648:SSL_routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:peer_did_not_x",
            HandshakeCause.NO_CERTIFICATE,
        ),
        (
            "OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_certificate_has_expired:TLS_error_end",
            HandshakeCause.EXPIRED,
        ),
        ("TLS_error:|1:SSL_routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end", HandshakeCause.PLAIN_HTTP),
        ("TLSV1_ALERT_UNKNOWN_CA", HandshakeCause.SERVER_CA_UNKNOWN),
        ("SSLV3_ALERT_BAD_CERTIFICATE", HandshakeCause.SERVER_REFUSED),
        ("verification_error_at_depth_0:_unhandled_critical_extension:TLS_error_end", HandshakeCause.WRONG_USAGE),
        ("verification_error_at_depth_0:_permitted_subtree_violation:TLS_error_end", HandshakeCause.WRONG_USAGE),
        ("SSL_routines:OPENSSL_internal:KEY_USAGE_BIT_INCORRECT:TLS_error_end", HandshakeCause.WRONG_USAGE),
        (
            "public_key_routines:OPENSSL_internal:UNSUPPORTED_ALGORITHM:TLS_error_end",
            HandshakeCause.NO_COMMON_ALGORITHM,
        ),
        ("something_new", HandshakeCause.OTHER),
        ("", HandshakeCause.OTHER),
    ],
)
def test_causes(reason: str, cause: HandshakeCause) -> None:
    assert HandshakeCause.of(reason) is cause


def test_codes_name_one_cause_each() -> None:
    assert len({item.code for item in HandshakeCause}) == len(HandshakeCause)
    assert all(len(item.code) <= 32 for item in (*HandshakeCause, *CallCause))
    assert [CallCause.of(item.code) for item in CallCause] == list(CallCause)
    assert CallCause.of("what?") is CallCause.OTHER
