/* See client.h for the pool. The blocking driver carries out what the machine asks for:
 *
 *   step ──▶ SEND  a handle from the pool carries it; then the handle goes back, or after an error is freed
 *        ──▶ WAIT  in the same handle's poll, so that a cancel from another thread ends either at once
 *
 * What is under way stays in the `driver` attached to the exchange, so that ps_exchange_run can stop and go on. Hooks
 * run between steps, never inside libcurl. A handle is only touched in the process that made it. */
#include "client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_IDLE = 32 };

typedef struct {
  uint64_t key; /* a hash of the API key */
  ps_pace pace;
} key_pace;

typedef struct pool {
  pid_t pid;
  pthread_mutex_t lock; /* over all below */
  ps_http *idle[MOST_IDLE];
  size_t idle_count;
  key_pace *paces;
  size_t pace_count;
  struct pool *inherited; /* of the process that forked this one */
} pool;

struct ps_client {
  atomic_int references;
  _Atomic(pool *) pool;
  ps_client *parent; /* of a scoped client, whose pool it uses; else NULL */
  ps_arena *arena;   /* of all strings */
  ps_value *headers, *app_info;
  ps_fault fault;
  ps_settings settings;
  ps_http_config http;
  ps_clock clock;
  double interval_ms; /* between requests with one key; 0: no limit */
  ps_event_fn log, on_request, on_response;
  void *hook_context;
  const ps_transport *transport;
};

static ps_client no_memory = {
  .fault = {.kind = PS_ERROR_MEMORY, .outcome = PS_OUTCOME_NOT_SENT, .message = "no memory"},
};

/* ---- Options ---- */

typedef enum { STRING, SECONDS, COUNT, FLAG, MAP, BYTES } option_kind;

typedef struct option {
  const char *name;
  option_kind kind;
  size_t offset, length; /* length: of BYTES, where their number is */
} option;

typedef struct option_set {
  const char *begin; /* what a struct of them must start from */
  size_t size;
  const option *rows; /* ended by one without a name */
} option_set;

#define ROW(kind, name) {#name, kind, offsetof(OPTIONS, name), 0},
#define PS_OPTION_STRING(name, meaning) ROW(STRING, name)
#define PS_OPTION_BYTES(name, meaning) {#name, BYTES, offsetof(OPTIONS, name), offsetof(OPTIONS, name##_length)},
#define PS_OPTION_SECONDS(name, meaning) ROW(SECONDS, name)
#define PS_OPTION_COUNT(name, meaning) ROW(COUNT, name)
#define PS_OPTION_FLAG(name, meaning) ROW(FLAG, name)
#define PS_OPTION_MAP(name, meaning) ROW(MAP, name)
#define PS_OPTION_EVENTS(name, meaning)
#define PS_OPTION_POINTER(type, name, meaning)

static const option client_rows[] = {
#define OPTIONS ps_client_options
#define PS_CLIENT_OPTIONS
#include "options.def"
#undef PS_CLIENT_OPTIONS
#undef OPTIONS
  {NULL, STRING, 0, 0},
};

static const option call_rows[] = {
#define OPTIONS ps_call_options
#define PS_CALL_OPTIONS
#include "options.def"
#undef PS_CALL_OPTIONS
#undef OPTIONS
  {NULL, STRING, 0, 0},
};

static const option_set client_options = {"PS_CLIENT_OPTIONS_INIT", sizeof(ps_client_options), client_rows};
static const option_set call_options = {"PS_CALL_OPTIONS_INIT", sizeof(ps_call_options), call_rows};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Every option "not set": a pointer NULL, a number -1. */
static void clear(void *options, size_t size, const option_set *set) {
  memset(options, 0, size);
  *(size_t *)options = size;
  for (const option *o = set->rows; o->name; o++) {
    void *field = (char *)options + o->offset;
    if (o->offset >= size) continue;
    if (o->kind == SECONDS) *(double *)field = -1;
    else if (o->kind == COUNT) *(int64_t *)field = -1;
    else if (o->kind == FLAG) *(int *)field = -1;
    else if (o->kind == BYTES && o->length < size) *(int64_t *)((char *)options + o->length) = -1;
  }
}

