/* auth.c: see auth.h. */
#include "serve/auth.h"

#include "serve/request.h"
#include "serve/server.h"
#include "util/memory.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { CREDENTIAL_MAX = 1024 };

bool mt_auth_same(const char *given, size_t bytes, const char *token)
{
    size_t wanted = strlen(token);
    unsigned different = bytes ^ wanted ? 1u : 0u;
    for (size_t i = 0; i < bytes; i++) {
        different |= (unsigned char)(given[i] ^ token[wanted > 0 ? i % wanted : 0]);
    }
    return different == 0 && wanted > 0;
}

/* ---- credentials -------------------------------------------------------------------------------------------------- */

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* Bytes written; what is no base64 ends it. */
static size_t base64_decode(const char *text, char ret[CREDENTIAL_MAX])
{
    unsigned bits = 0, held = 0;
    size_t bytes = 0;
    for (; base64_digit(*text) >= 0 && bytes < CREDENTIAL_MAX; text++) {
        bits = bits << 6 | (unsigned)base64_digit(*text);
        held += 6;
        if (held >= 8) {
            held -= 8;
            ret[bytes++] = (char)(bits >> held & 255);
        }
    }
    return bytes;
}

static bool basic_fits(const char *text, const char *token)
{
    char credentials[CREDENTIAL_MAX];
    size_t bytes = base64_decode(text, credentials);
    const char *colon = memchr(credentials, ':', bytes);
    return colon != NULL && mt_auth_same(colon + 1, bytes - (size_t)(colon + 1 - credentials), token);
}

static bool authorization_fits(const char *text, const char *token)
{
    const char *blank = text != NULL ? strchr(text, ' ') : NULL;
    if (blank == NULL) {
        return false;
    }
    const char *rest = blank + strspn(blank, " ");
    if (strncasecmp(text, "Bearer ", 7) == 0) {
        return mt_auth_same(rest, strcspn(rest, " "), token);
    }
    return strncasecmp(text, "Basic ", 6) == 0 && basic_fits(rest, token);
}

static bool token_fits(const struct mt_request *request, const char *token)
{
    const char *own = mt_request_header(request, "X-Memtap-Token");
    const char *cookie = mt_http.lookup_connection_value(request->connection, MHD_COOKIE_KIND, "authToken");
    bool fits = authorization_fits(mt_request_header(request, "Authorization"), token);
    fits = (own != NULL && mt_auth_same(own, strlen(own), token)) || fits;
    return (cookie != NULL && mt_auth_same(cookie, strlen(cookie), token)) || fits;
}

/* ---- where it comes from ------------------------------------------------------------------------------------------ */

bool mt_auth_host_is_local(const char *host)
{
    char name[256];
    struct in6_addr address;
    if (host == NULL || strlen(host) >= sizeof name) {
        return false;
    }
    bool bracket = host[0] == '[';
    size_t bytes = strcspn(host + bracket, bracket ? "]" : ":");
    memcpy(name, host + bracket, bytes);
    name[bytes] = '\0';
    if (bracket && host[1 + bytes] != ']') {
        return false;
    }
    const char *behind = host + bracket + bytes + bracket;
    if (behind[0] != '\0' && (behind[0] != ':' || strspn(behind + 1, "0123456789") != strlen(behind + 1))) {
        return false;
    }
    return bracket ? inet_pton(AF_INET6, name, &address) == 1 : strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &address) == 1;
}

/* A page of another site made the browser ask; only following a link is a person's doing. */
static bool is_from_elsewhere(const struct mt_request *request)
{
    const char *origin = mt_request_header(request, "Origin");
    const char *host = mt_request_header(request, "Host");
    const char *site = mt_request_header(request, "Sec-Fetch-Site");
    const char *mode = mt_request_header(request, "Sec-Fetch-Mode");
    const char *name = origin != NULL ? strstr(origin, "://") : NULL;
    if (origin != NULL && (name == NULL || host == NULL || strcasecmp(name + 3, host) != 0)) {
        return true;
    }
    bool elsewhere = site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
    return elsewhere && (mode == NULL || strcmp(mode, "navigate") != 0);
}

/* The process at the other end of a unix socket is this user's, or root's. */
static bool peer_fits(const struct mt_request *request)
{
    const union MHD_ConnectionInfo *info = mt_http.get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    return info != NULL && getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static unsigned forbid(struct mt_request *request, const char *why)
{
    mt_response_fail(request, MHD_HTTP_FORBIDDEN, "FORBIDDEN", "%s", why);
    return MHD_HTTP_FORBIDDEN;
}

unsigned mt_auth_refuses(struct mt_request *request)
{
    const struct mt_listener *listener = request->listener;
    const char *token = request->server->token;
    if (listener->is_unix && !peer_fits(request)) {
        return forbid(request, "only the user who runs memtap serve, and root, may use this socket");
    }
    if (!listener->is_unix && token == NULL && !mt_auth_host_is_local(mt_request_header(request, "Host"))) {
        return forbid(request, "without a token this server is asked for by number or as localhost; the Host of this request is another");
    }
    if (is_from_elsewhere(request)) {
        return forbid(request, "a page of another site may not ask");
    }
    if (token == NULL || (request->route != NULL && request->route->access == MT_ROUTE_PUBLIC) || token_fits(request, token)) {
        return 0;
    }
    mt_response_fail(request, MHD_HTTP_UNAUTHORIZED, "UNAUTHORIZED",
                  "a token is needed: Authorization: Bearer …, X-Memtap-Token, or as the password of Basic; it is the server's MEMTAP_TOKEN");
    mt_response_header(request, "WWW-Authenticate", "Basic realm=\"memtap\", charset=\"UTF-8\"");
    return MHD_HTTP_UNAUTHORIZED;
}
