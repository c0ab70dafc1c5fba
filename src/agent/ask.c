/* ask.c: see ask.h. */
#include "agent/ask.h"

#include "wire/ask.h"

#include <string.h>

/* A tool that lives answers within a tick of 4 ms, one on a busy machine later; a dead one refuses at once. These bounds are for
 * one that is stopped. */
static const uint64_t NEW_WAIT_NS = 2000000000;
static const uint64_t AGAIN_WAIT_NS = 100000000; /* other threads wait too, a quarter of a second at most (base/lock.h) */

static struct {
    char name[108];
    size_t name_bytes;
    uint64_t token;
    const char *path; /* of the recording */
} g_ask = { .path = "" };

static uint64_t hex_of(const char *text)
{
    uint64_t value = 0;
    for (; *text != '\0'; text++) {
        value = value * 16 + (uint64_t)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
    }
    return value;
}

void mt_ask_configure(const char *helper)
{
    const char *dot = strrchr(helper, '.');
    g_ask.name_bytes = 0;
    if (dot != NULL && (size_t)(dot - helper) < sizeof g_ask.name) {
        g_ask.name_bytes = (size_t)(dot - helper);
        memcpy(g_ask.name, helper, g_ask.name_bytes);
        g_ask.token = hex_of(dot + 1);
    }
}

void mt_ask_about(const char *path)
{
    g_ask.path = path;
}

static mt_status ask(const struct mt_ask_request *request, uint64_t timeout_ns, int *ret_fd)
{
    struct mt_ask_reply reply = { 0 };
    int fd = -1;
    const struct mt_os_question question = { .name = g_ask.name,
                                             .name_bytes = g_ask.name_bytes,
                                             .request = request,
                                             .request_bytes = sizeof *request,
                                             .reply = &reply,
                                             .reply_bytes = sizeof reply,
                                             .timeout_ns = timeout_ns };
    mt_status status = mt_os_ask(&question, &fd);
    if (status != MT_OK) {
        return status;
    }
    if (reply.magic != MT_ASK_MAGIC || (reply.status == MT_OK && fd < 0)) {
        mt_os_close(fd);
        return MT_E_IO;
    }
    *ret_fd = fd;
    return reply.status < MT_STATUS__COUNT ? (mt_status)reply.status : MT_E_IO;
}

static mt_status ask_about(enum mt_ask_kind kind, uint64_t journal, const struct mt_os_file *file, uint64_t timeout_ns, int *ret_fd)
{
    static struct mt_ask_request request; /* too large for a small stack; one question at a time: callers hold a lock or are alone */
    size_t length = strlen(g_ask.path);
    if (g_ask.name_bytes == 0 || length >= sizeof request.path) {
        return MT_E_UNSUPPORTED;
    }
    memset(&request, 0, sizeof request);
    request.magic = MT_ASK_MAGIC;
    request.kind = (uint32_t)kind;
    request.token = g_ask.token;
    request.device = file != NULL ? file->device : 0;
    request.inode = file != NULL ? file->inode : 0;
    request.journal = journal;
    memcpy(request.path, g_ask.path, length + 1);
    return ask(&request, timeout_ns, ret_fd);
}

mt_status mt_ask_for_new(int *ret_fd)
{
    return ask_about(MT_ASK_NEW, 0, NULL, NEW_WAIT_NS, ret_fd);
}

mt_status mt_ask_for_tick(int *ret_fd)
{
    return ask_about(MT_ASK_TICK, 0, NULL, AGAIN_WAIT_NS, ret_fd);
}

mt_status mt_ask_for_journal(uint64_t journal, const struct mt_os_file *trace, int *ret_fd)
{
    return ask_about(MT_ASK_JOURNAL, journal, trace, NEW_WAIT_NS, ret_fd);
}

mt_status mt_ask_for_again(uint64_t journal, const struct mt_os_file *wanted, int *ret_fd)
{
    return ask_about(MT_ASK_AGAIN, journal, wanted, AGAIN_WAIT_NS, ret_fd);
}

/* As much of it as there is room for; returns the end. */
static char *add_text(char *at, const char *end, const char *text)
{
    while (at < end && *text != '\0') {
        *at++ = *text++;
    }
    *at = '\0';
    return at;
}

void mt_ask_tell(uint32_t why, const char *path, char *const *argv)
{
    struct mt_ask_told told = { .magic = MT_ASK_MAGIC, .kind = MT_ASK_TOLD, .token = g_ask.token, .why = why };
    const char *end = told.command + sizeof told.command - 1;
    char *at = add_text(told.command, end, path);
    for (size_t i = 1; at < end && mt_os_is_mapped((uint64_t)(uintptr_t)&argv[i]) && argv[i - 1] != NULL && argv[i] != NULL &&
                       mt_os_is_mapped((uint64_t)(uintptr_t)argv[i]);
         i++) {
        at = add_text(at, end, " ");
        at = add_text(at, end, argv[i]);
    }
    if (g_ask.name_bytes > 0) {
        (void)(mt_os_tell(g_ask.name, g_ask.name_bytes, &told, sizeof told) == MT_OK);
    }
}
