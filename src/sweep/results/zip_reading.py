"""Reads a zip that somebody else has made: one laid out as sweep does it, and never more of it than it declares.

A zip names its members twice, in a directory at its end and in a header before each; what lies between, before or
behind them belongs to nobody. Readers differ in what they make of an archive where the two disagree, which is what
attacks live on. So every byte must belong to one member, or to the directory, and be what both places say.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_LOCAL = struct.Struct("<4s5H3L2H")
_EXTRA = struct.Struct("<2H")
_LOCAL_MARK, _END_MARK, _END_64_MARK, _LOCATOR_64_MARK = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_UTF_8 = 0x800
_ALLOWED_FLAGS = _UTF_8 | 0x6  # the two say how hard a compressor tried
_DOS_KINDS = 0x08 | 0x10  # a volume's label, a folder
_ZIP64_EXTRA = 1
_INFO_ZIP_EXTRAS = (0x5455, 0x7875)
"""Times, and the owner's numbers, as the program `zip` adds them to each member."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DIRECTORY_BYTES = 1024
"""Of the directory for each member, at most; its longest name takes half of that."""
_MOST_DEFLATE_SAVES = 1032
"""To one: deflate's own limit (zlib, "Technical Details")."""
_CHUNK = 1 << 18


class ZipError(Exception):
    """An archive is damaged or hostile.

    Attributes:
        reason: In one clause.
        member: Whose fault it is; empty for the whole archive's.
    """

    def __init__(self, reason: str, member: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.member = member


@dataclass(frozen=True)
class Member:
    """One file in an archive.

    Attributes:
        name: As the archive spells it, whatever that may hold.
        size: Unpacked, in bytes, as declared.
        compressed_size: In the archive, in bytes.
        offset: Where its data begin.
        method: `zipfile.ZIP_STORED` or `zipfile.ZIP_DEFLATED`.
        crc: CRC-32 of the data, as declared.
    """

    name: str
    size: int
    compressed_size: int
    offset: int
    method: int
    crc: int


def read_members(file: BinaryIO, max_members: int, *, foreign: bool = False) -> list[Member]:
    """Return what is in an archive, in its own order.

    Args:
        file: The archive.
        max_members: How many it may have.
        foreign: Whether another program than sweep may have made it: then empty members that stand for folders, whose
            names end in `/`, are among the members, and times and owners may stand beside a member's name.

    Raises:
        ZipError: It is no zip, is cut off, holds bytes that belong to no member, has more members than `max_members`,
            or one that is not a plain file, is encrypted, or compressed in another way than sweep's.
    """
    extras = (_ZIP64_EXTRA, *_INFO_ZIP_EXTRAS) if foreign else (_ZIP64_EXTRA,)
    entries, directory_bytes, directory = _end(file, max_members)
    if directory_bytes > entries * _DIRECTORY_BYTES:
        raise ZipError("has a directory that is larger than its names need")
    try:
        with zipfile.ZipFile(file) as archive:
            found = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error, EOFError) as error:
        raise ZipError(f"has a damaged directory: {error}") from error
    if len(found) != entries:
        raise ZipError(f"declares {entries} members and lists {len(found)}")
    for info in found:
        _check_kind(info, extras, may_be_folder=foreign)
    return _laid_out(file, found, directory, extras)


