"""Settings: the order of the sources, what each gives, and how wrong ones are named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from inpart.config import Configuration, devices, load, sources
from inpart.config.settings import merge
from inpart.config.sources import Given, gather
from inpart.contracts import LayoutOptions
from inpart.errors import UsageError
from inpart.operations.session import Policy
from inpart.units import GIB, MIB


def rows(
    file: Path | None = None, environment: Mapping[str, str] | None = None, options: Mapping[str, object] | None = None
) -> dict[str, tuple[object, str]]:
    merged = merge(gather(file, options, environment or {}))
    return {key: (value, source) for key, value, source in merged.rows()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "inpart.toml"
    path.write_text('[layout]\nsegment_size = "8M"\nname = "blocks"\n[policy]\nretain = false\nmin_free = 4096\n')
    return path


def test_defaults_are_those_of_the_contracts_and_the_policy() -> None:
    policy = Policy()
    assert load(environment={}) == Configuration()
    assert merge(Given()).settings.as_policy() == policy
    assert policy.options == LayoutOptions()
    assert (policy.layout, policy.encoding, policy.min_free, policy.verify) == ("contiguous", "zstd:3", None, "stored")
    assert {source for _, source in rows().values()} == {"default"}


def test_command_line_over_environment_over_file_over_default(file: Path) -> None:
    variables = {
        "INPART_LAYOUT_NAME": "from-environment",
        "INPART_POLICY_MIN_FREE": "1G",
        "INPART_AIDS_USE": "a:b, c:d",
    }
    options = {"layout.name": "given", "policy.verify": None}
    found = rows(file, variables, options)
    assert found["layout.name"] == ("given", "command line")
    assert found["policy.min_free"] == (GIB, "INPART_POLICY_MIN_FREE")
    assert found["aids.use"] == (("a:b", "c:d"), "INPART_AIDS_USE")
    assert found["layout.segment_size"] == (8 * MIB, str(file))
    assert found["policy.retain"] == (False, str(file))
    assert found["policy.verify"] == ("stored", "default")
    configuration = load(file=file, environment=variables, options=options)
    assert (configuration.policy.layout, configuration.policy.aids) == ("given", ("a:b", "c:d"))
    assert (configuration.policy.options.segment_size, configuration.retain) == (8 * MIB, False)


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("TRUE", True), ("0", False), ("off", False)])
def test_truth_in_the_environment(text: str, value: bool) -> None:
    assert rows(environment={"INPART_POLICY_RETAIN": text})["policy.retain"] == (value, "INPART_POLICY_RETAIN")


def test_file_is_named_by_the_option_then_the_environment_then_the_system(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.toml"
    other.write_text("")
    assert gather(other, environment={"INPART_CONFIG": str(file)}).file == other
    assert gather(environment={"INPART_CONFIG": str(file)}).file == file
    monkeypatch.setattr(sources, "SYSTEM_FILE", other)
    assert gather(environment={}).file == other


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[layuot]\n", "there is no table [layuot]", "did you mean layout?"),
        ("layout = 3\n", "layout is a table, not a value", "write [layout] and keys below it"),
        ("[layout]\nsegmentsize = 3\n", "[layout] has no key 'segmentsize'", "did you mean segment_size?"),
        ("[policy]\nxyz = 3\n", "[policy] has no key 'xyz'", "known are: min_free, verify, retain"),
        ("[policy]\nverify = 'fulll'\n", "[policy] verify: 'fulll' will not do", "did you mean full?"),
        ("[layout]\nblock_size = '3x'\n", "'3x' is not a size", None),
        ("[layout]\nblock_size = 1\n", "it must be greater than or equal to 512", None),
        ("[layout]\nname = 3\n", "it must be a valid string", None),
        ("[policy]\nretain = 'yes'\n", "it must be a valid boolean", None),
        ("[policy]\nmin_free = true\n", "it must be a valid integer", None),
        ("[aids]\nuse = 'x'\n", "it must be a valid tuple", None),
        ("[aids\n", "not a TOML file", None),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_place(
    tmp_path: Path, text: str, message: str, hint: str | None
) -> None:
    assert refusal(tmp_path / "wrong.toml", text, message) == hint


def refusal(path: Path, text: str, message: str) -> str | None:
    """The hint of the error about a file, which names the file and what is wrong in it."""
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load(file=path, environment={})
    assert caught.value.message.startswith(f"{path}: ")
    assert message in caught.value.message
    return caught.value.hint


def test_a_file_of_strange_bytes_and_a_missing_one_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(UsageError, match="not a TOML file"):
        load(file=path, environment={})
    with pytest.raises(UsageError, match="No such file"):
        load(file=tmp_path / "absent.toml", environment={})
    with pytest.raises(UsageError, match="Is a directory"):
        load(file=tmp_path, environment={})


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"INPART_LAYOUT_NAM": "x"}, "INPART_LAYOUT_NAM is no setting"),
        ({"INPART_POLICY_RETAIN": "perhaps"}, "INPART_POLICY_RETAIN: .policy. retain: 'perhaps' will not do"),
        ({"INPART_POLICY_MIN_FREE": "-1"}, "'-1' is not a size"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(environment=variables)


DEVICES = """
[aids]
use = ["reserved"]
[[device]]
match = "/dev/mmcblk*"
layout.name = "blocks"
aids.use = ["partition"]
[[device]]
match = "*.img"
[device.policy]
min_free = "64M"
verify = "full"
[[device]]
match = "*/card.img"
policy.verify = "none"
"""


def test_tables_for_some_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "inpart.toml"
    path.write_text(DEVICES)

    def at(device: str | None, **options: object) -> dict[str, tuple[object, str]]:
        given = {key.replace("__", "."): value for key, value in options.items()}
        return {key: (value, source) for key, value, source in merge(gather(path, given, {}, device)).rows()}

    assert at(None)["aids.use"] == (("reserved",), str(path))
    assert at("/dev/sda1") == at(None)
    card = at("/dev/mmcblk0p2")
    assert card["aids.use"] == (("partition",), f"{path}: device /dev/mmcblk*")
    assert card["layout.name"] == ("blocks", f"{path}: device /dev/mmcblk*")
    assert at("/dev/mmcblk0p2", layout__name="contiguous")["layout.name"] == ("contiguous", "command line")
    assert load(file=path, environment={}, device="/dev/mmcblk0p2").policy.aids == ("partition",)
    other = at("disk.img#2")
    assert (other["policy.min_free"][0], other["policy.verify"][0]) == (64 * MIB, "full")
    (tmp_path / "card.img").write_bytes(b"")
    (tmp_path / "link").symlink_to("card.img")
    monkeypatch.chdir(tmp_path)
    for device in ("card.img#1", "card.img@1M", "link", "link#1"):
        assert at(device)["policy.verify"] == ("none", f"{path}: device */card.img")


def test_devices_by_the_names_that_udev_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = tmp_path / "disk"
    (links / "by-id").mkdir(parents=True)
    (tmp_path / "sda").write_bytes(b"")
    (links / "by-id/mmc-DG4016").symlink_to(tmp_path / "sda")
    (links / "by-id/broken").symlink_to("broken")
    monkeypatch.setattr(devices, "_LINKS", links)
    assert devices.fits(f"{links}/by-id/mmc-*", f"{tmp_path}/sda#1")
    assert not devices.fits(f"{links}/by-id/mmc-*", f"{tmp_path}/sdb")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("device = 3\n", "device is a list of tables", "write [[device]]"),
        ("[device]\nmatch = '*'\n", "device is a list of tables", "write [[device]]"),
        ("[[device]]\nlayout.name = 'x'\n", "has no pattern", 'such as match = "/dev/mmcblk*"'),
        ("[[device]]\nmatch = 3\n", "has no pattern", 'such as match = "/dev/mmcblk*"'),
        (
            "[[device]]\nmatch = 'x'\nlayuot.name = 'x'\n",
            "device x: there is no table [layuot]",
            "did you mean layout?",
        ),
        ("[[device]]\nmatch = 'x'\nlayout.nme = 'x'\n", "device x: [layout] has no key 'nme'", "did you mean name?"),
        ("[[device]]\nmatch = 'x'\npolicy.verify = 'ful'\n", "'ful' will not do", "did you mean full?"),
        ("[[device]]\nmatch = 'x'\nplugins.disabled = []\n", "there is no table [plugins]", None),
    ],
)
def test_what_is_wrong_is_named_also_if_no_device_fits(
    tmp_path: Path, text: str, message: str, hint: str | None
) -> None:
    said = refusal(tmp_path / "wrong.toml", text, message)
    assert hint is None or said == hint
