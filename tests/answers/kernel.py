"""Runs the cells of a file (they begin with "# %%") in a Jupyter kernel: kernel.py FILE COMMAND; COMMAND is JSON, to which the
kernel's connection file is added. Then the kernel is told to shut down, as Jupyter does it."""

import json
import pathlib
import re
import sys
import time

import jupyter_client
from jupyter_client.kernelspec import KernelSpec

manager = jupyter_client.KernelManager(shutdown_wait_time=300.0)
manager._kernel_spec = KernelSpec(argv=[*json.loads(sys.argv[2]), "{connection_file}"], language="python", display_name="answers")
manager.start_kernel()
client = manager.blocking_client()
client.start_channels()
client.wait_for_ready(timeout=300)
for cell in re.split(r"^# %%\n", pathlib.Path(sys.argv[1]).read_text(), flags=re.M)[1:]:
    reply = client.execute_interactive(cell, timeout=300)
    if reply["content"]["status"] != "ok":
        raise SystemExit(str(reply["content"]))
client.shutdown()
while manager.is_alive():
    time.sleep(0.05)
client.stop_channels()
