"""File trees, listed with everything that a layer can say of a file: two trees are one when their lists are equal."""
import hashlib
import os
import stat
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFIFO: "pipe", stat.S_IFCHR: "character device",
         stat.S_IFBLK: "block device", stat.S_IFSOCK: "socket"}
TAR_KINDS = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "link", tarfile.FIFOTYPE: "pipe", tarfile.CHRTYPE: "character device",
             tarfile.BLKTYPE: "block device"}


@dataclass(frozen=True)
class Node:
    kind: str
    mode: int
    owner: tuple
    time: int  # of its last change, in ns
    content: str = ""  # a file's digest, a link's target
    size: int = 0
    device: tuple = (0, 0)
    xattrs: tuple = ()  # (name, value), sorted
    names: tuple = ()  # all names of a file that has several, sorted


def digest_of(file) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def with_names(nodes: dict, inodes: dict) -> dict:
    """`inodes` maps a path to what is the same for all names of one file."""
    groups = {}
    for path, inode in inodes.items():
        groups.setdefault(inode, []).append(path)
    for paths in groups.values():
        for path in paths if len(paths) > 1 else ():
            nodes[path] = replace(nodes[path], names=tuple(sorted(paths)))
    return nodes


def of_folder(top, without=()) -> dict:
    """Path below `top` → Node; what is on other file systems, or in `without`, is left out. By descriptors: paths may be of any length."""
    nodes, inodes = {}, {}
    begin = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    volume = os.fstat(begin).st_dev

    def walk(folder, prefix):
        for name in sorted(os.listdir(folder)):
            path, found = prefix + name, os.stat(name, dir_fd=folder, follow_symlinks=False)
            if found.st_dev != volume or path in without:
                continue
            nodes[path] = node_at(folder, name, found)
            if stat.S_ISDIR(found.st_mode):
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                try:
                    walk(inner, path + "/")
                finally:
                    os.close(inner)
            elif found.st_nlink > 1:
                inodes[path] = found.st_ino
    try:
        walk(begin, "")
    finally:
        os.close(begin)
    return with_names(nodes, inodes)


def node_at(folder: int, name: str, found) -> Node:
    kind, content, size, device = KINDS[stat.S_IFMT(found.st_mode)], "", 0, (0, 0)
    if kind == "file":
        size = found.st_size
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), "rb") as file:
            content = digest_of(file)
    elif kind == "link":
        content = os.readlink(name, dir_fd=folder)
    elif "device" in kind:
        device = (os.major(found.st_rdev), os.minor(found.st_rdev))
    here = f"/proc/self/fd/{folder}/{name}"
    xattrs = tuple((x, os.getxattr(here, x, follow_symlinks=False)) for x in sorted(os.listxattr(here, follow_symlinks=False)))
    mode = 0o777 if kind == "link" else stat.S_IMODE(found.st_mode)
    return Node(kind, mode, (found.st_uid, found.st_gid), found.st_mtime_ns, content, size, device, xattrs)


def of_tar(file, without=()) -> dict:
    """The same of an archive: a path or an open file, compressed or not."""
    nodes, inodes = {}, {}
    source = {"name": file} if isinstance(file, (str, Path)) else {"fileobj": file}
    with tarfile.open(**source) as archive:
        for member in archive:
            path = member.name.removeprefix("./").strip("/")
            if path in ("", ".") or any(path == w or path.startswith(w + "/") for w in without):
                continue
            if member.islnk():
                first = member.linkname.removeprefix("./").strip("/")
                nodes[path], inodes[path] = nodes[first], inodes[first]
                continue
            nodes[path] = node_of(archive, member)
            if not member.isdir():
                inodes[path] = member.offset
    return with_names(nodes, inodes)


def node_of(archive, member) -> Node:
    kind = "file" if member.isreg() else TAR_KINDS[member.type]
    content = digest_of(archive.extractfile(member)) if kind == "file" else member.linkname if kind == "link" else ""
    prefix = "SCHILY.xattr."
    xattrs = tuple(sorted((key.removeprefix(prefix), value.encode("utf-8", "surrogateescape"))
                          for key, value in member.pax_headers.items() if key.startswith(prefix)))
    mode = 0o777 if kind == "link" else stat.S_IMODE(member.mode)
    device = (member.devmajor, member.devminor) if "device" in kind else (0, 0)
    return Node(kind, mode, (member.uid, member.gid), nanoseconds(member), content, member.size if kind == "file" else 0, device, xattrs)


def nanoseconds(member) -> int:
    """Python keeps a time as a float, which is good to a quarter of a microsecond: the header has all of its digits."""
    whole, _, part = member.pax_headers.get("mtime", str(int(member.mtime))).partition(".")
    return int(whole) * 10**9 + (-1 if whole.startswith("-") else 1) * int(part[:9].ljust(9, "0"))


def differences(wanted: dict, found: dict, **coarser) -> list:
    """What is not the same, as sentences; `coarser` maps a Node's field to what is compared in its place."""
    def seen(node):
        return {field: coarser[field](value) if field in coarser else value for field, value in vars(node).items()}
    out = [f"{path!r}: missing" for path in wanted.keys() - found.keys()]
    out += [f"{path!r}: not expected" for path in found.keys() - wanted.keys()]
    for path in wanted.keys() & found.keys():
        one, other = seen(wanted[path]), seen(found[path])
        out += [f"{path!r}: {field}: wanted {one[field]!r}, found {other[field]!r}" for field in one if one[field] != other[field]]
    return sorted(out)


def assert_same(wanted: dict, found: dict, **coarser):
    told = differences(wanted, found, **coarser)
    assert wanted and not told, f"{len(told)} differences:\n" + "\n".join(told[:30])
