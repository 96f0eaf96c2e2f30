import pytest

from orchestrator.external import engine_name, normal_url, with_stored_keys
from tests.unit.orchestrator.builders import outside


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("https://api.example.com/v1", "https://api.example.com/v1"),
        (" https://api.example.com/v1/ ", "https://api.example.com/v1"),
        ("HTTPS://API.Example.com/V1", "https://api.example.com/V1"),
        ("http://10.1.2.3:8000", "http://10.1.2.3:8000"),
        ("http://192.168.0.7/v1", "http://192.168.0.7/v1"),
        ("http://127.0.0.1:9001/v1", "http://127.0.0.1:9001/v1"),
        ("http://[fd00::17]:8000/v1", "http://[fd00::17]:8000/v1"),
        ("http://engine_1/v1", "http://engine_1/v1"),
        ("https://xn--bcher-kva.example/v1", "https://xn--bcher-kva.example/v1"),
    ],
)
def test_url_of_an_engine_is_stored_in_one_form(text: str, stored: str) -> None:
    assert normal_url(text) == stored
    assert normal_url(stored) == stored


@pytest.mark.parametrize(
    ("text", "what_to_do"),
    [
        ("", "printable"),
        ("engine:8000/v1", "http://"),
        ("ftp://engine/v1", "http://"),
        ("file:///etc/passwd", "http://"),
        ("//engine/v1", "http://"),
        ("https://", "name a host"),
        ("https:///v1", "name a host"),
        ("https://:8000/v1", "name a host"),
        ("https://bob:hunter2@engine/v1", "user name and password"),
        ("https://hunter2@engine/v1", "user name and password"),
        ("https://@engine/v1", "user name and password"),
        ("https://engine/v1?api-version=1&key=hunter2", "from the first"),
        ("https://engine/v1?", "from the first"),
        ("https://engine/v1#hunter2", "from the first"),
        ("https://engine:0/v1", "no address"),
        ("https://engine:99999/v1", "no address"),
        ("https://engine:x/v1", "no address"),
        ("https://[::1/v1", "no address"),
        ("https://en gine/v1", "printable"),
        ("https://engine/v1\r\nx-evil: 1", "printable"),
        ("https://engine\\@evil/v1", "printable"),
        ("https://bücher.example/v1", "printable"),
        ("https://１６９.254.169.254/", "printable"),
        ("https://-engine/v1", "neither a name nor an address"),
        ("https://a..b/v1", "neither a name nor an address"),
        ("https://a%00b/v1", "neither a name nor an address"),
    ],
)
def test_url_that_cannot_be_is_refused_without_being_repeated(text: str, what_to_do: str) -> None:
    with pytest.raises(ValueError, match=what_to_do) as refused:
        normal_url(text)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.169.254.",
        "169.254.0.1",
        "2852039166",
        "0xa9fea9fe",
        "0xa9.254.43518",
        "0251.0376.0251.0376",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "metadata.google.internal",
        "METADATA.google.internal.",
    ],
)
def test_url_of_a_metadata_service_is_refused_in_every_notation(host: str) -> None:
    with pytest.raises(ValueError, match="link-local and metadata"):
        normal_url(f"http://{host}/latest/meta-data")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.example.com/v1", "api.example.com"),
        ("http://10.0.0.9:8000/v1", "10.0.0.9-8000"),
        ("http://[fd00::17]:8000/v1", "fd00-17-8000"),
        ("https://bob:hunter2@engine/v1", "engine"),
        ("nonsense", "nonsense"),
        ("https:///", "outside"),
    ],
)
def test_name_of_an_engine_is_made_of_its_address(url: str, name: str) -> None:
    assert engine_name(url) == name


STORED = outside("far", url="https://far/v1", key="secret")


@pytest.mark.parametrize(
    ("wanted", "names", "key"),
    [
        (outside("far", url="https://far/v1"), {"far"}, "secret"),
        (outside("far", url="https://far/v1", weight=2.0, model="m"), {"far"}, "secret"),
        (outside("far", url="https://evil/v1"), {"far"}, ""),
        (outside("far", url="http://far/v1"), {"far"}, ""),
        (outside("other", url="https://far/v1"), {"other"}, ""),
        (outside("far", url="https://far/v1"), set(), ""),
        (outside("far", url="https://far/v1", key="new"), set(), "new"),
        (outside("far", url="https://far/v1", key="new"), {"other"}, "new"),
    ],
)
def test_stored_key_stays_with_the_name_and_url_that_it_was_given_for(
    wanted: object, names: set[str], key: str
) -> None:
    (found,) = with_stored_keys([wanted], names, [STORED])  # type: ignore[list-item]
    assert found.key == key
