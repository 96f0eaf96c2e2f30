"""Who may come in."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.credentials import authenticate, authenticate_nobody, csrf_token
from router.errors import CSRF, FOREIGN_HOST, NO_KEY, NO_SESSION, NO_SNAPSHOT, WRONG_KEY, Refusal
from router.types import Credential, CredentialKind, Role

KEY = Credential(id="k", name="k", role=Role.USER, kind=CredentialKind.KEY, created_at=0, expires_at=100.0)
SESSION = Credential(id="s", name="s", role=Role.ADMIN, kind=CredentialKind.SESSION, created_at=0)
KNOWN = {sha256(b"secret").hexdigest(): KEY, sha256(b"cookie").hexdigest(): SESSION}
COOKIE = {b"cookie": b"theme=dark; roundhouse_session=cookie"}
CSRF_HEADER = {b"x-roundhouse-csrf": csrf_token("cookie").encode()}


def check(headers: dict[bytes, bytes], *, now: float = 50.0, unsafe: bool = True) -> Credential | Refusal:
    return authenticate(headers, KNOWN, now, unsafe=unsafe)


@pytest.mark.parametrize(
    "headers",
    [
        {b"authorization": b"Bearer secret"},
        {b"authorization": b"bearer  secret "},
        {b"x-api-key": b"secret"},
        {b"authorization": b"Bearer secret", **COOKIE},
    ],
)
def test_key_is_taken_in_either_header(headers: dict[bytes, bytes]) -> None:
    assert check(headers) is KEY


@pytest.mark.parametrize(
    "headers",
    [
        {b"authorization": b"Bearer wrong"},
        {b"authorization": b"Basic c2VjcmV0"},
        {b"authorization": b"Bearer "},
        {b"x-api-key": b""},
        {b"authorization": b"Bearer " + sha256(b"secret").hexdigest().encode()},
        # A wrong key does not fall back to the cookie.
        {b"authorization": b"Bearer wrong", **COOKIE, **CSRF_HEADER},
        {b"authorization": b"Basic eA==", **COOKIE, **CSRF_HEADER},
        # A session is for browsers, with the checks that belong to it.
        {b"authorization": b"Bearer cookie"},
    ],
)
def test_key_is_refused_when_it_is_not_known(headers: dict[bytes, bytes]) -> None:
    assert check(headers) is WRONG_KEY


def test_key_is_refused_once_it_has_expired() -> None:
    assert check({b"x-api-key": b"secret"}, now=100.0) is WRONG_KEY


def test_nobody_comes_in_before_the_first_snapshot() -> None:
    assert authenticate({b"x-api-key": b"secret"}, None, 0.0, unsafe=False) is NO_SNAPSHOT


@given(st.dictionaries(st.sampled_from([b"authorization", b"x-api-key", b"cookie", b"origin"]), st.binary(max_size=40)))
def test_noise_never_comes_in(headers: dict[bytes, bytes]) -> None:
    assert isinstance(authenticate(headers, {}, 0.0, unsafe=True), Refusal)


def test_nothing_presented_is_its_own_refusal() -> None:
    assert check({}) is NO_KEY
    assert check({b"cookie": b"other=1"}) is NO_KEY


def test_session_is_enough_for_reading() -> None:
    assert check(COOKIE, unsafe=False) is SESSION


def test_key_in_the_session_cookie_is_refused() -> None:
    assert check({b"cookie": b"roundhouse_session=secret"}, unsafe=False) is NO_SESSION


def test_session_needs_its_csrf_header_to_change_something() -> None:
    assert check(COOKIE) is CSRF
    assert check(COOKIE | {b"x-roundhouse-csrf": csrf_token("other").encode()}) is CSRF
    assert check(COOKIE | CSRF_HEADER) is SESSION


def test_session_is_refused_from_another_origin() -> None:
    same = {b"host": b"box:8000", b"origin": b"http://box:8000"}
    assert check(COOKIE | CSRF_HEADER | same) is SESSION
    assert check(COOKIE | CSRF_HEADER | same | {b"origin": b"http://evil"}) is CSRF
    assert check(COOKIE | CSRF_HEADER | same | {b"origin": b"null"}) is CSRF


@pytest.mark.parametrize("host", [b"localhost", b"localhost:8000", b"127.0.0.1:8000", b"[::1]:8000", b"LOCALHOST"])
def test_without_auth_this_machine_is_served(host: bytes) -> None:
    assert isinstance(authenticate_nobody({b"host": host}), Credential)


@pytest.mark.parametrize(
    "host", [b"", b"evil.example", b"localhost.evil", b"127.0.0.1.evil", b"[::1].evil", b"10.0.0.1"]
)
def test_without_auth_other_names_are_refused(host: bytes) -> None:
    assert authenticate_nobody({b"host": host}) is FOREIGN_HOST


def test_without_auth_another_site_cannot_post() -> None:
    assert authenticate_nobody({b"host": b"localhost:8000", b"origin": b"http://evil"}) is FOREIGN_HOST
