/* clients.h: connections, and how long they take to ask.
 *
 * Decides: whoever has not asked a whole question some time after it came, or after its last answer, is disconnected, however
 * busy it looks: a byte a second would hold a connection for ever. The library's own limit is for those that do nothing at all.
 * Context: [tool]; the servers' threads, and tick from the main one.
 */
#ifndef MT_SERVE_CLIENTS_H
#define MT_SERVE_CLIENTS_H

#include "serve/library.h"

#include <pthread.h>

struct mt_client;

struct mt_clients {
    pthread_mutex_t lock;
    struct mt_client *first;
    size_t count;
};

void mt_clients_init(struct mt_clients *clients);
struct mt_client *mt_clients_came(struct mt_clients *clients, struct MHD_Connection *connection);
void mt_clients_went(struct mt_clients *clients, struct mt_client *client);
/* The question is whole; the answer was sent. */
void mt_clients_asked(struct mt_clients *clients, struct MHD_Connection *connection);
void mt_clients_answered(struct mt_clients *clients, struct MHD_Connection *connection);
void mt_clients_tick(struct mt_clients *clients);
size_t mt_clients_count(struct mt_clients *clients);

#endif
