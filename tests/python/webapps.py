"""One service on five frameworks, for test_monitoring_web.py. Usage: webapps.py flask|fastapi|django|wsgi|asgi

It keeps 1 MiB a request of GET /keep/NUMBER (KEEPS_AT), nothing of GET /plain, and fails at GET /broken. It prints the port
that it listens at and ends with its standard input. The token is `secret`.
"""

import socket
import sys
import threading
import wsgiref.simple_server

from memtap import monitoring

KEPT = []


def keep(number):
    KEPT.append(b"x" * (1 << 20))  # kept for ever
    return f"kept {number}"


def broken():
    raise RuntimeError("broken on purpose")


def flask_app():
    from flask import Flask

    app = Flask(__name__)
    app.add_url_rule("/keep/<int:number>", view_func=keep, endpoint="keep")
    app.add_url_rule("/plain", view_func=lambda: "plain", endpoint="plain")
    app.add_url_rule("/broken", view_func=broken, endpoint="broken")
    return monitoring.install(app, token="secret")


def django_app():
    import django
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import path

    settings.configure(ROOT_URLCONF="webapps_urls", ALLOWED_HOSTS=["*"], SECRET_KEY="not one")
    urls = type(sys)("webapps_urls")
    urls.urlpatterns = [
        path("keep/<int:number>", lambda request, number: HttpResponse(keep(number))),
        path("plain", lambda request: HttpResponse("plain")),
        path("broken", lambda request: broken()),
    ]
    sys.modules["webapps_urls"] = urls
    django.setup()
    from django.core.wsgi import get_wsgi_application

    return monitoring.install(get_wsgi_application(), token="secret")


def wsgi_app():
    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/broken":
            broken()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (piece.encode() for piece in (keep(path[6:]) if path.startswith("/keep/") else "plain", ""))

    return monitoring.Middleware(app, token="secret")


def fastapi_app():
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI()

    async def keep_one(number: int):
        return PlainTextResponse(keep(number))

    app.add_api_route("/keep/{number}", keep_one)
    app.add_api_route("/plain", lambda: PlainTextResponse("plain"))
    app.add_api_route("/broken", broken)
    return monitoring.install(app, token="secret")


def asgi_app():
    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        if scope["path"] == "/broken":
            broken()
        text = keep(scope["path"][6:]) if scope["path"].startswith("/keep/") else "plain"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": text.encode()})

    return monitoring.Middleware(app, token="secret")


def serve_wsgi(app):
    class Quiet(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, *arguments):
            pass

    server = wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=Quiet)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


def serve_asgi(app):
    import uvicorn

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)  # before the port is told: a request waits until the server takes it
    print(listener.getsockname()[1], flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    make = {"flask": flask_app, "django": django_app, "wsgi": wsgi_app, "fastapi": fastapi_app, "asgi": asgi_app}[sys.argv[1]]
    (serve_asgi if sys.argv[1] in ("fastapi", "asgi") else serve_wsgi)(make())
