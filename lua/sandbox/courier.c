/* Webhooks: a few threads post them, taken in the order in which they were queued, so that a slow endpoint holds up neither
 * the sandbox nor the others. A thread is started when there is more to do than those that run can take up, and libcurl
 * loaded by the first.
 *
 *   sandbox's thread ──courier_send──▶ waiting ──▶ a worker's thread ──▶ done ──courier_take──▶ sandbox's thread
 *
 * A delivery, with all that it points to, lies in one arena and belongs to the queue, or thread, that has it. */
#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http.h"
#include "server.h"

enum { MOST_ANSWER = 1 << 20, MOST_HEADERS = 32, DEFAULT_TIMEOUT = 20, MOST_WORKERS = 4 };

struct delivery {
  delivery *next;
  ps_arena *arena;
  const char *id;
  const char *content;
  size_t length, read;
  ps_body body;
  ps_http_header headers[MOST_HEADERS];
  ps_http_request request;
  int status; /* 0: none */
  const char *error;
};

typedef struct queue {
  delivery *first, **last;
} queue;

typedef struct worker {
  courier *courier;
  pthread_t thread;
  ps_http *http; /* of the thread; others only wake it, under the lock */
} worker;

struct courier {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  queue waiting, done;
  int open; /* deliveries that are waiting or under way */
  bool stopping;
  int wake;
  worker workers[MOST_WORKERS];
  int started; /* workers */
};

static void put(queue *q, delivery *d) {
  d->next = NULL;
  *q->last = d;
  q->last = &d->next;
}

static delivery *take(queue *q) {
  delivery *d = q->first;
  if (!d) return NULL;
  q->first = d->next;
  if (!q->first) q->last = &q->first;
  return d;
}

void delivery_free(delivery *d) { ps_arena_free(d->arena); }

/* ---- A worker's thread ---- */

/* False: the end has come, and nobody will wake this one. */
static bool replace_http(worker *w, ps_http *http) {
  courier *c = w->courier;
  pthread_mutex_lock(&c->lock);
  ps_http *old = w->http;
  w->http = http;
  bool stopping = c->stopping;
  pthread_mutex_unlock(&c->lock);
  ps_http_free(old);
  return !stopping;
}

static void set_outcome(delivery *d, const ps_http_response *response) {
  d->status = response->status;
  if (response->failure.kind == PS_ERROR_NONE || response->failure.kind == PS_ERROR_TOO_LARGE) return;
  d->status = 0;
  d->error = ps_arena_str(d->arena, response->failure.message);
  if (!d->error) d->error = "not enough memory";
}

static void carry(worker *w, delivery *d) {
  static const ps_http_config config;
  ps_http_response response = {.arena = ps_arena_new(1024), .max_body = MOST_ANSWER};
  bool usable = (w->http && ps_http_reusable(w->http)) || replace_http(w, ps_http_new(&config));
  if (!usable || !w->http || !response.arena) {
    d->error = usable ? "not enough memory" : "the sandbox was closed";
  } else {
    ps_http_begin(w->http, &d->request, &response, false);
    if (!ps_http_perform(w->http, -1)) ps_http_cancel(w->http);
    set_outcome(d, &response);
  }
  ps_buf_dispose(&response.body);
  ps_arena_free(response.arena);
}

/* The next delivery, waited for; NULL: the end. */
static delivery *next_delivery(courier *c, delivery *done) {
  const uint64_t one = 1;
  pthread_mutex_lock(&c->lock);
  if (done) put(&c->done, done);
  if (done) c->open--;
  if (done && write(c->wake, &one, sizeof one) < 0) (void)errno; /* full: it is readable already */
  while (!c->stopping && !c->waiting.first) pthread_cond_wait(&c->changed, &c->lock);
  delivery *d = c->stopping ? NULL : take(&c->waiting);
  pthread_mutex_unlock(&c->lock);
  return d;
}

static void *run(void *context) {
  worker *w = context;
  for (delivery *d = NULL; (d = next_delivery(w->courier, d));) carry(w, d);
  replace_http(w, NULL);
  return NULL;
}

/* ---- The sandbox's thread ---- */

courier *courier_new(int wake) {
  courier *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  pthread_mutex_init(&c->lock, NULL);
  pthread_cond_init(&c->changed, NULL);
  c->waiting.last = &c->waiting.first;
  c->done.last = &c->done.first;
  c->wake = wake;
  return c;
}

void courier_free(courier *c) {
  if (!c) return;
  pthread_mutex_lock(&c->lock);
  c->stopping = true;
  for (int i = 0; i < c->started; i++) {
    if (c->workers[i].http) ps_http_wake(c->workers[i].http);
  }
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->lock);
  for (int i = 0; i < c->started; i++) pthread_join(c->workers[i].thread, NULL);
  for (delivery *d; (d = take(&c->waiting));) delivery_free(d);
  for (delivery *d; (d = take(&c->done));) delivery_free(d);
  pthread_cond_destroy(&c->changed);
  pthread_mutex_destroy(&c->lock);
  free(c);
}