void ps_client_options_clear(ps_client_options *options, size_t size) { clear(options, size, &client_options); }

void ps_call_options_clear(ps_call_options *options, size_t size) { clear(options, size, &call_options); }

/* All options from what the caller gave, which may be the struct of an older header, or of a newer one. */
static void widen(void *all, const void *given, const option_set *set, ps_fault *fault) {
  size_t size = given ? *(const size_t *)given : 0;
  clear(all, set->size, set);
  if (given && size < sizeof size) ps_fault_set(fault, PS_ERROR_USAGE, "the options must begin as %s", set->begin);
  else if (given) memcpy(all, given, least(size, set->size));
}

static const char *option_name(void *rows, size_t index) { return ((const option *)rows)[index].name; }

static const char *wanted(option_kind kind) {
  static const char *const texts[] = {"a string",      "a number of seconds, 0 or more", "an integer, 0 or more",
                                      "true or false", "a map of names to values",       "a string"};
  return texts[kind];
}

/* Stores `v` in its field; false: it is of the wrong type. */
static bool set_option(void *options, const option *o, const ps_value *v) {
  ps_value_type type = ps_type(v, NULL);
  void *field = (char *)options + o->offset;
  size_t length;
  const char *text = ps_strn(v, NULL, &length);
  bool counted = o->kind == BYTES && o->length < *(size_t *)options;
  switch (o->kind) {
    case STRING:
    case BYTES:
      if (type != PS_STRING || (!counted && strlen(text) != length)) return false;
      *(const char **)field = text;
      if (counted) *(int64_t *)((char *)options + o->length) = (int64_t)length;
      return true;
    case SECONDS:
      if ((type != PS_INT && type != PS_NUMBER) || !(ps_double(v, NULL) >= 0)) return false;
      *(double *)field = ps_double(v, NULL);
      return true;
    case COUNT:
      if (type != PS_INT || ps_int(v, NULL) < 0) return false;
      *(int64_t *)field = ps_int(v, NULL);
      return true;
    case FLAG:
      if (type != PS_BOOL && !(type == PS_INT && (ps_int(v, NULL) == 0 || ps_int(v, NULL) == 1))) return false;
      *(int *)field = ps_bool(v, NULL) || ps_int(v, NULL) == 1;
      return true;
    default:
      if (type != PS_MAP) return false;
      *(const ps_value **)field = v;
      return true;
  }
}

static void read_option(void *options, const option_set *set, const ps_value *v, ps_fault *fault) {
  const option *o = set->rows;
  const char *name = ps_key(v, NULL);
  while (o->name && (strcmp(o->name, name) != 0 || o->offset >= *(size_t *)options)) o++;
  if (!o->name) {
    const char *nearest = ps_nearest(name, option_name, (void *)(uintptr_t)set->rows);
    ps_fault_set(fault, PS_ERROR_USAGE, "%s is not an option%s%s", name, nearest ? "; the nearest is " : "",
                 nearest ? nearest : "");
  } else if (ps_type(v, NULL) != PS_NULL && !set_option(options, o, v)) {
    ps_fault_set(fault, PS_ERROR_USAGE, "the option %s must be %s", name, wanted(o->kind));
  }
}

/* Without memory for the message, the struct's size becomes 0: who is given it then refuses it. */
static char *read_options(void *options, const option_set *set, const ps_value *map) {
  ps_fault fault = {.kind = PS_ERROR_NONE};
  if (map && ps_value_is_poisoned(map)) fault = *ps_value_fault(map);
  if (map && ps_type(map, NULL) != PS_MAP && ps_type(map, NULL) != PS_NULL) {
    ps_fault_set(&fault, PS_ERROR_USAGE, "options must be a map of names to values");
  }
  for (const ps_value *v = ps_first(map); v; v = ps_next(v)) read_option(options, set, v, &fault);
  if (fault.kind == PS_ERROR_NONE) return NULL;
  char *message = strdup(fault.message);
  if (!message) *(size_t *)options = 0;
  return message;
}

