/* auth.h: who may ask.
 *
 * Decides: with a token, whoever has it: Authorization: Bearer, X-Memtap-Token, the password of Basic (which browsers ask a person for),
 * or the cookie authToken; never as a part of an address, which ends up in logs and histories. Compared in a time that says nothing of
 * how much was right. Without a token only loopback and a unix socket are served: at the socket a process of the same user or root, at
 * loopback whoever names it by number or "localhost" (a page of another site can make its own name lead here, but cannot change what
 * browsers send as Host). Requests that a page of another site caused are refused. Context: [tool], the server's thread.
 */
#ifndef MT_SERVE_AUTH_H
#define MT_SERVE_AUTH_H

#include <stdbool.h>
#include <stddef.h>

struct mt_request;

/* 0: let it in; 401 or 403: refused, with the reply made. */
unsigned mt_auth_refuses(struct mt_request *request);
/* May a request without credentials come by this Host? NULL: there was none. */
bool mt_auth_host_is_local(const char *host);
/* Are the two alike? Takes as long whatever they have in common. */
bool mt_auth_same(const char *given, size_t bytes, const char *token);

#endif
