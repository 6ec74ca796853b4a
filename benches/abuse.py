#!/usr/bin/env python3
"""What abuse costs the release gate: CPU, memory, and whether others are still served.

    cargo build --release && python3 benches/abuse.py [chunks] [floods] [memory] [start]

Without arguments all parts run, in about a minute. Needs Linux and openssl; all traffic stays on 127.0.0.0/8. The gate
runs as benches/peers/countersign configures it. Exit status 1: a bound is broken.
"""
import argparse, hashlib, hmac, multiprocessing, os, re, select, shutil, signal, socket, ssl, struct, subprocess, sys
import tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
START = os.path.join(HERE, "peers", "countersign")
TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(os.path.dirname(HERE), "target")
BINARY = os.path.join(os.path.abspath(TARGET), "release", "countersign")
HOST = "127.0.0.1"
MIB = 1 << 20
KEYS = 100

CHUNK_REQUESTS = 50
CHUNK_RATIO_MAX = 100
FLOOD_CPU_S_MAX = 2.0
FLOOD_BYTES_MAX = 64 * MIB
FLOOD_WAIT_S_MAX = 1.0
FLOOD_S_MAX = 30.0
# One flood is over in milliseconds: so many in turn, for others to be served beside.
FLOODS = 20
UNVERIFIED_BYTES = 256 * MIB
UNVERIFIED_SLACK = 64 * MIB
ADDRESSES = 200
MANY, FEW, STARTS = 10_000, 100, 5
START_MS_MAX = 200
# The allocator returns pages that it no longer uses within ten seconds.
SETTLE_S = 12

counter = iter(range(10**9, 10**12))
broken = []


def row(what, value, bound, holds):
    """A line of the table; holds is None where a number is only shown."""
    verdict = "" if holds is None else "ok" if holds else "BROKEN"
    if holds is False:
        broken.append(what)
    print(f"{what:42} {value:74} {bound:25} {verdict}", flush=True)


# ---------------------------------------------------------------- the service behind the gate

def upstream(listener, requests):
    """Reads whole requests, counts them, and answers each with a few bytes."""
    def serve(conn):
        with conn, conn.makefile("rb") as stream:
            while True:
                head = list(iter(stream.readline, b"\r\n"))
                if not head or head[-1] == b"" or not serve_one(stream, head):
                    return
                with requests.get_lock():
                    requests.value += 1
                conn.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n")

    def serve_one(stream, head):
        fields = {}
        for line in head[1:]:
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip()
        if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
            while True:
                line = stream.readline()
                size = int(line.split(b";")[0], 16)
                if len(stream.read(size + 2)) < size + 2:
                    return False
                if size == 0:
                    return True
        size = int(fields.get(b"content-length", 0))
        return len(stream.read(size)) == size

    def quietly(conn):
        try:
            serve(conn)
        except (OSError, ValueError):
            pass

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        threading.Thread(target=quietly, args=[listener.accept()[0]], daemon=True).start()


class Upstream:
    """A process of its own, so that its CPU is not the client's."""

    def __init__(self):
        fork = multiprocessing.get_context("fork")
        self.requests = fork.Value("Q", 0)
        listener = socket.create_server((HOST, 0), backlog=512)
        self.address = f"{HOST}:{listener.getsockname()[1]}"
        self.process = fork.Process(target=upstream, args=[listener, self.requests], daemon=True)
        self.process.start()
        listener.close()

    def stop(self):
        self.process.terminate()
        self.process.join()


# ---------------------------------------------------------------- the gate

def free_port():
    """A port that is free, as is the one 10,000 higher, of the operations listener."""
    for port in range(24_000 + os.getpid() % 1000, 34_000):
        try:
            for one in (port, port + 10_000):
                socket.create_server((HOST, one)).close()
            return port
        except OSError:
            continue
    raise SystemExit("no free ports")


