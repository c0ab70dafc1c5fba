/* eval.c: `memtap eval`: Python code, run in a process that is armed. What happens there is agent/pyeval.h's. */
#include "cli/command.h"
#include "cli/target.h"
#include "control/client.h"
#include "util/human.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/out.h"
#include "util/say.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint64_t SEND_NS = 10000000000;
static const uint64_t SLACK_NS = 20000000000; /* beyond the time limit: interrupting, and a client that reads slowly */
static const uint64_t TIMEOUT_NS = 30000000000;

struct values {
    const char *file;
    uint64_t timeout_ns;
    int format;
    bool quiet;
};
#define FIELD(name) offsetof(struct values, name)

static const char *const formats[] = { "text", "json", NULL };
static const struct mt_option options[] = {
    { "file", 'f', MT_OPTION_TEXT, FIELD(file), NULL, NULL, 0, "FILE", "run what is in FILE; - is standard input" },
    { "timeout", 0, MT_OPTION_DURATION, FIELD(timeout_ns), NULL, NULL, 0, "T", "interrupt the code after T; default 30s" },
    { "format", 0, MT_OPTION_CHOICE, FIELD(format), formats, NULL, 0, "FORMAT",
      "text (default): what the code prints, as it comes; json: one object at the end, with status, output, error, traceback, held_gil_s" },
    { "quiet", 'q', MT_OPTION_FLAG, FIELD(quiet), NULL, NULL, 0, NULL, "do not say how long the GIL was held" },
    { 0 },
};
static const struct mt_option *const tables[] = { options, NULL };

static const struct mt_command_doc doc = {
    .name = "eval",
    .summary = "run Python code in a process",
    .synopsis = "memtap eval [OPTIONS] TARGET CODE\n"
                "memtap eval [OPTIONS] TARGET -\n"
                "memtap eval [OPTIONS] -f FILE TARGET",
    .description =
        "Runs CODE in the interpreter of a running process, CPython 3.8 to 3.14, on a thread of its own, and shows what it prints. "
        "Nothing has to be installed there. If the last statement is an expression, its value is shown as at a prompt. TARGET is a "
        "process id, HOST:PORT, [V6]:PORT or unix:/PATH; without it MEMTAP_ENDPOINT is used.\n"
        "\n"
        "Names are looked up among those that earlier code has set, then in the program's __main__ as it is at that moment, then among the "
        "builtins. What CODE sets stays for the next eval and does not change the program: `import __main__; __main__.x = 1` does. It "
        "also stays alive: delete what is large.\n"
        "\n"
        "Only what CODE's own thread prints is shown; the program's output stays its own, and it never sees CODE's. Standard input is "
        "empty. sys.exit ends CODE, not the program. Where psutil is not installed, CODE gets a small one that knows this process's memory. "
        "Ctrl-C interrupts CODE with a KeyboardInterrupt.",
    .notes = "While CODE computes it holds the GIL like any thread of the program, which can then not run Python; how long that was is said "
             "at the end, on standard error. time.sleep and waiting do not hold it.\n"
             "\n"
             "Code in a C function that does not come back to Python cannot be interrupted. After its time limit memtap leaves it alone, "
             "and no other eval begins in the process until it has ended.\n"
             "\n"
             "The process must be armed (`memtap list`); `memtap attach PID` arms it. With MEMTAP_ALLOW_EVAL=0 in its environment it runs no code.",
    .exit_codes = "0  done\n"
                  "1  the code raised an exception, or the process runs no Python\n"
                  "2  wrong usage\n"
                  "3  the process cannot be reached, or does not allow it; the message says what to do\n"
                  "4  the code took longer than it may, or earlier code has not ended yet",
    .examples = "memtap eval 1234 \"import gc; len(gc.get_objects())\"\n"
                "memtap eval 1234 -f census.py --timeout 2m\n"
                "echo 'print(model)' | memtap eval unix:/tmp/memtap-0/memtap-1234-0123456789abcdef.sock -",
    .tables = tables,
};

/* ---- the code ------------------------------------------------------------------------------------------------------- */

