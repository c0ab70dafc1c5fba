/* serve.c: `memtap serve`: recordings in a browser and over HTTP. */
#include "cli/command.h"

#include "serve/serve.h"
#include "util/memory.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { TOKEN_MAX = 512 };

struct values {
    struct mt_strlist listen;
    const char *token_file;
    bool open;
};

static mt_status add_listen(void *values, const char *argument, struct mt_error *err)
{
    struct values *v = values;
    (void)err;
    mt_strlist_add(&v->listen, argument);
    return MT_OK;
}

static const struct mt_option own[] = {
    { "listen", 0, MT_OPTION_CALL, 0, NULL, add_listen, MT_ARGUMENT_REQUIRED, "ADDR",
      "serve at ADDR: HOST:PORT, [V6]:PORT or unix:/PATH; may be given several times; default: 127.0.0.1:7070, or a free port where "
      "that is taken" },
    { "token-file", 0, MT_OPTION_TEXT, offsetof(struct values, token_file), NULL, NULL, 0, "FILE",
      "whoever asks needs the token that is the first line of FILE; default: that of the variable MEMTAP_TOKEN" },
    { "open", 0, MT_OPTION_FLAG, offsetof(struct values, open), NULL, NULL, 0, NULL, "show the page in a browser" },
    { 0 },
};
static const struct mt_option *const tables[] = { own, NULL };

static const struct mt_command_doc doc = {
    .name = "serve",
    .summary = "recordings in a browser and over HTTP, while they grow",
    .synopsis = "memtap serve [OPTIONS] [TARGET…]",
    .description =
        "Serves the page of `memtap flamegraph` for each TARGET, kept up to date while it grows, and SQL over it. A TARGET is a "
        "trace, finished or being written, the id of a process that is recorded, or a folder, which stands for the traces in it and those "
        "that come; without one, this folder. The server is a process of its own: in a recorded program there is no HTTP, and "
        "it does not notice being looked at.\n"
        "GET /openapi.json describes what is served, docs/guide/serve.md explains it. /health and /ready need no token.",
    .notes = "Without a token only this machine may ask: loopback, where any of its users may, and unix sockets, where the user who runs the server and root may. "
             "With one, each request carries it as Authorization: Bearer, X-Memtap-Token, the password of Basic (which a "
             "browser asks for) or the cookie authToken; never in the address. HTTP is not encrypted: put a proxy that is in front of "
             "other machines.\n"
             "Needs libmicrohttpd12 where it runs.",
    .exit_codes = "128 + the signal that ended it, 1 it cannot serve, 2 wrong usage",
    .examples = "memtap serve --open app.mtap\n"
                "memtap serve 4242\n"
                "MEMTAP_TOKEN=$(cat secret) memtap serve --listen 0.0.0.0:7070 /var/traces\n"
                "curl -s localhost:7070/query/dto -d '{\"expr\": \"SELECT * FROM leaks LIMIT 3\"}'",
    .tables = tables,
};

/* The first line of the file, in ret. */
static mt_status read_token(const char *path, char ret[TOKEN_MAX], struct mt_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd >= 0 ? read(fd, ret, TOKEN_MAX - 1) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (bytes < 0) {
        return mt_error_set(err, MT_E_INVAL, "--token-file %s cannot be read: %m", path);
    }
    ret[bytes] = '\0';
    ret[strcspn(ret, "\r\n")] = '\0';
    return MT_OK;
}

static mt_status find_token(const struct values *values, char ret[TOKEN_MAX], struct mt_error *err)
{
    const char *variable = getenv("MEMTAP_TOKEN");
    mt_status status = MT_OK;
    ret[0] = '\0';
    if (values->token_file != NULL) {
        status = read_token(values->token_file, ret, err);
    } else if (variable != NULL && strlen(variable) < TOKEN_MAX) {
        strcpy(ret, variable);
    } else if (variable != NULL) {
        status = mt_error_set(err, MT_E_INVAL, "the token in MEMTAP_TOKEN is longer than %d bytes", TOKEN_MAX - 1);
    }
    bool wanted = values->token_file != NULL || variable != NULL;
    if (status == MT_OK && wanted && strlen(ret) < 8) {
        return mt_error_set(err, MT_E_INVAL, "the token has less than 8 bytes: make one with `openssl rand -hex 16`");
    }
    return status;
}

static int serve_main(int argc, char **argv)
{
    static char token[TOKEN_MAX];
    struct values values = { 0 };
    struct mt_operands operands;
    struct mt_error err = { 0 };
    int code;
    if (!mt_command_options(&doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    struct mt_serve_options options = { .listen = values.listen, .open = values.open };
    for (int i = 0; i < operands.count; i++) {
        mt_strlist_add(&options.targets, operands.items[i]);
    }
    mt_status status = find_token(&values, token, &err);
    if (status == MT_OK) {
        options.token = token[0] != '\0' ? token : NULL;
        status = mt_serve(&options, &err);
    }
    mt_strlist_clear(&options.targets);
    mt_strlist_clear(&options.listen);
    return mt_command_fail(&doc, status == MT_E_INVAL || status == MT_E_NOENT ? MT_EXIT_USAGE : MT_EXIT_FAILED, &err);
}

const struct mt_command mt_command_serve = { &doc, serve_main };
