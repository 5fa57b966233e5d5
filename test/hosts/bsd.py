"""A host that elects as FreeBSD's or OpenBSD's carp does, as far as the digest goes: FreeBSD's covers link-local
addresses and no other is believed, OpenBSD's leaves them out. Advertises over IPv4, answers for no address.

usage: bsd.py DEVICE SOURCE covered|left-out PASS VHID ADVSKEW ADDRESS...
"""

import hashlib, hmac, ipaddress, os, select, socket, struct, sys, time

device, source, form, password, vhid, advskew = sys.argv[1:7]
addresses = sorted((ipaddress.ip_address(text) for text in sys.argv[7:]), key=lambda each: (each.version, each))
covered = [each for each in addresses if form == "covered" or not each.is_link_local]
key = password.encode()[:19].ljust(20, b"\0")
message = bytes([2, 1, int(vhid)]) + b"".join(each.packed for each in covered)
interval = 1 + int(advskew) / 256
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind((device, 0))


def digest(counter):
    return hmac.new(key, message + counter, hashlib.sha1).digest()


def summed(data, at):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return data[:at] + struct.pack("!H", ~total & 0xFFFF) + data[at + 2 :]


def frame(counter):
    carp = struct.pack("!BBBBBBH", 0x21, int(vhid), int(advskew), 7, 0, 1, 0) + counter + digest(counter)
    header = struct.pack("!BBHHHBBH", 0x45, 0x10, 56, 0, 0x4000, 255, 112, 0)
    header += socket.inet_aton(source) + socket.inet_aton("224.0.0.18")
    ethernet = bytes.fromhex("01005e000012") + bytes.fromhex("00005e0001") + bytes([int(vhid)]) + b"\x08\x00"
    return ethernet + summed(header, 10) + summed(carp, 6)


def heard(data):
    """The counter and interval of an advertisement that is believed."""
    if data[12:14] == b"\x08\x00" and data[23] == 112 and data[26:30] != socket.inet_aton(source):
        carp = data[34:70]
    elif data[12:14] == b"\x86\xdd" and data[20] == 112:
        carp = data[54:90]
    else:
        return None
    if carp[1] != int(vhid) or not hmac.compare_digest(digest(carp[8:16]), carp[16:36]):
        return None
    return carp[8:16], carp[5] + carp[2] / 256


counter = int.from_bytes(os.urandom(8), "big")
# As after a partition: it begins as MASTER.
state = "MASTER"
due = time.monotonic()
print(state, flush=True)
while True:
    ready = select.select([sock], [], [], max(0, due - time.monotonic()))[0]
    if ready:
        believed = heard(sock.recv(2048))
        if believed is None:
            continue
        if form == "covered":
            counter = int.from_bytes(believed[0], "big")
        if state == "BACKUP" or believed[1] <= interval:
            if state == "MASTER":
                state = "BACKUP"
                print(state, flush=True)
            due = time.monotonic() + 3 * interval
        continue
    if state == "BACKUP":
        state = "MASTER"
        print(state, flush=True)
    if form == "covered":
        counter = (counter + 1) % 2**64
    sock.send(frame(counter.to_bytes(8, "big")))
    due = time.monotonic() + interval