static mt_status read_all(FILE *file, const char *name, char **ret, size_t *ret_bytes, struct mt_error *err)
{
    char *text = NULL;
    size_t bytes = 0, capacity = 0, got = 1;
    while (got > 0 && bytes <= MT_CONTROL_PAYLOAD_MAX) {
        text = mt_alloc_grow(text, &capacity, bytes + 65536, 1);
        got = fread(text + bytes, 1, 65536 - 1, file);
        bytes += got;
    }
    if (ferror(file)) {
        free(text);
        return mt_error_set(err, MT_E_IO, "cannot read %s: %s", name, strerror(errno));
    }
    text[bytes] = '\0';
    *ret = text;
    *ret_bytes = bytes;
    return MT_OK;
}

static mt_status read_file(const char *name, char **ret, size_t *ret_bytes, struct mt_error *err)
{
    if (strcmp(name, "-") == 0) {
        return read_all(stdin, "standard input", ret, ret_bytes, err);
    }
    FILE *file = fopen(name, "re");
    if (file == NULL) {
        bool means_format = strcmp(name, "json") == 0;
        return mt_error_set(err, MT_E_INVAL, means_format ? "there is no file \"%s\"; an answer in JSON is --format json" : "cannot read %s: %s", name,
                            strerror(errno));
    }
    mt_status status = read_all(file, name, ret, ret_bytes, err);
    (void)fclose(file);
    return status;
}

/* Operands are TARGET CODE; TARGET may be in the environment, CODE in a file. */
static mt_status read_code(const struct values *chosen, const struct mt_operands *operands, const char **ret_target, char **ret, struct mt_error *err)
{
    int codes = chosen->file == NULL;
    size_t bytes = 0;
    if (operands->count < codes || operands->count > codes + 1) {
        return mt_error_set(err, MT_E_INVAL, codes ? "give a TARGET and one CODE; quote it" : "give a TARGET beside -f FILE, and no CODE (a format is --format json)");
    }
    *ret_target = operands->count > codes ? operands->items[0] : NULL;
    const char *code = codes ? operands->items[operands->count - 1] : NULL;
    if (code != NULL && strcmp(code, "-") != 0) {
        *ret = mt_strdup(code);
        return MT_OK;
    }
    mt_status status = read_file(code != NULL ? code : chosen->file, ret, &bytes, err);
    if (status == MT_OK && strlen(*ret) != bytes) {
        status = mt_error_set(err, MT_E_INVAL, "the code has a NUL byte in it, at %zu: it is no Python text", strlen(*ret));
    }
    return status;
}

/* ---- what comes back ------------------------------------------------------------------------------------------------ */

struct buffer {
    char *text;
    size_t bytes, capacity;
};

struct answer {
    bool json;
    struct buffer output, traceback, error;  /* output: JSON only */
    struct buffer lines[MT_STREAM_ERRORS + 1]; /* text at a terminal: the line under way */
};

static void add(struct buffer *buffer, const char *text, size_t bytes)
{
    buffer->text = mt_alloc_grow(buffer->text, &buffer->capacity, buffer->bytes + bytes + 1, 1);
    memcpy(buffer->text + buffer->bytes, text, bytes);
    buffer->bytes += bytes;
    buffer->text[buffer->bytes] = '\0';
}

static const char *text_of(const struct buffer *buffer)
{
    return buffer->text != NULL ? buffer->text : "";
}

/* Text of a stranger's, made safe between its tabs and line ends. */
static void show_clean(FILE *to, const char *text, size_t bytes)
{
    for (size_t at = 0, next; at < bytes; at = next) {
        next = at;
        while (next < bytes && text[next] != '\n' && text[next] != '\t') {
            next++;
        }
        char *clean = mt_text_clean(text + at, next - at);
        (void)fputs(clean, to);
        free(clean);
        if (next < bytes) {
            (void)fputc(text[next++], to);
        }
    }
    (void)fflush(to);
}