class Gate:
    """A gate that runs, with files of its own."""

    def __init__(self, folder, service, rate=1000):
        self.port = free_port()
        self.home = f"{folder}/countersign-{self.port}"
        self.errors = f"{self.home}.log"
        env = {"PORT": self.port, "UPSTREAM": service.address, "DIR": folder, "RATE": rate, "CORES": os.cpu_count() or 2}
        env = os.environ | {"CARGO_TARGET_DIR": os.path.abspath(TARGET)} | {name: str(value) for name, value in env.items()}
        self.start([START], env)
        self.wait()

    def start(self, command, env=None, output=None):
        with open(self.errors, "a") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output or errors, stderr=errors,
                                            env=env, start_new_session=True)

    def wait(self, seconds=30.0):
        """Returns at the first answer of /healthz."""
        end = time.monotonic() + seconds
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                with open(self.errors) as errors:
                    raise SystemExit(f"the gate does not serve:\n{errors.read()[-2000:]}")
            time.sleep(0.001)

    def healthy(self):
        try:
            with tls(self.port + 10_000) as conn:
                conn.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
                return answer(conn) == 200
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cpu(self):
        """CPU seconds of all its threads."""
        nanoseconds, tasks = 0, f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat") as stat:
                nanoseconds += int(stat.read().split()[0])
        return nanoseconds / 1e9

    def memory(self, kind):
        """Bytes: VmRSS now, VmHWM at most."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(rf"^{kind}:\s+(\d+) kB", status.read(), re.M)[1]) * 1024


# ---------------------------------------------------------------- the client

def context(*protocols):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


HTTP1, HTTP2 = context("http/1.1"), context("h2")


def tls(port, how=HTTP1, source=HOST, seconds=10.0):
    plain = socket.create_connection((HOST, port), seconds, (source, 0))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return how.wrap_socket(plain, server_hostname="localhost")
    except BaseException:
        plain.close()
        raise


def answer(conn):
    """The status of one answer, which is read whole; 0 where the connection ends without one."""
    got = b""
    try:
        while b"\r\n\r\n" not in got:
            more = conn.recv(65536)
            if not more:
                return 0
            got += more
        head, _, body = got.partition(b"\r\n\r\n")
        size = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        while size and len(body) < int(size[1]):
            more = conn.recv(65536)
            if not more:
                break
            body += more
        return int(head.split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def claims(body, good=True):
    """The headers that sign a body, or that only look as if they did."""
    number = next(counter) % KEYS
    now, secret = str(int(time.time())), f"secret-of-bench-key-{number}"
    mac = hmac.new(secret.encode(), body + now.encode(), hashlib.sha256).hexdigest() if good else "ab" * 32
    return {"content-type": "application/json", "x-api-key": f"key-{number}", "x-timestamp": now, "x-signature": mac}


def head(fields):
    lines = ["POST /v1/orders HTTP/1.1", "host: localhost", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def unique(size=32):
    return f'{{"n":"{next(counter)}"}}'.ljust(size).encode()


def good_request(port, source=HOST):
    """The status of a good request on a connection of its own, and how long both took."""
    begun, body = time.monotonic(), unique()
    try:
        with tls(port, source=source) as conn:
            conn.sendall(head(claims(body) | {"content-length": len(body)}) + body)
            status = answer(conn)
    except OSError:
        status = 0
    return status, time.monotonic() - begun


# ---------------------------------------------------------------- bodies in hostile chunks

def chunk(data, extension=b""):
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


def chunked(size, extension, step):
    """A good request in chunks of so many bytes, each with an extension."""
    body = unique(size)
    chunks = (chunk(body[at:at + step], extension) for at in range(0, size, step))
    return head(claims(body) | {"transfer-encoding": "chunked"}) + b"".join(chunks) + b"0\r\n\r\n"


def chunks(folder, service):
    gate = Gate(folder, service)
    try:
        shapes = [
            ("6000 chunks of one byte", (6000, b"", 1)),
            ("one chunk extension of 15 kB", (64, b";" + b"e" * 14_999, 64)),
            ("150 chunk extensions of 200 B", (150 * 16, b";" + b"e" * 199, 16)),
        ]
        for name, shape in shapes:
            requests = [chunked(*shape) for _ in range(CHUNK_REQUESTS)]
            conns = [tls(gate.port) for _ in requests]
            time.sleep(0.2)
            statuses, forwarded = [], service.requests.value
            theirs, ours = gate.cpu(), time.process_time()
            for conn, request in zip(conns, requests):
                try:
                    conn.sendall(request)
                except OSError:
                    pass  # refused before its end: the answer says how
                statuses.append(answer(conn))
            ours = time.process_time() - ours
            time.sleep(0.2)
            theirs, forwarded = gate.cpu() - theirs, service.requests.value - forwarded
            for conn in conns:
                conn.close()
            us = 1e6 / CHUNK_REQUESTS
            row(f"chunks: {name}", f"gate {theirs * us:.0f} us, client {ours * us:.0f} us, ratio {theirs / ours:.2f}",
                f"ratio < {CHUNK_RATIO_MAX}", theirs / ours < CHUNK_RATIO_MAX)
            tally = {status: statuses.count(status) for status in sorted(set(statuses))}
            passed = tally.get(200, 0)
            row("", f"answers {tally}, forwarded {forwarded}", "200 once, or 400, 413",
                set(tally) <= {200, 400, 413} and forwarded == passed)
    finally:
        gate.stop()


# ---------------------------------------------------------------- floods of HTTP/2 frames

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, SETTINGS, PING, WINDOW_UPDATE, UNKNOWN = 0, 1, 2, 4, 6, 8, 0xBE
ACK, END_HEADERS = 1, 4


def frame(kind, payload=b"", stream=0, flags=0):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """HPACK: a field without indexing."""
    return b"\0%c%b%c%b" % (len(name), name.encode(), len(value), value.encode())


def flood(gate, frames):
    """Sends all of it and reads what comes, until a last PING is answered, for then the gate has read the rest too.

    Says whether the gate cut the connection instead, and how many bytes were sent.
    """
    last = b"the last"
    view, at, tail = memoryview(frames + frame(PING, last)), 0, b""
    end = time.monotonic() + FLOOD_S_MAX
    conn = tls(gate.port, HTTP2)
    conn.setblocking(False)
    with conn:
        while frame(PING, last, flags=ACK) not in tail:
            if time.monotonic() > end:
                raise SystemExit(f"the gate did not read {len(view)} bytes in {FLOOD_S_MAX:.0f} s")
            moved = False
            try:
                if at < len(view):
                    at += conn.send(view[at:at + 16384])
                    moved = True
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except OSError:
                return True, at
            try:
                more = conn.recv(65536)
                if not more:
                    return True, at
                tail, moved = tail[-64:] + more, True
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except OSError:
                return True, at
            if not moved:
                select.select([conn], [conn] if at < len(view) else [], [], 0.05)
    return False, at


def floods(folder, service):
    fields = claims(b"", good=False).items()
    block = b"\x83\x87" + b"\x01\x09localhost" + b"\x04\x0a/v1/orders" + b"".join(literal(*field) for field in fields)
    kinds = [
        ("SETTINGS", 20_000, frame(SETTINGS), b""),
        ("PING", 20_000, frame(PING, b"12345678"), b""),
        ("PRIORITY", 20_000, frame(PRIORITY, struct.pack(">IB", 3, 15), 1), b""),
        ("unknown types", 20_000, frame(UNKNOWN, b"12345678", 1), b""),
        ("WINDOW_UPDATE", 20_000, frame(WINDOW_UPDATE, struct.pack(">I", 1)), b""),
        ("empty DATA", 50_000, frame(DATA, b"", 1), frame(HEADERS, block, 1, END_HEADERS)),
    ]
    gate = Gate(folder, service)
    try:
        for _ in range(20):
            good_request(gate.port)
        for name, count, one, before in kinds:
            done, goods, peak, rss = threading.Event(), [], [0], gate.memory("VmRSS")

            def beside():
                while True:
                    goods.append(good_request(gate.port))
                    peak[0] = max(peak[0], gate.memory("VmRSS"))
                    if done.wait(0.005):
                        return

            other = threading.Thread(target=beside)
            cpu, began = gate.cpu(), time.monotonic()
            other.start()
            ends = [flood(gate, PREFACE + frame(SETTINGS) + before + one * count) for _ in range(FLOODS)]
            took = time.monotonic() - began
            done.set()
            other.join()
            time.sleep(0.1)
            cpu = gate.cpu() - cpu
            grown = max(peak[0], gate.memory("VmRSS")) - rss
            cut = sum(one_cut for one_cut, _ in ends)
            frames = max(1, sum(min(count, sent // len(one)) for _, sent in ends))
            row(f"flood: {FLOODS} times {count:,} {name}",
                f"{frames:,} sent in {took:.2f} s, {cut} cut, CPU {cpu:.3f} s, {cpu * 1e6 / frames:.2f} ms per 1000",
                f"CPU <= {FLOOD_CPU_S_MAX:.0f} s each, or cut", cut == FLOODS or cpu <= FLOOD_CPU_S_MAX * FLOODS)
            row("", f"memory +{grown / MIB:.1f} MiB", f"< {FLOOD_BYTES_MAX // MIB} MiB", grown < FLOOD_BYTES_MAX)
            slowest = max(seconds for _, seconds in goods)
            row("", f"{len(goods)} good requests beside it: {sorted({status for status, _ in goods})}, slowest {slowest * 1e3:.0f} ms",
                f"all 200, <= {FLOOD_WAIT_S_MAX:.0f} s",
                {status for status, _ in goods} == {200} and slowest <= FLOOD_WAIT_S_MAX)
    finally:
        gate.stop()


# ---------------------------------------------------------------- bodies that never end

def hoard(folder, service, name, known, per_address):
    """Bodies of 1 MiB without their last byte, so that no signature can be checked."""
    gate, conns = Gate(folder, service), []
    sources = [f"127.0.1.{n}" for n in range(1, ADDRESSES + 1)]
    try:
        if known:
            statuses = {good_request(gate.port, source)[0] for source in sources}
            assert statuses == {200}, statuses
        before = gate.memory("VmRSS")
        body, statuses, begun = b"x" * (MIB - 1), [], time.monotonic()
        for source in sources * per_address:
            conn = tls(gate.port, source=source)
            conns.append(conn)
            try:
                conn.sendall(head(claims(b"", good=False) | {"content-length": MIB}) + body)
            except OSError:
                pass  # refused before its end: the answer says how
        time.sleep(0.5)
        for conn in conns:
            conn.setblocking(False)
            try:
                data = conn.recv(65536)
                statuses.append(int(data.split()[1]) if data else 0)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                statuses.append("held")
            except OSError:
                statuses.append(0)
        took, peak = time.monotonic() - begun, gate.memory("VmHWM")
        grown, bound = peak - before, UNVERIFIED_BYTES + UNVERIFIED_SLACK
        tally = {status: statuses.count(status) for status in sorted(set(statuses), key=str)}
        row(f"memory: {len(conns)} bodies of {name}", f"peak {peak / MIB:.1f} MiB, +{grown / MIB:.1f} MiB in {took:.1f} s",
            f"< +{bound // MIB} MiB", grown < bound)
        row("", f"answers {tally}", "held, then 503", tally.get(503, 0) > 0 and set(tally) <= {"held", 503, 0})
        status, seconds = good_request(gate.port)
        row("", f"a good request meanwhile: {status} in {seconds * 1e3:.0f} ms", "", None)
    finally:
        for conn in conns:
            conn.close()
        gate.stop()


def memory(folder, service):
    hoard(folder, service, "strangers", False, 1)
    hoard(folder, service, "known addresses", True, 2)


# ---------------------------------------------------------------- starts

def write_merchants(home, count):
    """As benches/peers/countersign does, which takes ten seconds for so many."""
    with open(os.open(f"{home}/secrets.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as secrets:
        secrets.writelines(f"key-{n} secret-of-bench-key-{n}\n" for n in range(count))
    with open(f"{home}/merchants.toml", "w") as merchants:
        for n in range(count):
            merchants.write(f'[merchants.key-{n}]\nrate = {{ per_second = 10, burst = 10 }}\n'
                            f'[merchants.key-{n}.credentials.key-{n}]\nenvironment = "live"\nscopes = ["POST /v1/*"]\n'
                            f'repeatable_reads = false\nsecrets = [{{ list = "secrets.txt" }}]\n')


def start(folder, service):
    gate = Gate(folder, service, rate=10)
    command = [BINARY, "serve", "--config", f"{gate.home}/countersign.toml"]
    taken, cpu, at_once, settled = {}, {}, {}, {}
    for count in (FEW, MANY):
        gate.stop()
        write_merchants(gate.home, count)
        taken[count], cpu[count] = [], []
        for again in range(STARTS):
            begun = time.monotonic()
            gate.start(command, output=subprocess.DEVNULL)
            gate.wait()
            taken[count].append((time.monotonic() - begun) * 1e3)
            cpu[count].append(gate.cpu() * 1e3)
            if again < STARTS - 1:
                gate.stop()
        at_once[count] = gate.memory("VmRSS")
        time.sleep(SETTLE_S)
        settled[count] = gate.memory("VmRSS")
    gate.stop()
    for count in (FEW, MANY):
        times = sorted(taken[count])
        shown = f"/healthz after {times[0]:.0f} ms at best, {times[len(times) // 2]:.0f} ms median, CPU {min(cpu[count]):.0f} ms at best"
        bound = (f"< {START_MS_MAX} ms at best", times[0] < START_MS_MAX) if count == MANY else ("", None)
        row(f"start: {count} merchants", shown, *bound)
        row("", f"RSS {at_once[count] / MIB:.1f} MiB at once, {settled[count] / MIB:.1f} MiB after {SETTLE_S} s", "", None)
    per = {name: (rss[MANY] - rss[FEW]) / (MANY - FEW) for name, rss in (("once", at_once), ("settled", settled))}
    # The bound is on what the allocator gives out, in tests/memory.rs: this has the gaps that reading leaves.
    row("start: resident per merchant", f"{per['settled']:.0f} B after {SETTLE_S} s ({per['once']:.0f} B at once)", "", None)


PARTS = {"chunks": chunks, "floods": floods, "memory": memory, "start": start}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="which of: " + ", ".join(PARTS))
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if not os.access(BINARY, os.X_OK):
        parser.error(f"{BINARY} is not there: cargo build --release")
    folder = tempfile.mkdtemp(prefix="countersign-abuse-")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
    with open(f"{folder}/secrets.txt", "w") as secrets:
        secrets.writelines(f"key-{n} secret-of-bench-key-{n}\n" for n in range(KEYS))
    service = Upstream()
    try:
        for part in parts:
            PARTS[part](folder, service)
    finally:
        service.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if broken:
        print(f"{len(broken)} bounds are broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