char *ps_client_options_read(ps_client_options *options, const ps_value *map) {
  return read_options(options, &client_options, map);
}

char *ps_call_options_read(ps_call_options *options, const ps_value *map) {
  return read_options(options, &call_options, map);
}

/* ---- The pool ---- */

static pool *pool_new(pool *inherited) {
  pool *p = calloc(1, sizeof *p);
  if (!p || pthread_mutex_init(&p->lock, NULL) != 0) {
    free(p);
    return NULL;
  }
  p->pid = getpid();
  p->inherited = inherited;
  return p;
}

static void pool_free(pool *p) {
  if (!p || p->pid != getpid()) return;
  for (size_t i = 0; i < p->idle_count; i++) ps_http_free(p->idle[i]);
  pthread_mutex_destroy(&p->lock);
  free(p->paces);
  free(p);
}

/* This process's pool; NULL: no memory. */
static pool *pool_of(ps_client *client) {
  if (client->parent) client = client->parent;
  pool *p = atomic_load(&client->pool);
  if (p && p->pid == getpid()) return p;
  pool *fresh = pool_new(p);
  if (!fresh || atomic_compare_exchange_strong(&client->pool, &p, fresh)) return fresh;
  pool_free(fresh);
  return p; /* another thread was faster */
}

/* The handle used last, or NULL. */
static ps_http *take_idle(pool *p) {
  ps_http *h = NULL;
  pthread_mutex_lock(&p->lock);
  if (p->idle_count > 0) h = p->idle[--p->idle_count];
  pthread_mutex_unlock(&p->lock);
  return h;
}

static void give_back(pool *p, ps_http *h) {
  pthread_mutex_lock(&p->lock);
  bool kept = ps_http_reusable(h) && p->idle_count < MOST_IDLE;
  if (kept) p->idle[p->idle_count++] = h;
  pthread_mutex_unlock(&p->lock);
  if (!kept) ps_http_free(h);
}

/* FNV-1a: the pool keeps no keys. */
static uint64_t hash(const char *s) {
  uint64_t h = 14695981039346656037u;
  for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
  return h;
}

/* The key's row, or a new one in place of one that holds nobody back any more; NULL: no memory. */
static ps_pace *find_pace(pool *p, uint64_t key, int64_t now_ms, double interval_ms) {
  key_pace *row = NULL;
  for (size_t i = 0; i < p->pace_count; i++) {
    if (p->paces[i].key == key) return &p->paces[i].pace;
    if (p->paces[i].pace.next_ms <= (double)now_ms) row = &p->paces[i];
  }
  if (!row) {
    key_pace *grown = realloc(p->paces, (p->pace_count + 1) * sizeof *grown);
    if (!grown) return NULL;
    p->paces = grown;
    row = &grown[p->pace_count++];
  }
  *row = (key_pace){key, {interval_ms, 0}};
  return &row->pace;
}

static int64_t pace(ps_client *client, const char *api_key, int64_t now_ms, int64_t left_ms) {
  pool *p = pool_of(client);
  if (!p) return 0;
  pthread_mutex_lock(&p->lock);
  ps_pace *found = find_pace(p, hash(api_key ? api_key : ""), now_ms, client->interval_ms);
  int64_t wait = found ? ps_pace_wait(found, now_ms, left_ms) : 0;
  pthread_mutex_unlock(&p->lock);
  return wait;
}

/* ---- Clients ---- */

static const char *copy_string(ps_client *c, const char *s) { return ps_fault_copy(&c->fault, c->arena, s); }

