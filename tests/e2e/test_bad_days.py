"""What goes wrong, and what a user sees of it. Real Ray Serve, real router, simulated engine."""

import json
import os
import pty
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from orchestrator.host.home import Home
from orchestrator.host.processes import marked
from tests.e2e.house import ROUNDHOUSE, RunningHouse, alive, environment, run, until

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]


def test_replica_killed_hard_comes_back_and_clients_meanwhile_wait_or_are_told_when(
    simulated_house: RunningHouse,
) -> None:
    (before,) = simulated_house.api("/replicas")
    simulated_house.process_named("ray::ServeReplica").kill()
    seen = set()

    def answered_by_another() -> bool:
        answer = simulated_house.chat("simulated", "hi")
        seen.add(answer.status_code)
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
        return answer.status_code == 200 and answer.headers["x-roundhouse-replica"] != before["id"]

    until(answered_by_another, 90, "an answer of a new replica")
    assert seen <= {200, 503}


def test_orchestrator_killed_hard_takes_no_model_along_and_comes_back(simulated_house: RunningHouse) -> None:
    simulated_house.process_named("orchestrator.main").kill()
    assert simulated_house.chat("simulated", "hi").status_code == 200
    assert "simulated" in simulated_house.models()

    def admin_answers() -> bool:
        answer = simulated_house.http.get(f"{simulated_house.url}/api/v1/system", headers=simulated_house.headers)
        return answer.status_code == 200 and answer.json()["ray_connected"]

    until(admin_answers, 60, "the orchestrator's return")
    assert simulated_house.chat("simulated", "hi").status_code == 200


def test_store_killed_hard_stops_no_answer_and_loses_no_key(simulated_house: RunningHouse) -> None:
    key = simulated_house.succeed("key", "create", "kept").strip()
    simulated_house.process_named("valkey-server").kill()
    assert simulated_house.chat("simulated", "hi").status_code == 200

    def listed() -> bool:
        done = simulated_house.command("key", "list", "--json")
        return done.returncode == 0 and any(each["name"] == "kept" for each in json.loads(done.stdout))

    until(listed, 60, "the store's return")
    answer = simulated_house.http.get(f"{simulated_house.url}/v1/models", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200


def test_key_when_revoked_is_refused_by_the_router_within_a_second(simulated_house: RunningHouse) -> None:
    key = simulated_house.succeed("key", "create", "carol").strip()
    headers = {"authorization": f"Bearer {key}"}

    def status() -> int:
        body = {"model": "simulated", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        return simulated_house.http.post(
            f"{simulated_house.url}/v1/chat/completions", headers=headers, json=body
        ).status_code

    until(lambda: status() == 200, 1, "the new key's validity")
    simulated_house.succeed("key", "revoke", "carol")
    until(lambda: status() == 401, 1, "the revoked key's refusal")


def test_undeploy_lets_a_running_stream_end(simulated_house: RunningHouse) -> None:
    simulated_house.http.put(
        f"{simulated_house.url}/api/v1/deployments/slow",
        headers=simulated_house.headers,
        json={"engine": "simulated", "simulation": {"inter_token_s": 0.2}},
    ).raise_for_status()
    until(lambda: simulated_house.models().get("slow", {}).get("status") == "ready", 60, "slow being ready")
    body = {"model": "slow", "messages": [{"role": "user", "content": "one two three"}], "stream": True}
    lines: list[str] = []
    begun = threading.Event()

    def read() -> None:
        url = f"{simulated_house.url}/v1/chat/completions"
        with httpx.stream("POST", url, headers=simulated_house.headers, json=body, timeout=60) as answer:
            for line in answer.iter_lines():
                lines.append(line)
                begun.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(20)
    simulated_house.succeed("undeploy", "slow")
    reader.join(30)
    assert [line for line in lines if line][-1] == "data: [DONE]"
    assert simulated_house.chat("slow", "hi").status_code == 404


def test_scale_to_two_and_back_is_followed_by_the_replicas(simulated_house: RunningHouse) -> None:
    simulated_house.succeed("scale", "simulated", "2")
    until(lambda: len(simulated_house.api("/replicas")) == 2, 60, "a second replica")
    simulated_house.succeed("scale", "simulated", "1")
    until(lambda: len(simulated_house.api("/replicas")) == 1, 60, "one replica again")
    assert simulated_house.chat("simulated", "hi").status_code == 200


def test_home_in_use_is_named_with_the_way_out(simulated_house: RunningHouse) -> None:
    done = simulated_house.command("up", "--engine", "simulated", "--port", "1234")
    assert done.returncode == 1
    assert "already runs from" in done.stderr
    assert "roundhouse down" in done.stderr


def test_port_taken_is_named_with_its_owner_and_nothing_stays(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, "up", "--engine", "simulated", "--detach", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port}: in use by" in done.stderr
    assert "--port" in done.stderr
    assert marked(Home(tmp_path)) == []


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (None, "There is no folder"),
        ({"readme.txt": "hello"}, "config.json is not there, so this is not a model"),
        ({"config.json": '{"architectures": ["LlamaForCausalLM"]}'}, "no weights to serve"),
    ],
)
def test_model_folder_that_is_none_is_refused_before_anything_is_started(
    tmp_path: Path, files: dict[str, str] | None, reason: str
) -> None:
    folder = tmp_path / "model"
    if files is not None:
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    started = time.monotonic()
    done = run(tmp_path / "home", "up", "--model", str(folder), "--port", "18999", "--ops-port", "18998")
    assert done.returncode == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 20
    assert marked(Home(tmp_path / "home")) == []


