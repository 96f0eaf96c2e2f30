import pytest

from replicas.weights.trust import Trust

HOSTS = ("a", "b")


@pytest.mark.parametrize(
    ("begun_before", "givers", "blamed", "alone"),
    [
        (False, ["a"], {"a"}, False),
        (False, ["a", "a"], {"a"}, False),
        (False, ["a", "b"], set(), True),
        (True, ["a"], set(), True),
        (True, [], set(), True),
    ],
)
def test_a_wrong_file_is_blamed_on_a_host_only_if_nobody_else_gave_bytes_of_it(
    begun_before: bool, givers: list[str], blamed: set[str], alone: bool
) -> None:
    trust = Trust(begun_before=begun_before)
    for address in givers:
        trust.gave(address)
    said = trust.was_wrong()
    assert {address for address in HOSTS if not trust.allows(address)} == blamed
    assert trust.alone == alone
    assert said == "".join(f" from {address}" for address in blamed)


def test_a_file_that_two_hosts_gave_is_judged_from_one_alone_the_next_time() -> None:
    trust = Trust(begun_before=False)
    trust.gave("a")
    trust.gave("b")
    trust.was_wrong()
    trust.gave("a")
    trust.began_again()
    trust.gave("b")
    trust.was_wrong()
    assert (trust.allows("a"), trust.allows("b")) == (True, False)