/* A map of the caller's, copied; NULL: none. */
static ps_value *copy_map(ps_client *c, const char *name, const ps_value *map) {
  if (map && c->fault.kind == PS_ERROR_NONE) c->fault = *ps_value_fault(map);
  if (!map || ps_type(map, NULL) == PS_NULL) return NULL;
  if (ps_type(map, NULL) != PS_MAP)
    ps_fault_set(&c->fault, PS_ERROR_USAGE, "the option %s must be %s", name, wanted(MAP));
  return ps_value_clone(map, &c->fault);
}

/* A base is scheme, host and port: whatever else stood in it would change where requests go, or carry a secret. */
static const char *copy_base(ps_client *c, const char *name, const char *given) {
  const char *url = given ? given : ps_api_base(name);
  size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
  size_t length = strlen(url);
  if (length > scheme && url[length - 1] == '/') length--;
  bool good = scheme > 0 && length > scheme;
  for (size_t i = scheme; i < length; i++) {
    if (url[i] <= ' ' || url[i] >= 0x7f || strchr("/?#@\\%\"<>", url[i])) good = false;
  }
  if (!good) {
    ps_fault_set(&c->fault, PS_ERROR_USAGE,
                 "%s_base must be https:// and a host (and port), without path, user or query", name);
    return NULL;
  }
  const char *copy = ps_arena_strn(c->arena, url, length);
  if (!copy) ps_fault_memory(&c->fault);
  return copy;
}

static void configure_settings(ps_client *c, const ps_client_options *o) {
  ps_settings *s = &c->settings;
  s->api_key = s->client_key = copy_string(c, o->api_key ? o->api_key : getenv("STRIPE_API_KEY"));
  s->stripe_account = copy_string(c, o->stripe_account);
  s->stripe_context = copy_string(c, o->stripe_context);
  s->stripe_version = copy_string(c, o->stripe_version);
  s->client_id = copy_string(c, o->client_id);
  s->lang = copy_string(c, o->lang ? o->lang : "c");
  s->httplib = o->transport ? "custom" : ps_http_library();
  const char *base = o->api_key ? NULL : getenv("PINSTRIPE_API_BASE");
  if (base && !*base) base = NULL;
  s->bases[PS_BASE_API] = copy_base(c, "api", o->api_base ? o->api_base : base);
  s->bases[PS_BASE_FILES] = copy_base(c, "files", o->files_base ? o->files_base : base);
  s->bases[PS_BASE_CONNECT] = copy_base(c, "connect", o->connect_base ? o->connect_base : base);
  s->bases[PS_BASE_METER_EVENTS] = copy_base(c, "meter_events", o->meter_events_base ? o->meter_events_base : base);
  s->headers = c->headers = copy_map(c, "headers", o->headers);
  s->app_info = c->app_info = copy_map(c, "app_info", o->app_info);
  ps_settings_describe(s, c->arena, &c->fault);
  s->strict = o->strict == 1;
  s->max_retries = o->max_retries >= 0 ? o->max_retries : 2;
  s->max_body = o->max_body >= 0 ? o->max_body : (int64_t)256 << 20;
  s->timeout = o->timeout >= 0 ? o->timeout : 80;
  s->connect_timeout = o->connect_timeout >= 0 ? o->connect_timeout : 10;
  s->deadline = o->deadline;
}

static void configure(ps_client *c, const ps_client_options *o) {
  configure_settings(c, o);
  c->http.proxy = copy_string(c, o->proxy);
  c->http.ca_file = copy_string(c, o->ca_file);
  c->http.ca_path = copy_string(c, o->ca_path);
  c->http.ca_data = copy_string(c, o->ca_data);
  c->interval_ms = o->rate_limit > 0 ? 1000 / o->rate_limit : 0;
  c->clock = ps_system_clock;
  c->log = o->log;
  c->on_request = o->on_request;
  c->on_response = o->on_response;
  c->hook_context = o->hook_context;
  c->transport = o->transport;
}

static void destroy(ps_client *c) {
  pool_free(atomic_load(&c->pool));
  ps_value_free(c->headers);
  ps_value_free(c->app_info);
  ps_arena_free(c->arena);
  ps_client_free(c->parent);
  free(c);
}

