"""ext2, ext3 and ext4 as distributions and builders make them, by the options of mke2fs.

Small as they are here, their blocks have 1 KiB unless something else is said.
"""

FEATURES: dict[str, tuple[str, tuple[str, ...]]] = {
    "default": ("ext4", ()),
    "ext2": ("ext2", ()),
    "ext3": ("ext3", ()),
    "2k-blocks": ("ext4", ("-b", "2048")),
    "4k-blocks": ("ext4", ("-b", "4096")),
    "128-byte-inodes": ("ext4", ("-I", "128")),
    "1024-byte-inodes": ("ext4", ("-I", "1024")),
    "checksum-seed": ("ext4", ("-O", "metadata_csum_seed")),
    "orphan-file": ("ext4", ("-O", "orphan_file,metadata_csum_seed")),
    "no-journal": ("ext4", ("-O", "^has_journal")),
    "no-checksums": ("ext4", ("-O", "^metadata_csum")),
    "group-checksums": ("ext4", ("-O", "^metadata_csum,uninit_bg")),
    "no-extents": ("ext4", ("-O", "^extent,^64bit")),
    "no-resize-inode": ("ext4", ("-O", "^resize_inode")),
    "sparse-super2": ("ext4", ("-O", "sparse_super2")),
    "bigalloc": ("ext4", ("-O", "bigalloc", "-C", "16384")),
    "large-dir": ("ext4", ("-O", "large_dir")),
    "fast-commit": ("ext4", ("-O", "fast_commit")),
    "casefold": ("ext4", ("-O", "casefold")),
    "encrypt": ("ext4", ("-O", "encrypt")),
    "verity": ("ext4", ("-O", "verity")),
    "inode-attributes": ("ext4", ("-O", "ea_inode")),
    "inline-data": ("ext4", ("-O", "inline_data")),
    "inline-data-1k": ("ext4", ("-O", "inline_data", "-b", "1024", "-I", "512")),
    "inline-data-no-extents": ("ext4", ("-O", "inline_data,^extent,^64bit")),
    "all-at-once": (
        "ext4",
        ("-O", "orphan_file,metadata_csum_seed,inline_data,large_dir,fast_commit,ea_inode,encrypt,verity"),
    ),
}