delivery *courier_take(courier *c) {
  pthread_mutex_lock(&c->lock);
  delivery *d = take(&c->done);
  pthread_mutex_unlock(&c->lock);
  return d;
}

static ptrdiff_t read_content(void *context, char *buffer, size_t size) {
  delivery *d = context;
  size_t left = d->length - d->read, n = left < size ? left : size;
  memcpy(buffer, d->content + d->read, n);
  d->read += n;
  return (ptrdiff_t)n;
}

/* ---- From Lua ---- */

/* A copy of a string field of the table on the top of the stack. */
static const char *copy_field(lua_State *L, ps_arena *a, const char *name, size_t *length) {
  lua_getfield(L, -1, name);
  if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "a delivery's %s must be a string", name);
  const char *text = lua_tolstring(L, -1, length);
  const char *copy = ps_arena_strn(a, text, *length);
  if (!copy) luaL_error(L, "not enough memory");
  lua_pop(L, 1);
  return copy;
}

static void copy_headers(lua_State *L, delivery *d) {
  if (lua_getfield(L, -1, "headers") != LUA_TTABLE) luaL_error(L, "a delivery's headers must be a table");
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    ps_http_header *h = &d->headers[d->request.header_count++];
    if (d->request.header_count > MOST_HEADERS) luaL_error(L, "a delivery has at most %d headers", MOST_HEADERS);
    if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "a name of a delivery's headers is not a string");
    h->name = ps_arena_str(d->arena, lua_tostring(L, -2));
    h->value = ps_arena_str(d->arena, luaL_checkstring(L, -1));
    if (!h->name || !h->value) luaL_error(L, "not enough memory");
  }
  lua_pop(L, 1);
}

static void read_delivery(lua_State *L, delivery *d) {
  size_t length = 0;
  d->id = copy_field(L, d->arena, "id", &length);
  d->request = (ps_http_request){.method = "POST", .url = copy_field(L, d->arena, "url", &length)};
  d->content = copy_field(L, d->arena, "body", &d->length);
  d->body = (ps_body){.length = (int64_t)d->length, .read = read_content, .context = d};
  d->request.body = &d->body;
  d->request.headers = d->headers;
  copy_headers(L, d);
  lua_getfield(L, -1, "timeout");
  double timeout = luaL_optnumber(L, -1, DEFAULT_TIMEOUT);
  d->request.timeout = d->request.connect_timeout = d->request.deadline = timeout;
  lua_pop(L, 1);
}

/* Stack: the table, a pointer to where the delivery goes. */
static int protected_read(lua_State *L) {
  delivery **place = lua_touserdata(L, 2);
  ps_arena *arena = ps_arena_new(4096);
  delivery *d = arena ? ps_arena_alloc(arena, sizeof *d) : NULL;
  if (!d) ps_arena_free(arena);
  if (!d) return luaL_error(L, "not enough memory");
  *d = (delivery){.arena = arena};
  *place = d;
  lua_settop(L, 1);
  read_delivery(L, d);
  return 0;
}

/* Starts a worker if all that run are busy. False: none runs, and none can be started. */
static bool start(courier *c, int open) {
  worker *w = &c->workers[c->started];
  sigset_t all, before;
  if (c->started >= open || c->started == MOST_WORKERS) return true;
  w->courier = c;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  if (pthread_create(&w->thread, NULL, run, w) == 0) c->started++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return c->started > 0;
}

void courier_send(lua_State *L, int index, courier *c) {
  delivery *d = NULL;
  index = lua_absindex(L, index);
  lua_pushcfunction(L, protected_read);
  lua_pushvalue(L, index);
  lua_pushlightuserdata(L, &d);
  bool read = lua_pcall(L, 2, 0, 0) == LUA_OK;
  if (!read || !d) {
    if (d) delivery_free(d);
    lua_error(L);
    return;
  }
  pthread_mutex_lock(&c->lock);
  put(&c->waiting, d);
  int open = ++c->open;
  pthread_cond_signal(&c->changed);
  pthread_mutex_unlock(&c->lock);
  if (!start(c, open)) luaL_error(L, "the thread that delivers webhooks cannot be started");
}

void delivery_push(lua_State *L, const delivery *d) {
  lua_pushstring(L, d->id);
  if (d->error) lua_pushnil(L);
  else lua_pushinteger(L, d->status);
  if (d->error) lua_pushstring(L, d->error);
  else lua_pushnil(L);
}
