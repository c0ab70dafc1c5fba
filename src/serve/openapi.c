/* openapi.c: what is served, as an OpenAPI document, made from the table that requests are answered by (routes.def). */
#include "serve/answers.h"
#include "serve/server.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static void put_arguments(struct mt_json *json, const struct mt_route *route)
{
    char name[64];
    mt_json_key(json, "parameters");
    mt_json_array(json);
    for (const char *at = route->arguments; *at != '\0'; at += strspn(at, " ")) {
        size_t bytes = strcspn(at, " ");
        (void)snprintf(name, sizeof name, "%.*s", (int)bytes, at);
        at += bytes;
        mt_json_object(json);
        mt_json_put_text(json, "name", name);
        mt_json_put_text(json, "in", "query");
        mt_json_put_bool(json, "required", false);
        mt_json_key(json, "schema");
        mt_json_object(json);
        mt_json_put_text(json, "type", "string");
        mt_json_object_end(json);
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
}

static void put_content(struct mt_json *json, const char *type)
{
    mt_json_key(json, "content");
    mt_json_object(json);
    mt_json_key(json, type);
    mt_json_object(json);
    mt_json_object_end(json);
    mt_json_object_end(json);
}

static void put_responses(struct mt_json *json, const struct mt_route *route)
{
    mt_json_key(json, "responses");
    mt_json_object(json);
    mt_json_key(json, "200");
    mt_json_object(json);
    mt_json_put_text(json, "description", route->summary);
    put_content(json, route->type);
    mt_json_object_end(json);
    mt_json_key(json, "default");
    mt_json_object(json);
    mt_json_put_text(json, "description", "It failed: detail says why, code is for programs");
    put_content(json, "application/json");
    mt_json_object_end(json);
    mt_json_object_end(json);
}

static void put_route(struct mt_json *json, const struct mt_route *route)
{
    char method[16];
    (void)snprintf(method, sizeof method, "%s", route->method);
    for (char *at = method; *at != '\0'; at++) {
        *at = (char)tolower((unsigned char)*at);
    }
    mt_json_key(json, method);
    mt_json_object(json);
    mt_json_put_text(json, "summary", route->summary);
    put_arguments(json, route);
    if (strcmp(route->method, "GET") != 0) {
        mt_json_key(json, "requestBody");
        mt_json_object(json);
        put_content(json, "application/json");
        mt_json_object_end(json);
    }
    put_responses(json, route);
    mt_json_key(json, "security");
    mt_json_array(json);
    if (route->access != MT_ROUTE_PUBLIC) {
        static const char *const schemes[] = { "bearer", "basic", "header", "cookie" };
        for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
            mt_json_object(json);
            mt_json_key(json, schemes[i]);
            mt_json_array(json);
            mt_json_array_end(json);
            mt_json_object_end(json);
        }
    }
    mt_json_array_end(json);
    mt_json_object_end(json);
}

/* Rows of one path stand together. */
static void put_paths(struct mt_json *json, const struct mt_server *server)
{
    mt_json_key(json, "paths");
    mt_json_object(json);
    for (size_t i = 0; i < server->route_count; i++) {
        bool begins = i == 0 || strcmp(server->routes[i - 1].path, server->routes[i].path) != 0;
        if (begins && i > 0) {
            mt_json_object_end(json);
        }
        if (begins) {
            mt_json_key(json, server->routes[i].path);
            mt_json_object(json);
        }
        put_route(json, &server->routes[i]);
    }
    mt_json_object_end(json);
    mt_json_object_end(json);
}

static void put_schemes(struct mt_json *json)
{
    mt_json_key(json, "components");
    mt_json_object(json);
    mt_json_key(json, "securitySchemes");
    mt_json_raw(json, "{\"bearer\": {\"type\": \"http\", \"scheme\": \"bearer\"}, \"basic\": {\"type\": \"http\", \"scheme\": \"basic\"}, "
                      "\"header\": {\"type\": \"apiKey\", \"in\": \"header\", \"name\": \"X-Memtap-Token\"}, "
                      "\"cookie\": {\"type\": \"apiKey\", \"in\": \"cookie\", \"name\": \"authToken\"}}");
    mt_json_object_end(json);
}

void mt_serve_openapi(struct mt_request *request)
{
    struct mt_json json = mt_response_json();
    mt_json_object(&json);
    mt_json_put_text(&json, "openapi", "3.0.3");
    mt_json_key(&json, "info");
    mt_json_object(&json);
    mt_json_put_text(&json, "title", "memtap serve");
    mt_json_put_text(&json, "version", MEMTAP_VERSION);
    mt_json_object_end(&json);
    put_paths(&json, request->server);
    put_schemes(&json);
    mt_json_object_end(&json);
    mt_response_json_end(request, MHD_HTTP_OK, &json);
}
