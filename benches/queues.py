#!/usr/bin/env python3
"""What else could keep webhooks, on the same disk: Redis streams with a sync a command, and rows of
PostgreSQL with a sync a commit. Each is measured by the tool that comes with it, over a local socket
and in clear, without a signature to check: the gate does all that beside (`cargo bench --bench inbox`).

Installs nothing: needs redis-server and postgresql. Starts servers of its own in a temporary folder
(TMPDIR names another disk) and ends them by their ids."""

import glob
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time

SENDERS = (1, 16, 256)
BYTES = 1000


def redis(folder):
    if not shutil.which("redis-server"):
        print("redis: not installed")
        return
    socket = f"{folder}/redis.sock"
    options = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--save", "",
               "--appendonly", "yes", "--appendfsync", "always"]
    server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while not os.path.exists(socket) and time.monotonic() < until:
            time.sleep(0.05)
        for senders in SENDERS:
            count = {1: 3000, 16: 20000, 256: 60000}[senders]
            command = ["redis-benchmark", "-s", socket, "-c", str(senders), "-n", str(count),
                       "--csv", "xadd", "inbox", "*", "body", "x" * BYTES]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            cells = re.findall(r'"([^"]*)"', said.strip().splitlines()[-1])
            # test, requests a second, then average, least, half, 95 %, 99 %, most in ms.
            print(f"redis      {senders:4} senders: {float(cells[-7]):7.0f} a second, "
                  f"half in {float(cells[-4]):7.3f} ms, 99 % in {float(cells[-2]):7.3f} ms")
    finally:
        server.terminate()
        server.wait()


def postgres(folder):
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not programs or not shutil.which("pgbench"):
        print("postgresql: not installed")
        return
    data, script = f"{folder}/data", f"{folder}/insert.sql"
    # It does not run as root.
    other = pwd.getpwnam("postgres") if os.getuid() == 0 else None
    user = {"user": other.pw_uid, "group": other.pw_gid} if other else {}
    if other:
        os.chown(folder, other.pw_uid, other.pw_gid)
    run = lambda command: subprocess.run(command, check=True, capture_output=True, text=True, **user)
    run([f"{programs[-1]}/initdb", "-D", data, "-A", "trust", "-U", "bench"])
    options = ["-D", data, "-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}",
               "-c", "max_connections=300", "-c", "shared_buffers=256MB"]
    server = subprocess.Popen([f"{programs[-1]}/postgres", *options], stderr=subprocess.DEVNULL, **user)
    try:
        at = ["-h", folder, "-U", "bench"]
        until = time.monotonic() + 20
        while subprocess.run([f"{programs[-1]}/pg_isready", *at], capture_output=True).returncode:
            if time.monotonic() > until:
                sys.exit("postgresql does not start")
            time.sleep(0.1)
        run(["psql", *at, "-q", "postgres", "-c",
             "CREATE TABLE inbox (id bigserial PRIMARY KEY, key uuid UNIQUE, body text)"])
        with open(script, "w", encoding="utf-8") as file:
            file.write(f"INSERT INTO inbox (key, body) VALUES (gen_random_uuid(), repeat('x', {BYTES})) "
                       "ON CONFLICT DO NOTHING;\n")
        for senders in SENDERS:
            log = f"{folder}/log{senders}"
            run(["pgbench", *at, "-n", "-f", script, "-c", str(senders), "-j", "2", "-T", "5", "-l",
                 "--log-prefix", log, "-M", "prepared", "postgres"])
            times = []
            for name in glob.glob(f"{log}.*"):
                with open(name, encoding="utf-8") as lines:
                    times += [int(line.split()[2]) for line in lines]
            times.sort()
            print(f"postgresql {senders:4} senders: {len(times) / 5:7.0f} a second, "
                  f"half in {times[len(times) // 2] / 1e3:7.3f} ms, "
                  f"99 % in {times[len(times) * 99 // 100] / 1e3:7.3f} ms")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    for measure in (redis, postgres):
        with tempfile.TemporaryDirectory() as place:
            measure(place)
