"""What users do wrong: commands, and what they are told."""

from typing import NamedTuple

LONG = "n" * 65
PORT, OTHER, SMALL = "http://h:70000/", "0" * 63 + "1", "-s 4096 -b 1"


class Case(NamedTuple):
    """A command, with `{name}` for a path of the stage; its exit code; and what the error says and advises."""

    command: str
    code: int
    message: str
    hint: str


# fmt: off
NOT_A_VOLUME = (
    Case("ls {missing}", 8, "missing cannot be read: No such file or directory", "look at the name"),
    Case("add {missing} {small}", 8, "missing cannot be written: No such file or directory", "look at the name"),
    Case("ls {small}/x", 8, "cannot be read: Not a directory", "look at its name"),
    Case("ls {folder}", 8, "folder is a directory", "give the image file or the device"),
    Case("add {folder} {small}", 8, "folder cannot be written: Is a directory", "give the image file or the device"),
    Case("ls {fifo}", 8, "fifo is neither a regular file nor a block device", "give the image file or the device"),
    Case("add {fifo} {small}", 8, "fifo is neither a regular file nor a block device", "give the image file"),
    Case("ls /dev/null", 8, "/dev/null is neither a regular file nor a block device", "give the image file"),
    Case("ls {socket}", 8, "socket cannot be read: No such device or address", "look at its name"),
    Case("ls {loop}", 8, "loop cannot be read: Too many levels of symbolic links", "look at its name"),
    Case(f"ls {'n' * 300}", 8, "cannot be read: File name too long", "look at its name"),
    Case("ls {empty}", 3, "empty is no SHFS volume: it is too short for a label", "`shfs mkfs` makes one"),
    Case("ls {garbage}", 3, "garbage is no SHFS volume: it has no label", "`shfs mkfs` makes one"),
    Case("cat {garbage} a", 3, "garbage is no SHFS volume: it has no label", "`shfs mkfs` makes one"),
    Case("check {garbage}", 3, "garbage is no SHFS volume: it has no label", "`shfs mkfs` makes one"),
    Case("add {garbage} {small}", 3, "garbage is no SHFS volume: it has no label", "`shfs mkfs` makes one"),
    Case("rm {empty} a", 3, "empty is no SHFS volume", "`shfs mkfs` makes one"),
    Case("info {short}", 3, r"short has 40000 bytes, and volume vol needs \d+ of it", "a copy of the volume"),
    Case("add {short} {small}", 3, "short has 40000 bytes, and volume vol needs", "a copy of the volume"),
)
MEMBERS = (
    Case("ls {two0}", 3, "volume two has 2 members, and 1 of them is not given: 1", "give all members"),
    Case("add -v {two1} {small}", 3, "volume two has 2 members, and 1 of them is not given: 0", "give all members"),
    Case("ls -v {two0} -v {two0}", 8, "two0 was given twice", "give each member once"),
    Case("add -v {two0} -v {two0} {small}", 8, "two0 was given twice", "give each member once"),
    Case("ls -v {two0} -v {copy0}", 3, "copy0 is there twice, perhaps as a copy", "give each member once"),
    Case("add -v {two0} -v {copy0} {small}", 3, "copy0 is there twice, perhaps as a copy", "give each member once"),
    Case("ls -v {two0} -v {other1}", 3, "other1 belongs to another volume than .*two0", "volume two has 2 members"),
    Case("ls -v {two0} -v {two1} -v {vol}", 3, "vol belongs to another volume than", "volume two has 2 members"),
    Case("rm -v {two0} -v {garbage} a", 3, "garbage is no SHFS volume: it has no label", "`shfs mkfs` makes one"),
    Case("ls -v {two0} -v {missing}", 8, "missing cannot be read", "look at the name"),
    Case(f"ls {' '.join(['-v {vol}'] * 17)}", 8, "17 members were given", "1 to 16"),
    Case("ls -v {two0} -v {edited1}", 3, "the labels of .*two0 and .*edited1 contradict each other", "`shfs check`"),
)
ADD = (
    Case("add {vol} {missing}", 8, "missing cannot be read: No such file or directory", "look at its name"),
    Case("add {vol} {fifo}", 8, "fifo is no regular file", "an object is made of a regular file"),
    Case("add {vol} /dev/zero", 8, "/dev/zero is no regular file", "an object is made of a regular file"),
    Case(f"add {{vol}} {{small}} -n {LONG}", 8, "the name 'n+' has 65 bytes", "an entry holds 64"),
    Case(f"add {{vol}} {{small}} -n {'é' * 33}", 8, "the name 'é+' has 66 bytes", "an entry holds 64"),
    Case("add {vol} {long}", 8, "the name of .*/l+ would have 65 bytes, and an entry holds 64", "name"),
    Case(f"add {{vol}} {{small}} -m text/{'x' * 28}", 8, "the MIME type '.*' has 33 bytes", "an entry holds 32"),
    Case("add {vol} {small} -d xyz", 8, "'xyz' is no digest", "hexadecimal"),
    Case("add {vol} {small} -d abc", 8, "'abc' is no digest", "hexadecimal"),
    Case("add {vol} {small} -d abcd", 8, "the digest of .*small has 2 bytes", "it has 32, which is 64 digits"),
    Case(f"add {{vol}} {{small}} -d {OTHER}", 8, "the digest of .*small is .*, and not the one given", "damaged"),
    Case("add {vol} {small} {more} -n x", 8, "a name or a digest was given for several files", "one by one"),
    Case("add {manual} {small}", 8, "small needs a digest, since those of volume manual are given by", "40 digits"),
    Case("add {manual} {small} -d abcd", 8, "the digest of .*small has 2 bytes", "it has 20, which is 40 digits"),
    Case(f"add {{manual}} {{small}} -d {'00' * 20}", 8, "the digest of .*small is all zeros", "leave the file out"),
    Case("add {crc} {empty}", 8, "the digest of .*empty is all zeros", "use another hash function"),
    Case("add {vol} {held}", 7, "held is on the volume already, as object [0-9a-f]{64} named 'held'", "once"),
    Case("add {vol} {big}", 6, "there is no room for .*big on volume vol", r"\d+ chunks are free, \d+ of them"),
    Case("add {full} {small}", 6, "no room for .*small on volume full: it takes 1 chunks of 4096 bytes", "0 chunks"),
    Case("add {full} {empty}", 6, "no room for .*empty on volume full", "0 chunks are free"),
    Case("add {waiting} {small}", 6, "no room for .*small on volume waiting", "`shfs trim` frees 1 chunks"),
    Case("add {bucket} {small}", 6, "bucket 0 of volume bucket is full", "shfs mkfs --entries"),
    Case("link {bucket} http://h/", 6, "bucket 0 of volume bucket is full", "shfs mkfs --entries"),
    Case("import {vol} {missing}", 8, "missing", "."),
    Case("apply {vol} {missing}", 8, "missing", "."),
)
LINK = (
    Case("link {vol} ftp://h/x", 8, "a link to 'ftp://h/x' is not possible: its scheme is ftp", "by http only"),
    Case("link {vol} https://h/x", 8, "its scheme is https", "by http only"),
    Case("link {vol} h://x.example/z", 8, "its scheme is h", "by http only"),
    Case("link {vol} htt://x.example/z", 8, "its scheme is htt", "by http only"),
    Case("link {vol} h.example/x", 8, "its scheme is missing", "by http only"),
    Case("link {vol} //h.example/x", 8, "its scheme is missing", "by http only"),
    Case("link {vol} http://", 8, "'http://' is no URL", "http://HOST"),
    Case("link {vol} http:///x", 8, "'http:///x' is no URL", "http://HOST"),
    Case("link {vol} http://[::1", 8, "'http://\\[::1' is no URL", "http://HOST"),
    Case("link {vol} http://u:p@h/", 8, "the URL 'http://u:p@h/' has a user's name", "leave it out"),
    Case("link {vol} http://h/x#y", 8, "the URL 'http://h/x#y' has a fragment", "leave it out"),
    Case(f"link {{vol}} {PORT}", 8, "'http://h:70000/' is no URL: Port out of range", "PORT"),
    Case("link {vol} http://h:port/", 8, "is no URL: Port could not be cast", "PORT"),
    Case(f"link {{vol}} http://{'h' * 33}/", 8, "the host of 'http://h+/' has 33 bytes", "an entry holds 32"),
    Case(f"link {{vol}} http://h/{'p' * 71}", 8, "the path of 'http://h/p+' has 71 bytes", "an entry holds 70"),
    Case(f"link {{vol}} http://h/x?{'q' * 70}", 8, "the path of .* has 72 bytes", "71 with its query"),
    Case("link {vol} http://[::1]/x", 8, "is an IPv6 address", "use a name"),
    Case("link {vol} http://h\x01/x", 8, "is no URL", "%20"),
    Case(f"link {{vol}} http://h/x -n {LONG}", 8, "the name 'n+' has 65 bytes", "an entry holds 64"),
    Case(f"link {{vol}} http://h/{'p' * 65}", 8, "the name 'p+' has 65 bytes", "an entry holds 64"),
    Case("link {vol} http://held.example/", 7, "held.example/ is on the volume already, as object", "once"),
    Case("link {manual} http://h/", 8, "http://h/ needs a digest", "40 digits"),
    Case("link {vol} http://h/ -d abcd", 8, "the digest of http://h/ is [0-9a-f]{64}, and not", "damaged"),
)
OBJECT = (
    *(Case(f"{command} {{vol}} {wanted}", code, message, hint)
    for command in ("rm", "cat", "stat", "default")
    for wanted, code, message, hint in (
        ("unknown", 7, "there is no object unknown on volume vol", "`shfs ls` lists names and digests"),
        (f"?{OTHER}", 7, f"there is no object .{OTHER} on volume vol", "`shfs ls` lists names and digests"),
        (f"--digest {OTHER}", 7, f"there is no object .{OTHER} on volume vol", "`shfs ls` lists names and digests"),
        ("--digest xyz", 8, "'xyz' is no digest", "hexadecimal"),
        ("?xyz", 7, "there is no object .xyz on volume vol", "`shfs ls` lists names and digests"),
    )),
    Case("rm {vol} held unknown", 7, "there is no object unknown on volume vol", "`shfs ls`"),
    Case("rm {vol} double", 7, "2 objects on volume vol are named double", "give the digest of one"),
    Case("default {vol} double", 7, "2 objects on volume vol are named double", "give the digest of one"),
    Case("default {vol}", 7, "volume vol has no default object", "sets it"),
    Case("cat {vol}", 7, "volume vol has no default object", "give a name, or --digest HEX"),
    Case("cat {vol} held.example", 7, "held.example is a link to http://held.example/", "another server"),
)
MKFS = (
    Case("mkfs -f {vol} -n seventeen-letters", 8, "the volume's name 'seventeen-letters' has 17 bytes", "holds 16"),
    Case("mkfs -f {vol} --uuid 1234", 8, "'1234' is no UUID", "for example"),
    Case("mkfs -f {vol} --uuid=", 8, "'' is no UUID", "for example"),
    Case("mkfs -f {vol} --member-uuid no", 8, "'no' is no UUID", "for example"),
    Case(f"mkfs -f {SMALL} {{two0}} {{two1}} --member-uuid {'1' * 32}", 8, "1 UUIDs were given for 2", "each its own"),
    Case(f"mkfs -f {SMALL} {{two0}} {{two1}} {f'--member-uuid {1:032} ' * 2}", 8, "2 UUIDs were given", "each its own"),
    Case("mkfs -f {vol} -s 5000", 8, "a stripe of 5000 bytes is not possible", "power of two from 4096 to 32768"),
    Case("mkfs -f {vol} -s 65536", 8, "a stripe of 65536 bytes is not possible", "power of two from 4096 to 32768"),
    Case("mkfs -f {vol} -b 0", 8, "a table of 0 buckets of 8 entries is not possible", "both are at least 1"),
    Case("mkfs -f {vol} -e -1", 8, "a table of 2048 buckets of -1 entries is not possible", "both are at least 1"),
    Case("mkfs -f {vol} -b 65536 -e 65536", 8, "a table of 65536 buckets of 65536", "less than 4294967296"),
    Case("mkfs -f {vol} --hash-len 33", 8, "SHA has no digest of 33 bytes", "20, 28, 32, 48 or 64"),
    Case("mkfs -f {vol} --hash manual --hash-len 65", 8, "a digest of 65 bytes", "1 to 64"),
    Case("mkfs -f {vol}", 6, "vol is too small: it has .* bytes, and label and table need 4243456", "--buckets"),
    Case("mkfs -f {vol} -b 4294967295 -e 1", 6, "vol is too small", "make it larger, or the table smaller"),
    Case("mkfs {empty}", 6, "empty is too small: it has 0 bytes", "make it larger"),
    Case("mkfs -s 4096 -b 1 {small}", 6, "small is too small: it has 5 bytes", "make it larger"),
    Case("mkfs {missing}", 8, "missing cannot be written: No such file or directory", "look at the name"),
    Case("mkfs {folder}", 8, "folder cannot be written: Is a directory", "give the image file or the device"),
    Case("mkfs /dev/null", 8, "/dev/null is neither a regular file nor a block device", "give the image file"),
    Case("mkfs {fifo}", 8, "fifo is neither a regular file nor a block device", "give the image file"),
    Case("mkfs -f {vol} {vol} -b 1 -s 4096", 8, "vol was given twice", "give each member once"),
    Case(f"mkfs {' '.join(['{vol}'] * 17)}", 8, "17 members were given", "1 to 16"),
    Case("mkfs {vol} -s 4096 -b 1", 7, "vol holds volume vol with 5 objects", "--force"),
    Case("mkfs {missing}/x --size 1M", 4, "x cannot be made: No such file or directory", "look at its folder"),
)
# fmt: on
