"""`mtls-ambassador image`: files in disk images, in place, without root."""

import click

from mtls_ambassador.cli.lazy import LazyGroup

COMMANDS = {
    "ls": "List an image's partitions, or a folder in it.",
    "cat": "Print a file of an image.",
    "cp": "Copy a file into an image, or out of it.",
    "install": "Put a file into an image, with mode and owner.",
    "overlay": "Put a folder's files over an image's, in one edit.",
    "rm": "Remove a file of an image.",
    "audit": "Look for what would keep devices out, before images are shipped.",
    "apply": "Put a device's patch on a disk or a file, with the golden image.",
    "provision": "Make the images of a whole order, each with its own key and certificate.",
}


@click.group("image", cls=LazyGroup)
def command() -> None:
    """Files in disk images, in place, without root: keys, certificates and mender.conf of every device.

    A path is written IMAGE:/path, as for mender-artifact: /data is the data partition, /uboot, /boot/efi and /boot/grub
    the boot partition, everything else the root file system, A and B. Or name a partition by --partition or --label.
    """


command.load_from("mtls_ambassador.cli.image_", COMMANDS)
