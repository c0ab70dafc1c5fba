/* endpoint.c: see endpoint.h. */
#include "control/endpoint.h"

#include "util/human.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_port(const char *text)
{
    uint64_t port = 0;
    return mt_parse_count(text, &port) && port >= 1 && port <= UINT16_MAX;
}

static bool parse_host(const char *text, struct mt_endpoint *ret)
{
    const char *colon = strrchr(text, ':');
    bool long_address = text[0] == '[';
    if (colon == NULL || colon == text || strchr(text, '/') != NULL || !is_port(colon + 1)) {
        return false;
    }
    size_t bytes = (size_t)(colon - text);
    if (long_address ? bytes < 3 || colon[-1] != ']' : memchr(text, ':', bytes) != NULL) {
        return false;
    }
    (void)snprintf(ret->port, sizeof ret->port, "%s", colon + 1);
    (void)snprintf(ret->host, sizeof ret->host, "%.*s", (int)(bytes - (long_address ? 2 : 0)), text + long_address);
    ret->kind = MT_ENDPOINT_HOST;
    return true;
}

static bool parse_process(const char *text, struct mt_endpoint *ret)
{
    uint64_t pid = 0;
    if (!mt_parse_count(text, &pid) || pid == 0 || pid > INT32_MAX || access(text, F_OK) == 0) {
        return false;
    }
    ret->kind = MT_ENDPOINT_PROCESS;
    ret->pid = (pid_t)pid;
    return true;
}

mt_status mt_endpoint_parse(const char *text, struct mt_endpoint *ret, struct mt_error *err)
{
    static const char prefix[] = "unix:";
    memset(ret, 0, sizeof *ret);
    if (text == NULL) {
        text = getenv("MEMTAP_ENDPOINT");
    }
    if (text == NULL || text[0] == '\0') {
        return mt_error_set(err, MT_E_INVAL, "give a TARGET: a process id, host:port, [v6]:port or unix:/path (or set MEMTAP_ENDPOINT)");
    }
    if (strlen(text) >= sizeof ret->text) {
        return mt_error_set(err, MT_E_INVAL, "\"%.40s…\" is too long for a TARGET", text);
    }
    bool is_socket = strncmp(text, prefix, sizeof prefix - 1) == 0;
    (void)snprintf(ret->text, sizeof ret->text, "%s", is_socket ? text + sizeof prefix - 1 : text);
    if (is_socket) {
        ret->kind = MT_ENDPOINT_SOCKET;
        return ret->text[0] == '/' ? MT_OK : mt_error_set(err, MT_E_INVAL, "\"%s\": the path of a socket begins with /", text);
    }
    if (parse_process(text, ret) || parse_host(text, ret)) {
        return MT_OK;
    }
    ret->kind = MT_ENDPOINT_FILE;
    return access(text, F_OK) == 0 ? MT_OK
                                   : mt_error_set(err, MT_E_INVAL,
                                                  "\"%s\" is no process id, no host:port, no [v6]:port, no unix:/path, and there is no such file",
                                                  text);
}