ps_client *ps_client_new(const char *api_key, const ps_client_options *options) {
  ps_client *c = calloc(1, sizeof *c);
  if (!c) return &no_memory;
  atomic_init(&c->references, 1);
  atomic_init(&c->pool, pool_new(NULL));
  c->arena = ps_arena_new(1024);
  if (!c->arena || !atomic_load(&c->pool)) {
    destroy(c);
    return &no_memory;
  }
  ps_client_options all;
  widen(&all, options, &client_options, &c->fault);
  if (api_key) all.api_key = api_key;
  configure(c, &all);
  return c;
}

ps_client *ps_client_scoped(ps_client *client, const char *stripe_context) {
  const size_t begin = offsetof(ps_client, arena); /* of what is copied; what it points to is the parent's */
  ps_client *c = client == &no_memory ? NULL : calloc(1, sizeof *c);
  ps_arena *arena = c ? ps_arena_new(256) : NULL;
  if (!arena) {
    free(c);
    return &no_memory;
  }
  memcpy((char *)c + begin, (const char *)client + begin, sizeof *c - begin);
  atomic_init(&c->references, 1);
  atomic_init(&c->pool, NULL);
  c->parent = ps_client_hold(client->parent ? client->parent : client);
  c->arena = arena;
  c->headers = c->app_info = NULL;
  c->settings.stripe_account = NULL;
  c->settings.stripe_context = copy_string(c, stripe_context);
  return c;
}

const char *ps_client_error(const ps_client *client) { return client->fault.message; }

ps_client *ps_client_hold(ps_client *client) {
  if (client != &no_memory) atomic_fetch_add(&client->references, 1);
  return client;
}

void ps_client_free(ps_client *client) {
  if (client && client != &no_memory && atomic_fetch_sub(&client->references, 1) == 1) destroy(client);
}

void ps_client_set_clock(ps_client *client, const ps_clock *clock) { client->clock = *clock; }

void ps_client_host(ps_client *client, ps_exchange_host *host) {
  *host =
    (ps_exchange_host){.client = client, .hold = ps_client_hold, .release = ps_client_free, .clock = client->clock};
  host->pace = client->interval_ms > 0 ? pace : NULL;
  host->defaults = &client->settings;
  host->fault = &client->fault;
}

/* ---- The blocking driver ---- */

typedef struct driver {
  ps_exchange *x;
  ps_client *client;
  pool *pool;    /* of the process that began what is under way */
  ps_http *http; /* on loan from it, or NULL */
  ps_step step;  /* what is being carried out, if busy */
  bool busy;
  int64_t wait_until; /* of a WAIT, on the system's clock */
  int64_t left_at;    /* when the last run stopped short, on the exchange's clock; negative: it did not */
} driver;

static int64_t now_ms(void) { return ps_system_clock.now_ms(NULL); }

static void return_handle(driver *d) {
  if (!d->http) return;
  ps_exchange_set_waker(d->x, NULL, NULL);
  if (d->pool->pid == getpid()) give_back(d->pool, d->http);
  d->http = NULL;
}

/* False: no memory. */
static bool borrow_handle(driver *d) {
  if (d->http) return true;
  d->pool = pool_of(d->client);
  d->http = d->pool ? take_idle(d->pool) : NULL;
  const ps_client *owner = d->client->parent ? d->client->parent : d->client; /* of the pool, where the handle stays */
  if (d->pool && !d->http) d->http = ps_http_new(&owner->http);
  if (d->http) ps_exchange_set_waker(d->x, ps_http_wake, d->http);
  return d->http != NULL;
}

static void dispose(void *context) {
  driver *d = context;
  return_handle(d);
  free(d);
}

/* NULL: no memory. */
static driver *driver_new(ps_exchange *x) {
  driver *d = calloc(1, sizeof *d);
  if (!d) return NULL;
  *d = (driver){.x = x, .client = ps_exchange_client(x), .left_at = -1};
  ps_exchange_attach(x, d, dispose);
  return d;
}

