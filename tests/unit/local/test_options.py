"""What a local mesh refuses before it writes anything."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from optrading.common.state import own_state
from optrading.local.options import MeshOptions, check_options
from optrading.local.settings import OptionError, read_local_settings


@pytest.fixture
def options(tmp_path: Path) -> MeshOptions:
    return MeshOptions(home=tmp_path / "home", http_port=0)


def refusal(options: MeshOptions) -> str:
    with pytest.raises(OptionError) as caught:
        check_options(options)
    text = str(caught.value)
    assert "\n" not in text
    assert not options.home.exists()
    return text


def test_the_synthetic_feed_needs_nothing(options: MeshOptions) -> None:
    check_options(options)
    assert not options.home.exists()


def test_an_unknown_feed_says_which_there_are(options: MeshOptions) -> None:
    text = refusal(replace(options, feed="nse"))
    assert text == "FEED=nse: no such feed; allowed: synthetic, replay, kite, kite-demo"


def test_a_replay_without_a_recording_says_how_to_name_one(options: MeshOptions) -> None:
    assert "RECORDING=<file>" in refusal(replace(options, feed="replay"))


def test_a_recording_without_replay_is_not_ignored(options: MeshOptions) -> None:
    assert "FEED=replay" in refusal(replace(options, recording=Path("day.parquet")))


@pytest.mark.parametrize("feed", ["synthetic", "kite"])
def test_a_recording_is_for_feeds_that_play_one(options: MeshOptions, feed: str) -> None:
    assert f"FEED is {feed}" in refusal(replace(options, feed=feed, recording=Path("day.parquet")))


def test_the_demonstration_broker_plays_live_or_a_recording_that_can_be_read(
    options: MeshOptions, tmp_path: Path
) -> None:
    demo = replace(options, feed="kite-demo")
    check_options(demo)
    assert "absent.parquet" in refusal(replace(demo, recording=tmp_path / "absent.parquet"))
    assert "does not wait" in refusal(replace(demo, speed="max"))
    assert "time does not go back" in refusal(replace(demo, replay_end="loop"))


def test_a_missing_recording_is_named(options: MeshOptions, tmp_path: Path) -> None:
    assert "absent.parquet" in refusal(replace(options, feed="replay", recording=tmp_path / "absent.parquet"))


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan", "inf"])
def test_an_impossible_speed_is_refused(options: MeshOptions, tmp_path: Path, speed: str) -> None:
    text = refusal(replace(options, feed="replay", recording=tmp_path / "day.csv", speed=speed))
    assert text.startswith(f"SPEED={speed}")


def test_a_port_in_use_says_which_setting_to_change(options: MeshOptions) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert refusal(replace(options, http_port=port)) == f"port {port} is in use; set OPTRADING_HTTP_PORT"


def test_a_port_out_of_range_is_refused(options: MeshOptions) -> None:
    assert "65535" in refusal(replace(options, http_port=65536))


def test_a_home_below_a_file_is_refused(options: MeshOptions, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "OPTRADING_HOME" in refusal(replace(options, home=tmp_path / "file" / "home"))


def test_a_second_mesh_in_a_home_hears_of_the_first_and_not_of_its_port(options: MeshOptions) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, own_state(options.home):
        second = replace(options, http_port=server.getsockname()[1])
        with pytest.raises(OptionError) as caught:
            check_options(second)
    assert str(caught.value) == (f"{options.home} belongs to another running process; stop that, or set OPTRADING_HOME")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_without_write_permission_is_refused(options: MeshOptions, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "no permission" in refusal(replace(options, home=tmp_path / "closed" / "home"))


def test_the_mesh_s_own_settings_are_read_with_the_names_that_users_know() -> None:
    settings = read_local_settings({"REDIS_SAVE_INTERVAL": "60", "REDIS_AOF_ENABLED": "false", "MESH_TLS": "sidecar"})
    assert (settings.redis_save_interval, settings.redis_aof_enabled, settings.mesh_tls) == (60, False, "sidecar")


def test_a_wrong_setting_is_one_line_with_its_name() -> None:
    with pytest.raises(OptionError, match="REDIS_SAVE_INTERVAL=often"):
        read_local_settings({"REDIS_SAVE_INTERVAL": "often"})
