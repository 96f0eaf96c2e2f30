import os
import socket
from pathlib import Path

import pytest

from orchestrator.errors import HostError, InvalidRequestError
from orchestrator.host import checks
from orchestrator.host.home import Home, free_ports, port_is_free
from orchestrator.host.join import join_token, parse_join_token


def test_home_when_prepared_keeps_its_secrets_to_the_owner_and_from_run_to_run(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    key = home.admin_key.read_text()
    home.prepare()
    assert home.admin_key.read_text() == key
    for path in (home.admin_key, home.store_password, home.ray_token):
        assert path.stat().st_mode & 0o777 == 0o600


def test_home_taken_by_another_up_says_so(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    assert not home.is_locked()
    home.lock()
    assert home.is_locked()
    with pytest.raises(HostError, match="already runs from"):
        Home(tmp_path).lock()


def test_home_that_cannot_be_written_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="Set ROUNDHOUSE_HOME"):
        Home(tmp_path / "file" / "home").prepare()


def test_home_ports_are_those_of_the_last_run_unless_one_is_taken(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.ports("127.0.0.1")
    assert home.ports("127.0.0.1") == first
    with socket.create_server(("127.0.0.1", first.ray)):
        assert home.ports("127.0.0.1") != first


def test_ray_folder_of_a_deep_home_is_short_enough_for_socket_names(tmp_path: Path) -> None:
    assert Home(Path("/srv/rh")).ray_folder == Path("/srv/rh/run/ray")
    deep = Home(tmp_path / ("x" * 80))
    assert len(str(deep.ray_folder)) < 39
    assert deep.ray_folder != Home(tmp_path / ("y" * 80)).ray_folder


def test_join_token_read_back_is_what_was_put_in(tmp_path: Path) -> None:
    (tmp_path / "ray.token").write_text("secret\n")
    token = parse_join_token(join_token(tmp_path / "ray.token", "10.0.0.1:6379", "redis://:p@10.0.0.1:1/0"))
    assert (token.ray_address, token.ray_token, token.store_url) == (
        "10.0.0.1:6379", "secret", "redis://:p@10.0.0.1:1/0",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", "rhj-", "rhj-AAAA", "not a token", "rhj-e30"])
def test_join_token_cut_short_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="whole join token"):
        parse_join_token(text)


def test_checks_of_a_taken_port_name_the_port_and_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = checks.examine(Home(tmp_path), [("127.0.0.1", port)], running=False)
        mine = checks.examine(Home(tmp_path), [("127.0.0.1", port)], running=True)
    (check,) = [each for each in found if each.name == f"Port {port}"]
    assert check.level is checks.Level.PROBLEM
    assert str(os.getpid()) in check.found
    assert "--port" in check.advice
    assert [each.level for each in mine if each.name == f"Port {port}"] == [checks.Level.OK]


def test_free_ports_are_distinct_and_free() -> None:
    ports = free_ports("127.0.0.1", 5)
    assert len(set(ports)) == 5
    assert all(port_is_free("127.0.0.1", port) for port in ports)


@pytest.mark.parametrize("address", ["203.0.113.5", "0.0.0.0", "::1", "host"])
def test_home_ports_on_an_address_of_another_machine_are_refused_at_once(tmp_path: Path, address: str) -> None:
    with pytest.raises(HostError, match="address"):
        Home(tmp_path).ports(address)


def test_checks_of_an_address_of_another_machine_do_not_say_that_the_port_is_in_use(tmp_path: Path) -> None:
    found = checks.examine(Home(tmp_path), [("203.0.113.5", 8000)], running=False)
    (check,) = [each for each in found if each.name == "Port 8000"]
    assert check.level is checks.Level.PROBLEM
    assert "in use" not in check.found
    assert "--host" in check.advice


def test_home_lock_names_the_process_that_holds_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    assert home.owner() is None
    home.lock()
    assert Home(tmp_path).owner() == os.getpid()