/* A child after fork: the connection is its parent's. */
static bool is_foreign(const driver *d) { return d && d->http && d->pool->pid != getpid(); }

/* Time in which nobody waited does not count. */
static void resume(driver *d) {
  if (d->left_at >= 0) ps_exchange_pause(d->x, ps_exchange_now(d->x) - d->left_at);
  d->left_at = -1;
  if (!is_foreign(d)) return;
  return_handle(d);
  if (d->step == PS_SEND) {
    ps_http_response_fail(ps_exchange_response(d->x), PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN,
                          "the process forked while the request was under way");
  }
}

static void start(driver *d, ps_step step) {
  d->step = step;
  d->busy = true;
  if (step == PS_WAIT) {
    d->wait_until = now_ms() + ps_exchange_wait(d->x);
  } else if (!d->client->transport && borrow_handle(d)) {
    ps_http_begin(d->http, ps_exchange_request(d->x), ps_exchange_response(d->x), ps_exchange_is_transfer(d->x));
  } else if (!d->client->transport) {
    ps_http_response_fail(ps_exchange_response(d->x), PS_ERROR_MEMORY, PS_OUTCOME_NOT_SENT, "no memory");
  }
}

/* True: the response is there, or its failure. */
static bool carry_send(driver *d, int64_t max_ms) {
  const ps_transport *transport = d->client->transport;
  if (transport) transport->send(transport->context, ps_exchange_request(d->x), ps_exchange_response(d->x));
  if (transport || !d->http) return true;
  if (ps_exchange_cancelled(d->x)) ps_http_cancel(d->http);
  if (!ps_http_perform(d->http, max_ms)) return false;
  return_handle(d);
  return true;
}

/* True: the time has passed, or the call was cancelled. */
static bool carry_wait(driver *d, int64_t max_ms) {
  const ps_clock *clock = &d->client->clock;
  const ps_transport *transport = d->client->transport;
  if (clock->sleep) clock->sleep(clock->context, ps_exchange_wait(d->x));
  else if (transport && transport->sleep) transport->sleep(transport->context, ps_exchange_wait(d->x));
  if (clock->sleep || (transport && transport->sleep) || ps_exchange_cancelled(d->x)) return true;
  int64_t left = d->wait_until - now_ms();
  if (left <= 0 || !borrow_handle(d)) return true;
  if (!ps_exchange_cancelled(d->x)) ps_http_wait(d->http, max_ms < left ? max_ms : left);
  return ps_exchange_cancelled(d->x) || now_ms() >= d->wait_until;
}

/* Passes what has happened to the client's hooks. */
static void tell(ps_exchange *x) {
  const ps_client *c = ps_exchange_client(x);
  const ps_call_event *e;
  if (c && !c->log && !c->on_request && !c->on_response) ps_exchange_skip_events(x);
  while (c && (e = ps_exchange_event(x))) {
    if (c->on_request && e->kind == PS_EVENT_REQUEST) c->on_request(c->hook_context, e);
    if (c->on_response && e->kind == PS_EVENT_RESPONSE) c->on_response(c->hook_context, e);
    if (c->log) c->log(c->hook_context, e);
  }
}

/* One more step of the machine; PS_DONE ends the driving. */
static ps_step advance(ps_exchange *x) {
  ps_step step = ps_exchange_step(x);
  driver *d = ps_exchange_attached(x);
  tell(x);
  if (step == PS_DONE && d) return_handle(d);
  return step;
}

static int64_t end_of(int64_t max_ms) { return max_ms < 0 || max_ms > INT64_MAX / 2 ? INT64_MAX : now_ms() + max_ms; }

