"""What keys use, as the router counts it."""

from router.answer import NOTHING, Learnt
from router.key_use import KeyUse, Use
from router.types import Credential, CredentialKind, Role


def credential(key_id: str, parent: str = "") -> Credential:
    kind = CredentialKind.SESSION if parent else CredentialKind.KEY
    return Credential(id=key_id, name=key_id, role=Role.USER, kind=kind, created_at=0, parent=parent)


def test_session_counts_for_its_key() -> None:
    use = KeyUse()
    use.note(credential("k"), None, NOTHING)
    use.note(credential("s", parent="k"), None, NOTHING)
    assert use.take() == {"k": Use(requests=2)}


def test_what_was_taken_is_gone_until_it_is_given_back() -> None:
    use = KeyUse()
    use.note(credential("k"), None, Learnt(output_tokens=3))
    taken = use.take()
    assert use.take() == {}
    use.note(credential("k"), None, NOTHING)
    use.give_back(taken)
    assert use.take() == {"k": Use(requests=2)}
