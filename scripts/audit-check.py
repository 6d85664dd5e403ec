#!/usr/bin/env python3
"""Checks what `wg-friend audit prove`, `audit export` and `audit checkpoint` wrote: without wg-friend and its database.

usage: audit-check.py KEY FILE [EARLIER]

KEY is what `wg-friend audit checkpoint --key` printed, and is to come from somebody you trust. FILE is a proof, an export
(of a table, FILE.head is read too) or signed heads. EARLIER are signed heads from before: for a proof made with --from.
Needs Python 3.8 and OpenSSL 3, nothing else. The forms are those of RFC 6962, RFC 8032 and C2SP's tlog-checkpoint.
"""
import base64, calendar, csv, hashlib, io, json, os, re, subprocess, sys, tempfile, time

TEXTS = "action category severity entity_type entity_guid operator address source details version".split()
COLUMNS = ["id", "time", *TEXTS, "previous_hash"]

def sha(data): return hashlib.sha256(data).digest()
def node(left, right): return sha(b"\1" + left + right)
def b64(text): return base64.b64decode(text, validate=True)

def demand(condition, what):
    if not condition:
        sys.exit("WRONG: " + what)

def signed_head(note, key):
    """Checks the signature; returns how many entries were signed, and the root of the tree over them."""
    note = note.replace("\r\n", "\n")
    origin, _, public = key.strip().split("+", 2)
    public = b64(public)
    body, _, signatures = note.partition("\n\n")
    body += "\n"
    lines = [line.split(" ") for line in signatures.split("\n")]
    blob = next((b64(line[2]) for line in lines if line[:2] == ["\u2014", origin]), b"")
    key_id = sha(origin.encode() + b"\n" + public)[:4]
    demand(public[0] == 1 and blob[:4] == key_id and body.split("\n")[0] == origin, "the head is of another log or key")
    with tempfile.TemporaryDirectory() as place:
        parts = {"body": body.encode(), "signature": blob[4:], "key": bytes.fromhex("302a300506032b6570032100") + public[1:]}
        for name, content in parts.items():
            with open(os.path.join(place, name), "wb") as file:
                file.write(content)
        openssl = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in body -sigfile signature"
        done = subprocess.run(openssl.split(), cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    demand(done.returncode == 0, "the signature of the head")
    return int(body.split("\n")[1]), b64(body.split("\n")[2])

def leaf(entry):
    """Returns the hash of an entry, and what the tree makes of it."""
    absent = [name for name in TEXTS if entry.get(name) is None]
    demand(set(entry) - {"proof"} == set(COLUMNS), "an entry has other fields than it should")
    demand(type(entry["id"]) is int and 0 < entry["id"] < 2**63, "the number of an entry")
    demand(all(isinstance(entry[name], str) for name in COLUMNS[1:] if name not in absent), "a field of an entry is no text")
    demand(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["time"], re.ASCII), "the time of an entry")
    def text(value): return bytes([value is not None]) + len((value or "").encode()).to_bytes(8, "big") + (value or "").encode()
    at = calendar.timegm(time.strptime(entry["time"][:19], "%Y-%m-%dT%H:%M:%S")) * 1000000 + int(entry["time"][20:26])
    previous = b64(entry["previous_hash"])
    data = b"wg-friend audit 1\0" + len(previous).to_bytes(8, "big") + previous
    data += entry["id"].to_bytes(8, "big") + at.to_bytes(8, "big") + b"".join(text(entry[name]) for name in TEXTS)
    return sha(data), sha(b"\0" + sha(data))

def root_of(leaves):
    while len(leaves) > 1:
        pairs = [node(*leaves[i:i + 2]) if i + 1 < len(leaves) else leaves[i] for i in range(0, len(leaves), 2)]
        leaves = pairs
    return leaves[0] if leaves else sha(b"")

def included(hash, index, size, proof):
    """Returns the root that a leaf and its proof lead to."""
    last = size - 1
    demand(0 <= index < size, "the entry is not among those that were signed")
    for sibling in proof:
        if last == 0:
            return b"" # longer than the way to the root: it would prove anything
        if index % 2 or index == last:
            hash = node(sibling, hash)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            hash = node(hash, sibling)
        index, last = index >> 1, last >> 1
    return hash if last == 0 else b""