/* Carries out what the last step asked for. False: not done by `end`. Without memory for a driver nothing is sent. */
static bool carry(ps_exchange *x, int64_t end) {
  driver *d = ps_exchange_attached(x);
  if (!d) d = driver_new(x);
  if (!d) {
    ps_http_response_fail(ps_exchange_response(x), PS_ERROR_MEMORY, PS_OUTCOME_NOT_SENT, "no memory");
    return true;
  }
  resume(d);
  if (!d->busy) start(d, ps_exchange_state(x));
  do {
    int64_t left = end - now_ms();
    if (left < 0) left = 0;
    d->busy = !(d->step == PS_SEND ? carry_send(d, left) : carry_wait(d, left));
  } while (d->busy && now_ms() < end && !(d->http && ps_http_stalled(d->http)));
  if (d->busy) d->left_at = ps_exchange_now(x);
  return !d->busy;
}

bool ps_exchange_carry(ps_exchange *x, int64_t max_ms) {
  return ps_exchange_state(x) == PS_DONE || carry(x, end_of(max_ms));
}

ps_step ps_exchange_run(ps_exchange *x, int64_t max_ms) {
  int64_t end = end_of(max_ms);
  for (;;) {
    driver *d = ps_exchange_attached(x);
    if ((!d || !d->busy) && advance(x) == PS_DONE) return PS_DONE;
    if (!carry(x, end)) return ps_exchange_state(x);
  }
}

/* ---- Calls ---- */

typedef struct call {
  ps_exchange_host host;
  ps_target target;
  ps_call_options options;
  ps_fault fault;
} call;

static void prepare(call *c, ps_client *client, const ps_call_options *options) {
  *c = (call){.fault = {.kind = PS_ERROR_NONE}};
  ps_client_host(client, &c->host);
  widen(&c->options, options, &call_options, &c->fault);
}

/* NULL as a text that is refused where it is looked at. */
static const char *shown(const char *text) { return text ? text : "(NULL)"; }

static void prepare_operation(call *c, ps_client *client, const char *operation, const char *const *ids,
                              const ps_call_options *options) {
  prepare(c, client, options);
  c->target = (ps_target){.operation = ps_operation_find(operation), .ids = ids};
  if (c->target.operation) return;
  const char *nearest = ps_api_nearest_operation(operation);
  ps_fault_set(&c->fault, PS_ERROR_USAGE, "%s is not an operation%s%s", operation, nearest ? "; the nearest is " : "",
               nearest ? nearest : "");
}

ps_exchange *ps_exchange_new(ps_client *client, const char *operation, const char *const *ids, const ps_value *params,
                             const ps_call_options *options) {
  call c;
  prepare_operation(&c, client, shown(operation), ids, options);
  return ps_exchange_create(&c.host, &c.target, params, &c.options, &c.fault);
}

ps_exchange *ps_exchange_new_request(ps_client *client, const char *method, const char *path, const ps_value *params,
                                     const ps_call_options *options) {
  call c;
  prepare(&c, client, options);
  c.target = (ps_target){.method = shown(method), .path = shown(path)};
  c.target.operation = ps_operation_route(c.target.method, c.target.path);
  return ps_exchange_create(&c.host, &c.target, params, &c.options, &c.fault);
}

ps_result *ps_exchange_finish(ps_exchange *x) {
  while (ps_exchange_run(x, -1) != PS_DONE) ps_exchange_cancel(x);
  ps_result *r = ps_exchange_result(x);
  ps_exchange_free(x);
  return r;
}

ps_result *ps_call(ps_client *client, const char *operation, const char *const *ids, const ps_value *params,
                   const ps_call_options *options) {
  return ps_exchange_finish(ps_exchange_new(client, operation, ids, params, options));
}

ps_result *ps_request(ps_client *client, const char *method, const char *path, const ps_value *params,
                      const ps_call_options *options) {
  return ps_exchange_finish(ps_exchange_new_request(client, method, path, params, options));
}