def test_hub_without_a_network_ends_the_start_with_the_ways_out(tmp_path: Path) -> None:
    house = RunningHouse.on_free_ports(tmp_path)
    ports = ("--port", str(house.port), "--ops-port", str(house.ops_port))
    done = run(tmp_path, "up", "--model", "owner/name", *ports)
    assert done.returncode == 1
    assert "HF_ENDPOINT" in done.stderr
    assert marked(Home(tmp_path)) == []
    assert not (tmp_path / "run" / "instance.json").exists()


def test_interrupt_in_the_foreground_stops_everything(tmp_path: Path) -> None:
    house = RunningHouse.on_free_ports(tmp_path)
    main, side = pty.openpty()
    words = ["up", "--engine", "simulated", "--port", str(house.port), "--ops-port", str(house.ops_port)]
    process = subprocess.Popen(
        [str(ROUNDHOUSE), *words],
        env=environment(tmp_path),
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
    )
    os.close(side)
    screen = b""
    while b"Ready." not in screen:
        screen += os.read(main, 65536)
    house_processes = house.processes()
    assert len(house_processes) > 5
    assert b"left" in screen
    process.send_signal(signal.SIGINT)
    reader = threading.Thread(target=_drain, args=(main,), daemon=True)
    reader.start()
    assert process.wait(40) == 0
    until(lambda: not alive(house_processes), 5, "the end of every process")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{house.url}/health", trust_env=False)


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 65536):
            pass
    except OSError:
        return


def test_up_killed_hard_leaves_no_process_and_the_next_up_works(tmp_path: Path) -> None:
    house = RunningHouse.on_free_ports(tmp_path)
    house.up("--engine", "simulated")
    processes = house.processes()
    os.kill(house.instance()["pid"], signal.SIGKILL)
    house.up()
    assert [each.name() for each in alive(processes)] == [], "what the killed one left is swept"
    assert house.chat("simulated", "hi").status_code == 200, "what was deployed before is served again"
    house.down()
    assert marked(Home(tmp_path)) == []
    assert house.command("status").returncode == 3


def routable_address() -> str | None:
    """An address of this machine that is not loopback's."""
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family is socket.AF_INET and not each.address.startswith("127."):
                return str(each.address)
    return None


def test_second_machine_joins_takes_replicas_and_leaves(tmp_path: Path) -> None:
    address = routable_address()
    if address is None:
        pytest.skip("this machine has no address besides loopback")
    house = RunningHouse.on_free_ports(tmp_path / "head")
    house.up("--engine", "simulated", "--node-address", address)
    token = house.succeed("node", "join-command").split()[1]
    joining = subprocess.Popen(
        [str(ROUNDHOUSE), "join", token, "--cpus", "3"],
        env=environment(tmp_path / "node"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        until(lambda: sum(each["alive"] for each in house.api("/nodes")) == 2, 60, "the second node")
        house.succeed("scale", "simulated", "4")
        until(lambda: len(house.api("/replicas")) == 4, 90, "four replicas")
        assert len({each["node_id"] for each in house.api("/replicas")}) == 2
    finally:
        joining.send_signal(signal.SIGINT)
        left = joining.wait(40)
    assert left == 0
    until(lambda: sum(each["alive"] for each in house.api("/nodes")) == 1, 60, "the node's end")
    until(lambda: house.chat("simulated", "hi").status_code == 200, 90, "an answer of what is left")
    house.down()


def test_join_of_a_head_on_loopback_is_refused_with_the_way_out(simulated_house: RunningHouse, tmp_path: Path) -> None:
    token = simulated_house.succeed("node", "join-command").split()[1]
    done = run(tmp_path, "join", token)
    assert done.returncode == 1
    assert "--node-address" in done.stderr