def chunks(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """Yield the data of a member piece by piece, never more than it declares.

    Raises:
        ZipError: They are damaged, cut off, more or less than declared, or something follows them.
    """
    size, crc = 0, 0
    for piece in _raw(file, member) if member.method == zipfile.ZIP_STORED else _inflated(file, member):
        size += len(piece)
        crc = zlib.crc32(piece, crc)
        if size > member.size:
            raise ZipError(f"holds more than the {member.size} bytes that it declares", member.name)
        yield piece
    if size != member.size:
        raise ZipError(f"holds {size} bytes and declares {member.size}", member.name)
    if crc != member.crc:
        raise ZipError("is damaged: its checksum is another", member.name)


def _end(file: BinaryIO, max_members: int) -> tuple[int, int, int]:
    """Return how many members there are, and size and place of the directory, from the record at the very end."""
    size = file.seek(0, 2)
    if _read(file, 0, 2) != _LOCAL_MARK[:2]:
        raise ZipError("is no zip archive")
    at = size - _END.size
    if at < 0 or _read(file, at, len(_END_MARK)) != _END_MARK:
        raise ZipError("is cut off, or something follows its end")
    _, *disks, here, entries, length, start, comment = _END.unpack(_read(file, at, _END.size))
    declared = (entries, length, start)
    at_64 = at - _LOCATOR_64.size
    if at_64 >= 0 and _read(file, at_64, len(_LOCATOR_64_MARK)) == _LOCATOR_64_MARK:
        at = at_64 - _END_64.size
        if at < 0 or _LOCATOR_64.unpack(_read(file, at_64, _LOCATOR_64.size))[1:] != (0, at, 1):
            raise ZipError("has a damaged end")
        mark, own, _, _, *disks, here, entries, length, start = _END_64.unpack(_read(file, at, _END_64.size))
        limits = (_FULL_16, _FULL_32, _FULL_32)
        agrees = all(
            short in (full, limit)
            for short, full, limit in zip(declared, (entries, length, start), limits, strict=True)
        )
        if mark != _END_64_MARK or own != _END_64.size - 12 or not agrees:
            raise ZipError("has a damaged end")
    elif _FULL_16 in declared[:1] or _FULL_32 in declared[1:]:
        raise ZipError("has a damaged end")
    if any(disks) or here != entries or comment:
        raise ZipError("is split over several files, or carries a comment")
    if start + length != at:
        raise ZipError("holds bytes that belong to no member")
    if entries > max_members:
        raise ZipError(f"has {entries} members, more than {max_members}")
    return entries, length, start


def _check_kind(info: zipfile.ZipInfo, extras: Sequence[int], *, may_be_folder: bool) -> None:
    """Refuse whatever is not a plain file, compressed as sweep does it, or a folder where such may be."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    dos_kinds = info.external_attr & _DOS_KINDS
    is_folder = may_be_folder and info.orig_filename.endswith("/") and not info.file_size
    if is_folder and kind in (0, stat.S_IFDIR):
        kind, dos_kinds = 0, 0
    wrong = (
        ("is encrypted", info.flag_bits & _ENCRYPTED),
        ("has a flag that sweep does not set", info.flag_bits & ~_ALLOWED_FLAGS),
        ("is a symbolic link", kind == stat.S_IFLNK),
        ("is no plain file", kind not in (0, stat.S_IFREG) or dos_kinds),
        ("is compressed in a way that sweep does not use", info.compress_type not in _METHODS),
        ("is stored, in another size than its own", not info.compress_type and info.compress_size != info.file_size),
        ("declares more than can be in it", info.file_size > info.compress_size * _MOST_DEFLATE_SAVES),
        ("lies in another file", info.volume),
        ("carries a comment", info.comment),
        ("carries extra fields", not _is_plain_extra(info.extra, extras)),
    )
    if reason := next((reason for reason, is_so in wrong if is_so), None):
        raise ZipError(reason, info.orig_filename)


def _laid_out(file: BinaryIO, found: Sequence[zipfile.ZipInfo], directory: int, extras: Sequence[int]) -> list[Member]:
    """Return the members; refuse an archive in which they overlap, or leave something between them."""
    members: list[Member] = []
    end = 0
    for info in sorted(found, key=lambda one: one.header_offset):
        if info.header_offset < end:
            raise ZipError("overlaps another member", info.orig_filename)
        if info.header_offset > end:
            raise ZipError("holds bytes that belong to no member")
        offset = _data_offset(file, info, extras)
        members.append(
            Member(info.orig_filename, info.file_size, info.compress_size, offset, info.compress_type, info.CRC)
        )
        end = offset + info.compress_size
    if end != directory:
        raise ZipError("overlaps the directory" if end > directory else "holds bytes that belong to no member")
    return members


def _data_offset(file: BinaryIO, info: zipfile.ZipInfo, extras: Sequence[int]) -> int:
    """Return where a member's data begin, behind its own header, which must say what the directory says."""
    try:
        mark, _, flags, method, _, _, crc, _, _, name_bytes, extra_bytes = _LOCAL.unpack(
            _read(file, info.header_offset, _LOCAL.size)
        )
    except struct.error as error:
        raise ZipError("is cut off", info.orig_filename) from error
    start = info.header_offset + _LOCAL.size
    name = _read(file, start, name_bytes)
    extra = _read(file, start + name_bytes, extra_bytes)
    wanted = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF_8 else "cp437")
    told = (mark, flags, method, crc, name)
    if told != (_LOCAL_MARK, info.flag_bits, info.compress_type, info.CRC, wanted) or not _is_plain_extra(
        extra, extras
    ):
        raise ZipError("has a header that is not what the directory says", info.orig_filename)
    return int(start + name_bytes + extra_bytes)


def _is_plain_extra(extra: bytes, allowed: Sequence[int]) -> bool:
    """Return whether the extra fields are of the kinds allowed, long sizes say: others can give a second name."""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        if kind not in allowed:
            return False
        at += _EXTRA.size + length
    return at == len(extra)


def _raw(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """Yield what lies in the archive. It seeks before every read, so that readers may alternate."""
    done = 0
    while done < member.compressed_size:
        piece = _read(file, member.offset + done, min(_CHUNK, member.compressed_size - done))
        if not piece:
            raise ZipError("is cut off", member.name)
        done += len(piece)
        yield piece


def _inflated(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """Yield deflated data, unpacked; whatever follows their end is refused."""
    inflater, done = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        for raw in _raw(file, member):
            if inflater.eof:  # or what follows would gather in its memory
                break
            yield from _unpacked(inflater, raw)
            done += len(raw)
    except zlib.error as error:
        raise ZipError(f"is damaged: {error}", member.name) from error
    if not inflater.eof:
        raise ZipError("is cut off", member.name)
    if inflater.unused_data or done != member.compressed_size:
        raise ZipError("holds bytes behind its end", member.name)


def _unpacked(inflater: zlib._Decompress, raw: bytes) -> Iterator[bytes]:
    """Yield what some bytes unpack to, a chunk at most at a time, however much that is."""
    while True:
        piece = inflater.decompress(raw, _CHUNK)
        raw = inflater.unconsumed_tail
        if piece:
            yield piece
        if not raw and len(piece) < _CHUNK:
            return


def _read(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)
