/* clients.c: see clients.h. A connection's descriptor is closed only after mt_clients_went, so under the lock it is the client's. */
#include "serve/clients.h"

#include "base/os.h"
#include "util/memory.h"

#define PATIENCE_NS 20000000000ull

struct mt_client {
    int fd;
    uint64_t since_ns; /* waits for its question; 0: it is being answered */
    struct mt_client *next, *before;
};

void mt_clients_init(struct mt_clients *clients)
{
    *clients = (struct mt_clients){ .lock = PTHREAD_MUTEX_INITIALIZER };
}

struct mt_client *mt_clients_came(struct mt_clients *clients, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = mt_http.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct mt_client *client = mt_alloc_zero(1, sizeof *client);
    *client = (struct mt_client){ .fd = info != NULL ? info->connect_fd : -1, .since_ns = mt_os_monotonic_ns() };
    (void)pthread_mutex_lock(&clients->lock);
    client->next = clients->first;
    if (client->next != NULL) {
        client->next->before = client;
    }
    clients->first = client;
    clients->count++;
    (void)pthread_mutex_unlock(&clients->lock);
    return client;
}

void mt_clients_went(struct mt_clients *clients, struct mt_client *client)
{
    if (client == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&clients->lock);
    *(client->before != NULL ? &client->before->next : &clients->first) = client->next;
    if (client->next != NULL) {
        client->next->before = client->before;
    }
    clients->count--;
    (void)pthread_mutex_unlock(&clients->lock);
    free(client);
}

static void set_since(struct mt_clients *clients, struct MHD_Connection *connection, uint64_t since_ns)
{
    const union MHD_ConnectionInfo *info = mt_http.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct mt_client *client = info != NULL ? info->socket_context : NULL;
    if (client != NULL) {
        (void)pthread_mutex_lock(&clients->lock);
        client->since_ns = since_ns;
        (void)pthread_mutex_unlock(&clients->lock);
    }
}

void mt_clients_asked(struct mt_clients *clients, struct MHD_Connection *connection)
{
    set_since(clients, connection, 0);
}

void mt_clients_answered(struct mt_clients *clients, struct MHD_Connection *connection)
{
    set_since(clients, connection, mt_os_monotonic_ns());
}

void mt_clients_tick(struct mt_clients *clients)
{
    uint64_t now_ns = mt_os_monotonic_ns();
    (void)pthread_mutex_lock(&clients->lock);
    for (struct mt_client *client = clients->first; client != NULL; client = client->next) {
        if (client->since_ns != 0 && now_ns - client->since_ns > PATIENCE_NS && now_ns > client->since_ns) {
            (void)shutdown(client->fd, SHUT_RDWR);
        }
    }
    (void)pthread_mutex_unlock(&clients->lock);
}

size_t mt_clients_count(struct mt_clients *clients)
{
    (void)pthread_mutex_lock(&clients->lock);
    size_t count = clients->count;
    (void)pthread_mutex_unlock(&clients->lock);
    return count;
}