/* Which of the client's bases `url` stands on, by name, and its path there; NULL: on none. */
static const char *find_base(const ps_client *client, const char *url, const char **path) {
  static const char *const names[] = {"files", "api"};
  static const int bases[] = {PS_BASE_FILES, PS_BASE_API};
  for (size_t i = 0; i < 2; i++) {
    const char *base = client->settings.bases[bases[i]];
    size_t length = base ? strlen(base) : 0;
    *path = url + length;
    if (base && strncmp(url, base, length) == 0 && **path == '/') return names[i];
  }
  *path = url;
  return *url == '/' ? "files" : NULL;
}

ps_exchange *ps_exchange_new_download(ps_client *client, const char *url, const ps_call_options *options) {
  call c;
  const char *path;
  url = shown(url);
  prepare(&c, client, options);
  c.options.base = find_base(client, url, &path);
  if (!c.options.base) {
    ps_fault_set(&c.fault, PS_ERROR_USAGE, "%.*s is not an address of Stripe's files: it is not asked, and no key sent",
                 (int)strcspn(url, "?"), url);
  }
  c.target = (ps_target){.method = "GET", .path = path, .download = true};
  c.target.keyless = strncmp(path, "/links/", 7) == 0; /* of a file link: whoever has the address may read it */
  return ps_exchange_create(&c.host, &c.target, NULL, &c.options, &c.fault);
}

ps_result *ps_file_download(ps_client *client, const char *url, const ps_call_options *options) {
  return ps_exchange_finish(ps_exchange_new_download(client, url, options));
}

ps_result *ps_oauth_authorize_url(ps_client *client, const ps_value *params, bool express) {
  ps_fault fault = client->fault;
  ps_buf url = PS_BUF_INIT;
  if (fault.kind == PS_ERROR_NONE) {
    ps_url_build(&url, &client->settings, ps_url_find("oauth.authorize_url"), params, express, &fault);
  }
  ps_result *r = ps_result_from_fault(&fault);
  if (ps_result_ok(r)) {
    r->data = r->own_data = ps_value_new();
    ps_value_set_strn(r->own_data, ps_buf_text(&url), url.length);
    r->fault = *ps_value_fault(r->own_data);
  }
  ps_buf_dispose(&url);
  return r;
}

/* ---- Lists ---- */

ps_iter *ps_iter_new(ps_client *client, const char *operation, const char *const *ids, const ps_value *params,
                     const ps_call_options *options) {
  call c;
  prepare_operation(&c, client, shown(operation), ids, options);
  return ps_iter_create(&c.host, &c.target, params, &c.options, &c.fault);
}

ps_iter *ps_iter_from(ps_client *client, const ps_result *r, const ps_value *list) {
  ps_exchange_host host;
  ps_client_host(client, &host);
  return ps_iter_create_from(&host, r, list);
}

ps_iter *ps_iter_resume(ps_client *client, const char *cursor) {
  ps_exchange_host host;
  ps_client_host(client, &host);
  return ps_iter_create_resumed(&host, cursor);
}

/* Asks for the next page without waiting for it. A user's transport would wait. */
static void prefetch(ps_iter *it) {
  ps_exchange *x = ps_iter_exchange(it);
  const ps_client *client = x ? ps_exchange_client(x) : NULL;
  if (client && !client->transport) ps_exchange_run(x, 0);
}

const ps_value *ps_iter_try_next(ps_iter *it, int64_t max_ms, bool *waiting) {
  *waiting = false;
  for (;;) {
    const ps_value *item = ps_iter_item(it);
    if (item && ps_iter_wants_prefetch(it)) prefetch(it);
    if (item) return item;
    ps_exchange *x = ps_iter_pending(it);
    if (x && is_foreign(ps_exchange_attached(x))) ps_iter_drop_pending(it);
    x = ps_iter_exchange(it);
    if (!x) return NULL;
    *waiting = ps_exchange_run(x, max_ms) != PS_DONE;
    if (*waiting || !ps_iter_feed(it)) return NULL;
  }
}

const ps_value *ps_iter_next(ps_iter *it) {
  bool waiting;
  return ps_iter_try_next(it, -1, &waiting);
}