def grown(start, old, size, proof):
    """Returns the roots of the earlier and of the later tree that a proof leads to."""
    if start == size:
        return old, old
    if start & (start - 1) == 0:
        proof = [old] + proof
    index, last = start - 1, size - 1
    while index % 2:
        index, last = index >> 1, last >> 1
    low = high = proof[0]
    for hash in proof[1:]:
        if last == 0:
            return b"", b""
        if index % 2 or index == last:
            low, high = node(hash, low), node(hash, high)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            high = node(high, hash)
        index, last = index >> 1, last >> 1
    return (low, high) if last == 0 else (b"", b"")

def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return file.read()

def notes(text):
    """Splits heads that stand one after another: each is a body, a blank line and its signatures."""
    body = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if body and not line.startswith("\u2014") and any(known.startswith("\u2014") for known in body):
            yield "\n".join(body) + "\n"
            body = []
        if line or body:
            body.append(line)
    if body:
        yield "\n".join(body) + "\n"

def once(pairs):
    """Makes an object of what JSON says, in which no name may stand twice: who reads it may take the other one."""
    demand(len(dict(pairs)) == len(pairs), "a name stands twice")
    return dict(pairs)

def table(text):
    """Reads the entries of a table."""
    csv.field_size_limit(2**31 - 1)
    rows = list(csv.reader(io.StringIO(text, newline="")))
    demand(rows and rows[0] == [*COLUMNS, "proof"], "the columns of the table")
    demand(all(len(row) == len(rows[0]) for row in rows), "a row of the table has other columns")
    for row in (dict(zip(rows[0], row)) for row in rows[1:]):
        demand(re.fullmatch(r"[1-9]\d*", row["id"], re.ASCII), "the number of an entry")
        row.update(id=int(row["id"]), proof=row["proof"].split(), **{name: row[name] or None for name in ["entity_guid", "address"]})
        yield row

def check(key, path, earlier=None):
    text = read(path)
    demand(not earlier or text.startswith("{"), "EARLIER is for a proof made with --from")
    if text.startswith("wg-friend/"):
        heads = [signed_head(note, key) for note in notes(text)]
        return "%d signed heads, the last of %d entries" % (len(heads), heads[-1][0])
    if text.startswith("{"):
        document = json.loads(text, object_pairs_hook=once)
    else:
        document = {"head": read(path + ".head"), "entries": list(table(text))}
    demand(not earlier or "from" in document, "EARLIER is for a proof made with --from")
    size, root = signed_head(document["head"], key)
    if "from" in document:
        start, old = document["from"], b64(document["root"])
        demand(type(start) is int and 0 < start <= size and grown(start, old, size, list(map(b64, document["proof"]))) == (old, root), "the proof")
        heads = [signed_head(note, key) for note in notes(read(earlier))] if earlier else []
        demand(not earlier or (start, old) in heads, "the proof is not about the earlier head")
        return "%d entries go on from the first %d" % (size, start)
    entries = document["entries"] if "entries" in document else [{**document["entry"], "proof": document["proof"]}]
    hashes = [leaf(entry) for entry in entries]
    if len(entries) > 1 and not any(entry.get("proof") for entry in entries):
        chain = [entry[0] for entry in hashes]
        demand(all(b64(entry["previous_hash"]) == before for entry, before in zip(entries[1:], chain)), "the chain")
        demand(len(entries) == size and root_of([entry[1] for entry in hashes]) == root, "these are not the entries that were signed")
        return "all %d entries" % size
    for entry, (_, hash) in zip(entries, hashes):
        proof = list(map(b64, entry.get("proof", [])))
        demand(included(hash, entry["id"] - 1, size, proof) == root, "entry %s is not what was signed" % entry["id"])
    return "%d of %d entries: %s" % (len(entries), size, ", ".join(str(entry["id"]) for entry in entries[:20]))

if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    print("in order: " + check(*sys.argv[1:]))
