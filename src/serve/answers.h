/* answers.h: who answers, by the names of routes.def: mt_serve_health and so on. Private to serve/. Context: [tool]. */
#ifndef MT_SERVE_ANSWERS_H
#define MT_SERVE_ANSWERS_H

struct mt_request;

#define MT_ROUTE(method, path, answer, access, place, arguments, type, summary) void mt_serve_##answer(struct mt_request *request);
#include "serve/routes.def"
#undef MT_ROUTE

#endif
