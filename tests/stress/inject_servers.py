"""Servers and other people's runtimes that are joined while they work: rows of inject.py. What is not installed is said and not run."""

import os
import shutil
import socket
import subprocess
import time

from joining import join_and_leave, join_fresh

POSTGRES = "/usr/lib/postgresql/15/bin"


def is_there(row, *programs):
    missing = [program for program in programs if shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin") is None]
    if missing:
        print(f"{row}: no {missing[0]} here, not run", flush=True)
    return not missing


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port):
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""  # it has ended


def ended_well(row, server, good, said):
    server.terminate()
    code = server.wait(timeout=120)
    if not good or code != 0:
        print(f"  {row}: answers were wrong, or it did not end well ({code}): {said[-500:]}", flush=True)
    return good and code == 0


def redis(count, folder):
    if count == 0 or not is_there("redis", "redis-server", "redis-benchmark", "redis-cli"):
        return True
    path = folder / "redis.sock"
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--daemonize", "no"], stdout=subprocess.DEVNULL)
    while not path.exists():
        time.sleep(0.01)
    load = subprocess.Popen(["redis-benchmark", "-s", path, "-n", "200000", "-P", "16", "-r", "10000", "-t", "set,get", "-q"], stdout=subprocess.PIPE, text=True)
    failures = join_and_leave("redis", [server.pid], count, folder)
    said = load.communicate()[0]
    answer = subprocess.run(["redis-cli", "-s", path, "ping"], capture_output=True, text=True).stdout.strip()
    return ended_well("redis", server, load.returncode == 0 and "rror" not in said and answer == "PONG", said) and not failures


def nginx(count, folder):
    """Two workers, joined in turn under requests."""
    if count == 0 or not is_there("nginx", "nginx", "ab"):
        return True
    port = free_port()
    folder.chmod(0o755)
    (folder / "index.html").write_text("hello\n" * 1000)
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 2; pid {folder}/pid; error_log stderr; events {{ worker_connections 256; }}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi; "
        f"uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; gzip on;\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n")
    server = subprocess.Popen(["/usr/sbin/nginx", "-c", folder / "nginx.conf"])
    wait_for_port(port)
    load = subprocess.Popen(["ab", "-q", "-n", "30000", "-c", "8", "-H", "Accept-Encoding: gzip", f"http://127.0.0.1:{port}/index.html"],
                            stdout=subprocess.PIPE, text=True)
    failures = join_and_leave("nginx", children(server.pid), count, folder)
    said = load.communicate()[0]
    good = "Complete requests:      30000" in said and "Failed requests:        0" in said
    return ended_well("nginx", server, good, said) and not failures


def postgres(count, folder):
    """Two backends under pgbench, joined in turn."""
    if count == 0 or os.geteuid() != 0 or not is_there("postgres", f"{POSTGRES}/postgres", f"{POSTGRES}/initdb", "pgbench"):
        return True
    data, port = folder / "data", free_port()
    folder.chmod(0o755)
    data.mkdir()
    shutil.chown(data, "postgres")
    as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
    subprocess.run([*as_user, f"{POSTGRES}/initdb", "-A", "trust", "-D", data], check=True, capture_output=True)
    server = subprocess.Popen([*as_user, f"{POSTGRES}/postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", data],
                              stderr=subprocess.DEVNULL)
    wait_for_port(port)
    bench = ["pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
    while subprocess.run([*bench, "-i", "-q", "postgres"], capture_output=True).returncode != 0:
        time.sleep(0.1)
    load = subprocess.Popen([*bench, "-c", "2", "-T", "36000", "postgres"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    backends = []
    while len(backends) < 2:
        backends = [pid for pid in children(server.pid) if "postgres postgres 127.0.0.1(" in command_of(pid)]
    failures = join_and_leave("postgres", backends[:2], count, folder)
    worked = load.poll() is None  # it ends by itself when a connection is lost
    load.terminate()
    said = load.communicate()[1] + subprocess.run([*bench, "-c", "2", "-t", "100", "postgres"], capture_output=True, text=True).stdout
    return ended_well("postgres", server, worked and "failed transactions: 0 " in said and "error" not in said, said) and not failures


NODE = """
let sum = 0, kept = [];
function turn(n) { for (let i = 0; i < 2000; i++) { kept[i % 100] = Buffer.alloc(64 + n * i % 3000, n); sum = (sum * 31 + kept[i % 100].length) >>> 0; } }
let n = 0;
const timer = setInterval(() => { if (n < 200) turn(n++); }, 1);
process.stdin.once("data", () => { clearInterval(timer); while (n < 200) turn(n++); console.log(sum); process.exit(0); });
console.log("ready");
"""

JAVA = """
public class Joined {
    public static void main(String[] words) throws Exception {
        Thread[] threads = new Thread[3];
        long[] sums = new long[3];
        for (int t = 0; t < 3; t++) {
            final int number = t;
            threads[t] = new Thread(() -> {
                for (int i = 0; i < 300000; i++) { byte[] block = new byte[16 + i % 2000]; block[0] = (byte) i; sums[number] = sums[number] * 31 + block.length + block[0]; }
            });
            threads[t].start();
        }
        System.out.println("ready");
        System.in.read();
        for (Thread thread : threads) thread.join();
        System.out.println(sums[0] * 7 + sums[1] * 5 + sums[2]);
    }
}
"""


def node(count, folder):
    if count == 0 or not is_there("node", "node"):
        return True
    (folder / "joined.js").write_text(NODE)
    return join_fresh("node", ["node", folder / "joined.js"], count, folder)


def java(count, folder):
    if count == 0 or not is_there("java", "java", "javac"):
        return True
    (folder / "Joined.java").write_text(JAVA)
    subprocess.run(["javac", "-d", folder, folder / "Joined.java"], check=True)
    return join_fresh("java", ["java", "-cp", folder, "Joined"], count, folder)


SERVERS = {"redis": redis, "nginx": nginx, "postgres": postgres, "node": node, "java": java}