/* At a terminal up to the last line end that has come: a piece may be cut inside of a character. Elsewhere as it is. */
static void show(struct answer *answer, int stream, const char *text, size_t bytes)
{
    FILE *to = stream == MT_STREAM_OUTPUT ? stdout : stderr;
    if (!isatty(fileno(to))) {
        (void)fwrite(text, 1, bytes, to);
        (void)fflush(to);
        return;
    }
    struct buffer *line = &answer->lines[stream];
    const char *end = memrchr(text, '\n', bytes);
    size_t whole = end != NULL ? (size_t)(end - text) + 1 : 0;
    if (whole > 0) {
        add(line, text, whole);
        show_clean(to, line->text, line->bytes);
        line->bytes = 0;
    }
    add(line, text + whole, bytes - whole);
}

static bool take(void *context, int stream, const char *text, size_t bytes)
{
    struct answer *answer = context;
    if (stream == MT_STREAM_TRACEBACK || stream == MT_STREAM_ERROR) {
        add(stream == MT_STREAM_ERROR ? &answer->error : &answer->traceback, text, bytes);
    } else if (answer->json) {
        add(&answer->output, text, bytes);
    } else {
        show(answer, stream, text, bytes);
    }
    return true;
}

static void clear(struct answer *answer)
{
    free(answer->output.text);
    free(answer->traceback.text);
    free(answer->error.text);
    free(answer->lines[MT_STREAM_OUTPUT].text);
    free(answer->lines[MT_STREAM_ERRORS].text);
}

/* ---- how it ended --------------------------------------------------------------------------------------------------- */

struct ending {
    const char *word; /* in JSON */
    int code;
};

static struct ending ending_of(uint32_t status)
{
    switch (status) {
    case MT_CONTROL_IS_OK:
        return (struct ending){ "ok", MT_EXIT_OK };
    case MT_CONTROL_IS_RAISED:
        return (struct ending){ "error", MT_EXIT_FAILED };
    case MT_CONTROL_IS_TIMEOUT:
        return (struct ending){ "timeout", MT_EXIT_TIMEOUT };
    case MT_CONTROL_IS_BUSY:
        return (struct ending){ "busy", MT_EXIT_TIMEOUT };
    case MT_CONTROL_IS_NO_PYTHON:
        return (struct ending){ "no_python", MT_EXIT_FAILED };
    case MT_CONTROL_IS_FORBIDDEN:
        return (struct ending){ "forbidden", MT_EXIT_UNREACHABLE };
    default:
        return (struct ending){ "failed", MT_EXIT_UNREACHABLE };
    }
}

/* What the process could not say itself. */
static const char *reason_of(uint32_t status)
{
    return status == MT_CONTROL_IS_BUSY ? "other code is still running in the process; try again when it has ended" : mt_control_status_text(status);
}

static void write_lines(struct mt_json *json, const char *text)
{
    mt_json_array(json);
    for (size_t bytes; *text != '\0'; text += bytes) {
        const char *end = strchr(text, '\n');
        bytes = end != NULL ? (size_t)(end - text) + 1 : strlen(text);
        mt_json_bytes(json, text, bytes - (end != NULL));
    }
    mt_json_array_end(json);
}

static mt_status write_json(const struct answer *answer, const struct mt_reply *reply, struct mt_error *err)
{
    struct mt_out *out;
    struct mt_json json;
    mt_status status = mt_out_open(NULL, &out, err);
    if (status != MT_OK) {
        return status;
    }
    bool failed = reply->status != MT_CONTROL_IS_OK;
    mt_json_init(&json, out, 2);
    mt_json_object(&json);
    mt_json_put_text(&json, "status", ending_of(reply->status).word);
    mt_json_put_text(&json, "output", text_of(&answer->output));
    mt_json_put_text(&json, "error", answer->error.text != NULL ? answer->error.text : failed ? reason_of(reply->status) : NULL);
    mt_json_key(&json, "traceback");
    write_lines(&json, text_of(&answer->traceback));
    mt_json_put_double(&json, "held_gil_s", (double)mt_reply_number(reply, "HELD_NS") / 1e9);
    mt_json_object_end(&json);
    mt_out_byte(out, '\n');
    return mt_out_commit(out, err);
}

