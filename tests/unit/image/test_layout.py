"""Which partition is which: by order when there are four, else by labels and names; never by a guess."""

import itertools

import pytest

from mtls_ambassador.image.layout import Layout, Roles, Volume, choose_volume, find_layout, named_layout, usable_rootfs
from mtls_ambassador.image.partition_table import EFI_SYSTEM, Partition
from mtls_ambassador.image.superblock import Ext, Fat, OtherSystem
from mtls_ambassador.model.errors import AmbassadorError

LINUX = "83"


def volume(number: int, label: str = "", *, name: str = "", kind: str = LINUX, system: str = "ext4") -> Volume:
    partition = Partition(number, number << 20, 1 << 20, kind, name)
    if system == "vfat":
        return Volume(partition, Fat(label, 1 << 20, is_dirty=False))
    if system != "ext4":
        return Volume(partition, OtherSystem(system, label) if system else None)
    return Volume(partition, Ext(label, 4096, 1, 1 << 20, ("extents",), 1, 0, 8, ""))


def roles(layout: Layout, volumes: tuple[Volume, ...]) -> dict[int, str]:
    return {item.partition.number: layout.role(item) for item in volumes if layout.role(item)}


def found(*volumes: Volume) -> dict[int, str]:
    return roles(find_layout(volumes), volumes)


@pytest.mark.parametrize("numbers", [(1, 2, 3, 4), (1, 2, 3, 5), (1, 5, 6, 7), (2, 3, 4, 9)])
def test_four_are_taken_by_order_whatever_they_are_called(numbers: tuple[int, ...]) -> None:
    labels = ("data", "boot", "", "primary")
    volumes = [volume(number, label) for number, label in zip(numbers, labels, strict=True)]
    assert found(*volumes) == dict(zip(numbers, ("boot", "rootfs A", "rootfs B", "data"), strict=True))


@pytest.mark.parametrize(
    ("first", "second"),
    [("primary", "secondary"), ("rootfsA", "rootfsB"), ("ROOTFS-A", "rootfs_b"), ("primary", "RootfsB")],
)
@pytest.mark.parametrize("by_name", [False, True])
def test_other_numbers_are_taken_by_label_or_name(first: str, second: str, *, by_name: bool) -> None:
    labels = ("", "DATA", second, "swap", first, "Boot")
    volumes = [
        volume(number, "" if by_name else label, name=label if by_name else "")
        for number, label in enumerate(labels, 1)
    ]
    assert found(*volumes) == {2: "data", 3: "rootfs B", 5: "rootfs A", 6: "boot"}


@pytest.mark.parametrize("kind", [EFI_SYSTEM, "ef"])
def test_the_efi_system_partition_is_the_boot_one_if_none_is_called_so(kind: str) -> None:
    efi = volume(1, "SYSTEM", kind=kind, system="vfat")
    assert found(efi, volume(2, "data"), volume(3)) == {1: "boot", 2: "data"}
    assert found(efi, volume(2, "boot"), volume(3)) == {2: "boot"}
    assert found(volume(1, kind=kind), volume(2), volume(3)) == {}
    assert found(efi, volume(2, kind=kind, system="vfat"), volume(3)) == {}


@pytest.mark.parametrize("twice", ["data", "boot"])
def test_what_two_are_called_is_none(twice: str) -> None:
    assert found(volume(1, twice), volume(2, twice), volume(3, "primary")) == {3: "rootfs A"}


@pytest.mark.parametrize("labels", list(itertools.permutations(["primary", "secondary", "rootfsB"])))
def test_of_root_file_systems_that_are_ambiguous_none_is_taken(labels: tuple[str, ...]) -> None:
    assert found(*(volume(number, label) for number, label in enumerate(labels, 1))) == {}


def test_what_is_not_called_anything_is_not_guessed() -> None:
    for count in (1, 2, 3, 5, 6):
        assert found(*(volume(number) for number in range(1, count + 1))) == {}


def test_a_file_system_alone_is_the_root_one() -> None:
    alone = volume(0, "data")
    assert find_layout((alone,)) == Layout((alone,))


def test_an_empty_or_unknown_root_file_system_is_left_out() -> None:
    volumes = (volume(1), volume(2), volume(3, system=""), volume(4))
    assert usable_rootfs(find_layout(volumes)) == (volumes[1],)
    squashed = (volume(1), volume(2, system="squashfs"), volume(3, system="xfs"), volume(4))
    assert usable_rootfs(find_layout(squashed)) == ()


def test_a_person_names_one_by_number_label_or_name() -> None:
    volumes = (volume(1, "one"), volume(2, "TWO", name="second"), volume(5, "five"), volume(6, "five"))
    assert choose_volume(volumes, 5, None) is volumes[2]
    assert choose_volume(volumes, None, "two") is volumes[1]
    assert choose_volume(volumes, None, "SECOND") is volumes[1]
    for number, label, said in ((3, None, "--partition 3 names none"), (None, "five", "--label five names 2 of")):
        with pytest.raises(AmbassadorError, match=said):
            choose_volume(volumes, number, label)
    with pytest.raises(AmbassadorError, match="names none"):
        choose_volume(volumes, None, "")


def test_a_person_names_the_parts() -> None:
    volumes = tuple(volume(number) for number in range(1, 7))
    assert roles(named_layout(volumes, Roles((5, 6), boot=1, data=3)), volumes) == {
        1: "boot",
        3: "data",
        5: "rootfs A",
        6: "rootfs B",
    }
    with pytest.raises(AmbassadorError, match="--partition 9 names none"):
        named_layout(volumes, Roles((9,)))
