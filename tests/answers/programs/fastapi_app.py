"""A FastAPI application whose background task forgets nothing."""

import json
import sys

import fastapi
import pydantic
import uvicorn

app = fastapi.FastAPI()
EVENTS = []


class Order(pydantic.BaseModel):
    number: int
    items: list


def audit(order):
    EVENTS.append(json.dumps(order.model_dump()) * 20)  # the leak


@app.post("/report")
async def report(order: Order, tasks: fastapi.BackgroundTasks):
    tasks.add_task(audit, order)
    return {"number": order.number, "items": len(order.items)}


uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