static void end_text(struct answer *answer, const struct mt_reply *reply)
{
    for (int stream = MT_STREAM_OUTPUT; stream <= MT_STREAM_ERRORS; stream++) {
        show_clean(stream == MT_STREAM_OUTPUT ? stdout : stderr, text_of(&answer->lines[stream]), answer->lines[stream].bytes);
    }
    show(answer, MT_STREAM_ERRORS, text_of(&answer->traceback), answer->traceback.bytes);
    if (reply->status != MT_CONTROL_IS_OK && answer->traceback.bytes == 0) {
        mt_say("memtap eval: %s", answer->error.text != NULL ? answer->error.text : reason_of(reply->status));
    }
}

static int end(const struct values *chosen, struct answer *answer, const struct mt_reply *reply)
{
    struct mt_error err = { 0 };
    if (!answer->json) {
        end_text(answer, reply);
    } else if (write_json(answer, reply, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    uint64_t held_ns = mt_reply_number(reply, "HELD_NS");
    if (!chosen->quiet && held_ns > 0) {
        mt_say("memtap eval: the program's own Python stood still for %.1f ms in all, while the code held the GIL", (double)held_ns / 1e6);
    }
    return ferror(stdout) ? MT_EXIT_FAILED : ending_of(reply->status).code;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------ */

static mt_status ask(struct mt_client *client, const char *code, uint64_t timeout_ns, struct answer *answer, struct mt_reply *ret, struct mt_error *err)
{
    size_t capacity = strlen(code) + 64;
    struct mt_control_text words = { .buf = mt_alloc(capacity), .capacity = capacity };
    const struct mt_client_wait how = { .timeout_ns = timeout_ns + SLACK_NS, .say = take, .context = answer };
    mt_control_add(&words, "CODE", code);
    mt_control_add_number(&words, "TIMEOUT_MS", timeout_ns / 1000000 > 0 ? timeout_ns / 1000000 : 1);
    mt_status status = mt_client_send(client, MT_CONTROL_EVAL, words.buf, words.length, SEND_NS, err);
    free(words.buf);
    return status == MT_OK ? mt_client_receive(client, &how, ret, err) : status;
}

static int run_there(const struct values *chosen, const char *target, const char *code)
{
    struct mt_endpoint where;
    struct mt_client client;
    struct mt_error err = { 0 };
    struct mt_reply reply = { 0 };
    struct answer answer = { .json = chosen->format == 1 };
    mt_status status = mt_endpoint_parse(target, &where, &err);
    if (status == MT_OK) {
        status = mt_client_open(&where, &client, &err);
    }
    if (status != MT_OK) {
        return mt_command_fail(&doc, mt_target_exit_code(status), &err);
    }
    status = ask(&client, code, chosen->timeout_ns, &answer, &reply, &err);
    int exit_code = status == MT_OK ? end(chosen, &answer, &reply) : mt_command_fail(&doc, mt_target_exit_code(status), &err);
    mt_client_close(&client);
    mt_reply_clear(&reply);
    clear(&answer);
    return exit_code;
}

/* -f names a file, elsewhere a format: beside a TARGET and a CODE it can only be meant as that. */
static void take_format(struct values *chosen, const struct mt_operands *operands)
{
    bool means_format = chosen->file != NULL && operands->count == 2 && access(chosen->file, F_OK) != 0;
    for (int i = 0; means_format && formats[i] != NULL; i++) {
        if (strcmp(chosen->file, formats[i]) == 0) {
            chosen->format = i;
            chosen->file = NULL;
            return;
        }
    }
}

static int eval_main(int argc, char **argv)
{
    struct values chosen = { .timeout_ns = TIMEOUT_NS };
    struct mt_operands operands;
    struct mt_error err = { 0 };
    const char *target = NULL;
    char *code = NULL;
    int exit_code;
    if (!mt_command_options(&doc, argc, argv, &chosen, &operands, &exit_code)) {
        return exit_code;
    }
    take_format(&chosen, &operands);
    if (read_code(&chosen, &operands, &target, &code, &err) != MT_OK) {
        exit_code = mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    } else {
        exit_code = run_there(&chosen, target, code);
    }
    free(code);
    return exit_code;
}

const struct mt_command mt_command_eval = { &doc, eval_main };
