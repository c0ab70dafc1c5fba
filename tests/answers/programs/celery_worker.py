"""A Celery application on a broker of files; its tasks keep what they made in a module's list. BROKER names the folder."""

import os
import pathlib

import celery

folder = pathlib.Path(os.environ["BROKER"])
app = celery.Celery("celery_worker", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": str(folder / "queue"),
    "data_folder_out": str(folder / "queue"),
    "processed_folder": str(folder / "done"),
    "control_folder": str(folder / "control"),
}
app.conf.worker_enable_remote_control = False
MADE = []


@app.task(ignore_result=True)
def thumbnail(number):
    pixels = bytes(number % 256 for _ in range(1000))
    MADE.append(pixels * 100)  # the leak
    if number < 0:
        (folder / f"last.{os.getpid()}").touch()
