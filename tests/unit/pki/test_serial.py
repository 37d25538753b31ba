from mtls_ambassador.pki.serial import OCTETS, new_serial


def test_serials_differ_and_are_positive_at_one_length() -> None:
    serials = {new_serial() for _ in range(1000)}
    assert len(serials) == 1000
    assert {(serial.bit_length() + 8) // 8 for serial in serials} == {OCTETS}
