"""A Flask application that keeps every rendered answer by its full address."""

import sys

import flask

app = flask.Flask(__name__)
CACHE = {}


@app.route("/report")
def report():
    address = flask.request.full_path
    if address not in CACHE:
        rows = [{"number": number, "text": f"row {number}"} for number in range(100)]
        CACHE[address] = flask.render_template_string("{% for row in rows %}<li>{{ row.number }}: {{ row.text }}{% endfor %}", rows=rows) * 20  # the leak
    return CACHE[address]


app.run(port=int(sys.argv[1]), threaded=True)
