from mtls_ambassador.model.errors import AmbassadorError, FaultsError, UsageError
from mtls_ambassador.model.identity import Identity


def test_several_faults_are_one_line_each() -> None:
    error = FaultsError(["one", "two"])
    assert (str(error), error.faults) == ("one\ntwo", ["one", "two"])
    assert isinstance(error, AmbassadorError)
    assert issubclass(UsageError, AmbassadorError)


def test_an_identity_shows_as_mender_stores_it() -> None:
    assert str(Identity.parse('{ "b":1, "a":"x" }')) == '{"a":"x","b":1}'
