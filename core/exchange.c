/* See exchange.h for the machine. Invariants:
 *
 *   - `outcome` is the worst that is known of all attempts: not_sent, then rejected, then unknown, which stays.
 *   - Events point into the exchange's own arena; every step drops those that nobody read. Their texts are made when
 *     somebody asks for them, or when the result is taken, and with it the headers that they are made from.
 *   - `spare` is the result for when memory runs out: a call that was begun always tells its outcome and its key.
 *   - Only `cancelled` and the waker are touched by other threads, the waker under its mutex. */
#include "exchange.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"

enum { MOST_EVENTS = 3 /* of one step: response, notice, retry */, MOST_EVENT_TEXT = 479 };

static const double most_seconds = 1e9; /* of a deadline: more is none */

/* The bytes of an upload, given piece by piece with ps_exchange_feed. */
typedef struct feed {
  ps_body body;
  ps_buf bytes;
  size_t taken;
  const char *reason; /* of a failure, or NULL */
  bool ended, failed, hungry;
} feed;

struct ps_exchange {
  ps_arena *arena;
  ps_exchange_host host;
  ps_settings settings;
  ps_call_options own; /* the call's own options, as given */
  ps_value *own_headers, *params, *fields;
  ps_request_plan plan;
  ps_http_response response;
  ps_download *download; /* or NULL */
  feed feed;
  ps_fault fault; /* ends the call at the next step */
  ps_result *result, *spare;
  ps_step state;
  bool begun, paced; /* paced: the rate limit has been waited for */
  ps_outcome outcome;
  int attempts, fruitless; /* fruitless: those in a row that brought a download no further, and this one */
  int64_t arrived;         /* of a download, the most so far */
  int64_t deadline_ms, sent_ms, wait_ms; /* deadline_ms negative: none */
  ps_call_event events[MOST_EVENTS];
  size_t event_count, event_described, event_read;
  char *event_path;
  void *driver;
  void (*dispose)(void *driver);
  atomic_bool cancelled;
  pthread_mutex_t waker_lock;
  void (*wake)(void *context);
  void *wake_context;
};

static ps_exchange out_of_memory = {.state = PS_DONE}; /* its result is the one for "no memory" */

/* ---- Time and chance ---- */

static int64_t system_now_ms(void *context) {
  struct timespec t;
  (void)context;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t system_unix_time(void *context) {
  (void)context;
  return (int64_t)time(NULL);
}

static double system_dice(void *context) {
  uint32_t bits = 0;
  (void)context;
  return ps_random(&bits, sizeof bits) ? bits / 4294967296.0 : 0.5;
}

const ps_clock ps_system_clock = {system_now_ms, system_unix_time, system_dice, NULL, NULL};

int64_t ps_exchange_now(const ps_exchange *x) {
  const ps_clock *c = &x->host.clock;
  return c->now_ms ? c->now_ms(c->context) : 0;
}

/* Milliseconds until the deadline, at least 0; negative: there is none. */
static int64_t left_ms(const ps_exchange *x) {
  if (x->deadline_ms < 0) return -1;
  int64_t left = x->deadline_ms - ps_exchange_now(x);
  return left > 0 ? left : 0;
}

/* ---- Feeding ---- */

static ptrdiff_t feed_read(void *context, char *buffer, size_t size) {
  feed *f = context;
  size_t left = f->bytes.length - f->taken, n = size < left ? size : left;
  if (f->failed) return -1;
  f->hungry = left == 0 && !f->ended;
  if (f->hungry) return PS_BODY_LATER;
  if (n > 0) memcpy(buffer, f->bytes.data + f->taken, n);
  f->taken += n;
  return (ptrdiff_t)n;
}

static bool feed_rewind(void *context) {
  feed *f = context;
  f->bytes.length = f->taken = 0;
  f->ended = f->hungry = false;
  return !f->failed;
}

static const char *feed_reason(void *context) { return ((feed *)context)->reason; }

int ps_exchange_hungry(const ps_exchange *x) { return x->state == PS_SEND && x->feed.hungry ? x->attempts : 0; }

void ps_exchange_feed(ps_exchange *x, const char *bytes, size_t length) {
  feed *f = &x->feed;
  if (x == &out_of_memory) return;
  if (f->taken == f->bytes.length) f->bytes.length = f->taken = 0;
  if (bytes) ps_buf_add(&f->bytes, bytes, length);
  f->ended = length == 0;
  f->failed = !bytes || f->bytes.failed;
  if (f->bytes.failed) ps_http_response_fail(&x->response, PS_ERROR_MEMORY, PS_OUTCOME_UNKNOWN, "no memory");
  f->hungry = false;
}

void ps_exchange_fail(ps_exchange *x, const char *reason) {
  if (x->state != PS_SEND) return;
  x->feed.reason = ps_arena_str(x->arena, reason);
  ps_exchange_feed(x, NULL, 0);
  if (!x->download) return;
  ps_http_response_fail(&x->response, PS_ERROR_USAGE, PS_OUTCOME_UNKNOWN, reason);
  ps_exchange_cancel(x);
}

/* ---- Making one ---- */

static const char *own_or(const char *own, const char *other) { return own ? own : other; }

/* The client's settings with the call's options over them. */
static void settle(ps_exchange *x, const ps_call_options *options) {
  ps_settings *s = &x->settings;
  ps_call_options *own = &x->own;
  *s = *x->host.defaults;
  *own = options ? *options : PS_CALL_OPTIONS_INIT;
  if (!options) return;
  ps_call_options_keep(own, options, x->arena, &x->fault);
  own->idempotency_key = ps_fault_copy(&x->fault, x->arena, options->idempotency_key);
  own->headers = x->own_headers = ps_value_clone(options->headers, &x->fault);
  s->api_key = own_or(own->api_key, s->api_key);
  s->stripe_account = own_or(own->stripe_account, s->stripe_account);
  s->stripe_context = own_or(own->stripe_context, s->stripe_context);
  s->call_version = own->stripe_version;
  s->idempotency_key = own->idempotency_key;
  s->base = own->base;
  s->more_headers = own->headers;
  s->sources = (ps_sources){options->file, &x->feed.body};
  s->body = options->body;
  s->raw = options->raw == 1;
  s->body_length = options->body_length;
  s->content_type = ps_fault_copy(&x->fault, x->arena, options->content_type);
  if (own->max_body >= 0) s->max_body = own->max_body;
  if (own->max_retries >= 0) s->max_retries = own->max_retries;
  if (own->timeout >= 0) s->timeout = own->timeout;
  if (own->deadline >= 0) s->deadline = own->deadline;
}

static void prepare_call(ps_exchange *x, const ps_target *target, const ps_value *params,
                         const ps_call_options *options) {
  settle(x, options);
  if (x->fault.kind != PS_ERROR_NONE) return;
  if (!ps_request_build(&x->plan, &x->settings, target, params, &x->fault)) return;
  bool wanted = options && (options->save_to || options->stream == 1);
  if (wanted && !x->plan.binary) ps_fault_set(&x->fault, PS_ERROR_USAGE, "save_to and stream are for downloads");
  else if (wanted) x->download = ps_download_new(options->save_to, &x->fault);
  x->spare->idempotency_key = ps_fault_copy(&x->fault, x->spare->arena, x->plan.idempotency_key);
  bool goes_on = strncmp(x->plan.path, "/v2/", 4) == 0 && strcmp(x->plan.http.method, "POST") == 0;
  if (goes_on) x->params = ps_value_clone(params, &x->fault);
}

/* The result for when there is no memory for one; NULL: none for this, either. */
static ps_result *make_spare(void) {
  ps_result *none = ps_result_no_memory(), *r = ps_result_from_fault(&none->fault);
  return r == none ? NULL : r;
}

ps_exchange *ps_exchange_create(const ps_exchange_host *host, const ps_target *target, const ps_value *params,
                                const ps_call_options *options, const ps_fault *fault) {
  ps_exchange *x = calloc(1, sizeof *x);
  ps_arena *arena = x ? ps_arena_new(512) : NULL;
  ps_result *spare = arena ? make_spare() : NULL;
  if (!spare || pthread_mutex_init(&x->waker_lock, NULL) != 0) {
    ps_result_free(spare);
    ps_arena_free(arena);
    free(x);
    return &out_of_memory;
  }
  x->arena = arena;
  x->spare = spare;
  x->host = *host;
  x->state = PS_WAIT; /* of no time: before the first step there is nothing to send */
  x->deadline_ms = -1;
  x->outcome = PS_OUTCOME_NOT_SENT;
  x->feed = (feed){.body = {-1, feed_read, feed_rewind, &x->feed, feed_reason}, .bytes = PS_BUF_INIT};
  if (host->client) host->hold(host->client);
  if (host->fault && host->fault->kind != PS_ERROR_NONE) x->fault = *host->fault;
  else if (fault && fault->kind != PS_ERROR_NONE) x->fault = *fault;
  else prepare_call(x, target, params, options);
  return x;
}

void ps_exchange_set_fields(ps_exchange *x, const ps_value *fields) {
  if (x == &out_of_memory) return;
  ps_value_free(x->fields);
  x->fields = NULL;
  if (ps_type(fields, NULL) == PS_MAP) ps_value_copy(x->fields = ps_value_new(), fields);
}

static void clear_response(ps_http_response *r) {
  ps_arena_free(r->arena);
  ps_buf_dispose(&r->body);
  *r = (ps_http_response){.body = PS_BUF_INIT};
}

void ps_exchange_free(ps_exchange *x) {
  if (!x || x == &out_of_memory) return;
  if (x->dispose) x->dispose(x->driver);
  ps_result_free(x->result);
  ps_result_free(x->spare);
  clear_response(&x->response);
  ps_request_dispose(&x->plan);
  ps_download_free(x->download);
  ps_buf_dispose(&x->feed.bytes);
  ps_value_free(x->own_headers);
  ps_value_free(x->params);
  ps_value_free(x->fields);
  pthread_mutex_destroy(&x->waker_lock);
  ps_arena_free(x->arena);
  ps_client *client = x->host.client;
  void (*release)(ps_client *) = x->host.release;
  free(x);
  if (client) release(client);
}

/* ---- Events ---- */

static ps_call_event *add_event(ps_exchange *x, ps_event_kind kind, ps_log_level level) {
  const ps_api_operation *op = x->plan.operation;
  ps_call_event *e = &x->events[x->event_count++];
  *e = (ps_call_event){.kind = kind,
                       .level = level,
                       .operation = op ? ps_operation_id(op) : "",
                       .method = x->plan.http.method,
                       .path = "",
                       .attempt = x->attempts,
                       .request_id = "",
                       .message = ""};
  return e;
}

static const char *find_header(const ps_http_response *r, const char *name) {
  for (const ps_header_row *row = r->first_header; row; row = row->next) {
    if (ps_header_is(row->header.name, name)) return row->header.value;
  }
  return NULL;
}

static const char *response_header(const ps_exchange *x, const char *name) { return find_header(&x->response, name); }

/* A header of the response as an event tells it, like a fault's message: one line, without a secret. "" if absent. */
static const char *event_text(ps_exchange *x, const char *header) {
  const char *value = response_header(x, header);
  size_t length = value ? strlen(value) : 0;
  bool cut = length > MOST_EVENT_TEXT;
  char *copy = value ? ps_arena_strn(x->arena, value, cut ? MOST_EVENT_TEXT : length) : NULL;
  if (!copy) return "";
  ps_line_tidy(copy, cut);
  ps_redact_known(copy, x->settings.api_key);
  return copy;
}

static void add_response_events(ps_exchange *x, const ps_fault *failure) {
  bool good = failure->kind == PS_ERROR_NONE;
  ps_call_event *e = add_event(x, PS_EVENT_RESPONSE, good ? PS_LOG_INFO : PS_LOG_WARN);
  e->status = x->response.status;
  e->duration = (double)(ps_exchange_now(x) - x->sent_ms) / 1000;
  if (x->response.status == 0) e->message = ps_error_kind_name(failure->kind);
  const char *notice = response_header(x, "Stripe-Notice");
  if (notice && *notice) add_event(x, PS_EVENT_NOTICE, PS_LOG_WARN);
}

/* Their path goes without the query, which may hold an email address, and with its secrets starred. */
static void describe_events(ps_exchange *x) {
  if (!x->event_path) {
    x->event_path = ps_arena_strn(x->arena, x->plan.path, strcspn(x->plan.path, "?"));
    if (x->event_path) ps_redact(x->event_path);
  }
  for (; x->event_described < x->event_count; x->event_described++) {
    ps_call_event *e = &x->events[x->event_described];
    e->path = x->event_path ? x->event_path : "";
    if (e->kind == PS_EVENT_RESPONSE) e->request_id = event_text(x, "Request-Id");
    if (e->kind == PS_EVENT_NOTICE) e->message = event_text(x, "Stripe-Notice");
  }
}

const ps_call_event *ps_exchange_event(ps_exchange *x) {
  if (x->event_read == x->event_count) return NULL;
  describe_events(x);
  return &x->events[x->event_read++];
}

void ps_exchange_skip_events(ps_exchange *x) { x->event_read = x->event_count; }

/* ---- The response, filled by a driver ---- */

void ps_http_response_status(ps_http_response *response, int status) { response->status = status; }

void ps_http_response_headern(ps_http_response *response, const char *name, size_t name_length, const char *value,
                              size_t value_length) {
  size_t text_length = name_length + value_length + 2; /* of both, each with its NUL */
  ps_header_row *row = response->arena ? ps_arena_alloc(response->arena, sizeof *row + text_length) : NULL;
  if (!row) {
    ps_http_response_fail(response, PS_ERROR_MEMORY, PS_OUTCOME_UNKNOWN, "no memory");
    return;
  }
  char *text = (char *)(row + 1);
  memcpy(text, name, name_length);
  memcpy(text + name_length + 1, value, value_length);
  text[name_length] = text[text_length - 1] = '\0';
  *row = (ps_header_row){NULL, {text, text + name_length + 1}};
  *(response->last_header ? response->last_header : &response->first_header) = row;
  response->last_header = &row->next;
  response->header_count++;
}

void ps_http_response_header(ps_http_response *response, const char *name, const char *value) {
  ps_http_response_headern(response, name, strlen(name), value, strlen(value));
}

static bool is_good(int status) { return status >= 200 && status < 300; }

/* Whether the bytes of an answer are those of the file: of compressed ones nothing tells whether they end too early. */
static bool is_contents(const ps_http_response *r, bool any_status, ps_fault *fault) {
  const char *coding = own_or(find_header(r, "Content-Encoding"), "identity");
  if (!ps_header_is(coding, "identity") || (!any_status && r->status != 200)) {
    ps_fault_set(fault, PS_ERROR_PROTOCOL, "an answer with status %d (Content-Encoding %s) has not the bytes asked for",
                 r->status, coding);
  }
  return fault->kind == PS_ERROR_NONE;
}

static bool begin_download(const ps_http_response *r, ps_fault *fault) {
  if (ps_download_begun(r->download)) return true;
  const ps_download_facts facts = {.status = r->status,
                                   .etag = find_header(r, "ETag"),
                                   .content_range = find_header(r, "Content-Range"),
                                   .content_length = find_header(r, "Content-Length"),
                                   .accept_ranges = find_header(r, "Accept-Ranges")};
  return is_contents(r, r->status == 206, fault) && ps_download_begin(r->download, &facts, fault);
}

bool ps_http_response_full(const ps_http_response *response) {
  return response->download && ps_download_full(response->download);
}

bool ps_http_response_write(ps_http_response *response, const char *bytes, size_t length) {
  if (response->failure.kind != PS_ERROR_NONE) return false;
  if (response->download && is_good(response->status)) {
    if (begin_download(response, &response->failure))
      ps_download_write(response->download, bytes, length, &response->failure);
  } else if ((int64_t)(response->body.length + length) > response->max_body) {
    ps_fault_set(&response->failure, PS_ERROR_TOO_LARGE, "the response is larger than max_body, %lld bytes",
                 (long long)response->max_body);
  } else {
    ps_buf_add(&response->body, bytes, length);
    if (response->body.failed) ps_fault_memory(&response->failure);
  }
  response->failure.outcome = PS_OUTCOME_UNKNOWN;
  return response->failure.kind == PS_ERROR_NONE;
}

void ps_http_response_fail(ps_http_response *response, ps_error kind, ps_outcome outcome, const char *reason) {
  if (response->failure.kind != PS_ERROR_NONE) return;
  ps_fault_set(&response->failure, kind, "%s", reason);
  response->failure.outcome = outcome == PS_OUTCOME_NOT_SENT ? PS_OUTCOME_NOT_SENT : PS_OUTCOME_UNKNOWN;
}

void ps_http_response_final(ps_http_response *response) { response->is_final = true; }

/* ---- Reading a response ---- */

/* What the body starts with, for a message: one line, no more than 200 bytes. */
static void refuse_body(ps_exchange *x, ps_fault *fault, const char *why) {
  const char *type = response_header(x, "Content-Type");
  int shown = (int)(x->response.body.length < 200 ? x->response.body.length : 200);
  ps_fault_set(fault, PS_ERROR_PROTOCOL, "status %d, but the body is not JSON (%s; Content-Type %s): %.*s",
               x->response.status, why, type ? type : "absent", shown, ps_buf_text(&x->response.body));
  fault->outcome = x->response.status >= 400 && x->response.status < 500 ? PS_OUTCOME_REJECTED : PS_OUTCOME_UNKNOWN;
}

/* The bytes have arrived, unless the fault says why not. */
static void finish_bytes(ps_exchange *x, ps_fault *fault) {
  if (!x->download) is_contents(&x->response, x->settings.raw, fault);
  else if (begin_download(&x->response, fault)) ps_download_finish(x->download, fault);
  if (fault->kind != PS_ERROR_NONE) fault->outcome = PS_OUTCOME_UNKNOWN;
}

/* An answer without a body. One that is compressed and cut looks the same. */
static bool is_empty(const ps_exchange *x, const ps_http_response *r) {
  if (strcmp(x->plan.http.method, "HEAD") == 0) return true;
  return r->body.length == 0 && is_good(r->status) && (r->status == 204 || !find_header(r, "Content-Encoding"));
}

/* Nothing in the place of an object does not say what was done. */
static ps_value *parse_body(ps_exchange *x, ps_fault *fault) {
  ps_http_response *r = &x->response;
  const ps_api_operation *op = x->plan.operation;
  bool good = is_good(r->status), bytes = good && x->plan.binary, awaited = good && op && ps_operation_returns(op);
  if (bytes) finish_bytes(x, fault);
  if (bytes || (is_empty(x, r) && !awaited)) return NULL;
  ps_fault unreadable = {0};
  const ps_value *fields = good && !ps_value_is_poisoned(x->fields) ? x->fields : NULL;
  ps_value *data = ps_json_parse_fields(r->arena, r->body.data, r->body.length, fields, &unreadable);
  if (data && (data->type != PS_NULL || !awaited)) return data;
  if (unreadable.kind == PS_ERROR_MEMORY) {
    *fault = unreadable;
    fault->outcome = PS_OUTCOME_UNKNOWN;
  } else {
    refuse_body(x, fault, data ? "it is null" : unreadable.message);
  }
  return NULL;
}

/* Names what an error reply says. Returns its error object. */
static const ps_value *read_error(ps_exchange *x, const ps_value *data, ps_fault *fault) {
  const ps_value *error = data ? ps_map_get(data, "error", 5) : NULL;
  bool oauth = error && error->type == PS_STRING, v2 = strncmp(x->plan.path, "/v2/", 4) == 0;
  if (oauth) error = data;
  else if (error && error->type != PS_MAP) error = NULL;
  const char *type = oauth ? "" : ps_str(error, "type"), *code = oauth ? "" : ps_str(error, "code");
  const char *message = ps_str(error, oauth ? "error_description" : "message");
  ps_error kind = ps_error_classify(x->response.status, type, code, v2, oauth);
  if (*message) ps_fault_set(fault, kind, "%s", message);
  else ps_fault_set(fault, kind, "the server answered with status %d", x->response.status);
  fault->outcome = x->response.status < 500 ? PS_OUTCOME_REJECTED : PS_OUTCOME_UNKNOWN;
  return error;
}

bool ps_status_may_pass(int status) {
  return status == 401 || status == 403 || status == 409 || status == 429 || status >= 500;
}

/* The worst that is known of this and the earlier attempts. An answer settles an earlier loss, unless it only says "not
 * now" or "not with this key", or is not JSON: a proxy's own. */
static void note_outcome(ps_exchange *x, ps_fault *fault) {
  bool answered = fault->outcome == PS_OUTCOME_REJECTED && fault->kind != PS_ERROR_PROTOCOL;
  bool unsettled = x->outcome == PS_OUTCOME_UNKNOWN && (!answered || ps_status_may_pass(x->response.status));
  bool worse = x->outcome == PS_OUTCOME_REJECTED && fault->outcome == PS_OUTCOME_NOT_SENT;
  if (unsettled || worse) fault->outcome = x->outcome;
  x->outcome = fault->outcome;
}

/* ---- The result ---- */

static bool copy_headers(ps_result *r, const ps_http_response *response) {
  ps_http_header *rows = ps_arena_alloc(r->arena, response->header_count * sizeof *rows);
  if (!rows) return false;
  for (const ps_header_row *row = response->first_header; row; row = row->next) rows[r->header_count++] = row->header;
  r->headers = rows;
  return true;
}

/* The copies of the options and params that the exchange made move into the result. */
static bool set_origin(ps_exchange *x, ps_result *r) {
  const ps_origin origin = {
    .operation = x->plan.operation, .method = x->plan.http.method, .path = x->plan.path, .options = x->own};
  bool copied = ps_origin_copy(&r->origin, &origin, r->arena, x->own_headers, x->params);
  x->own_headers = x->params = NULL;
  return copied;
}

/* A result in the arena of the response, which becomes its own; NULL: no memory. */
static ps_result *make_result(ps_exchange *x, const ps_fault *fault, ps_value *data, const ps_value *error) {
  ps_http_response *response = &x->response;
  ps_arena *arena = response->arena ? response->arena : ps_arena_new(1024);
  ps_result *r = arena ? ps_arena_alloc(arena, sizeof *r) : NULL;
  response->arena = NULL;
  if (!r) {
    ps_arena_free(arena);
    return NULL;
  }
  *r = (ps_result){
    .arena = arena, .fault = *fault, .status = response->status, .attempts = x->attempts, .data = data, .error = error};
  ps_fault no_memory = {.kind = PS_ERROR_NONE};
  r->idempotency_key = ps_fault_copy(&no_memory, arena, x->plan.idempotency_key);
  if (no_memory.kind || !copy_headers(r, response) || (x->plan.http.url && !set_origin(x, r))) {
    ps_result_free(r);
    return NULL;
  }
  ps_buf_text(&response->body);
  r->body = response->body;
  response->body = PS_BUF_INIT;
  return r;
}

/* A success that cannot be told is "unknown": the caller must not take it for nothing. */
static ps_result *spare_result(ps_exchange *x, const ps_fault *fault) {
  ps_result *r = x->spare;
  x->response.first_header = NULL; /* gone with the result that could not be made */
  r->fault.outcome = fault->kind == PS_ERROR_NONE ? PS_OUTCOME_UNKNOWN : fault->outcome;
  r->status = x->response.status;
  r->attempts = x->attempts;
  x->spare = NULL;
  return r;
}

/* Ends the call. */
static ps_step finish(ps_exchange *x, const ps_fault *fault, ps_value *data, const ps_value *error) {
  ps_result *r = make_result(x, fault, data, error);
  if (!r) r = spare_result(x, fault);
  r->client = x->host.client;
  r->release = x->host.release;
  if (r->client) x->host.hold(r->client);
  x->result = r;
  return x->state = PS_DONE;
}

static ps_step finish_early(ps_exchange *x, ps_error kind, const char *why) {
  ps_fault fault = {0};
  ps_fault_set(&fault, kind, "%s", why);
  fault.outcome = x->outcome;
  clear_response(&x->response);
  return finish(x, &fault, NULL, NULL);
}

/* ---- Steps ---- */

/* After a cut, the headers that ask for what is missing, in place of those that the last attempt had for it. */
static void ask_for_rest(ps_exchange *x) {
  ps_request_plan *plan = &x->plan;
  const char *if_range, *range = ps_download_range(x->download, &if_range);
  size_t count = plan->own_header_count;
  if (range) plan->headers[count++] = (ps_http_header){"Range", range};
  if (range) plan->headers[count++] = (ps_http_header){"If-Range", if_range};
  plan->http.header_count = count;
}

/* The request goes out, `left` milliseconds before the deadline. */
static ps_step send_now(ps_exchange *x, int64_t left) {
  ps_http_request *http = &x->plan.http;
  const ps_body *body = http->body;
  if (x->attempts > 0 && body && body->rewind && !body->rewind(body->context)) {
    return finish_early(x, PS_ERROR_USAGE, ps_multipart_failure(x->plan.multipart)); /* other bodies can always */
  }
  if (x->attempts > 0) clear_response(&x->response);
  if (!x->response.arena) x->response.arena = ps_arena_new(1024);
  if (!x->response.arena) return finish_early(x, PS_ERROR_MEMORY, "no memory");
  x->response.max_body = x->settings.max_body;
  x->response.download = x->download;
  if (x->download) ask_for_rest(x);
  http->timeout = x->settings.timeout;
  http->connect_timeout = x->settings.connect_timeout;
  http->deadline = left < 0 ? -1 : (double)left / 1000;
  x->attempts++;
  x->sent_ms = ps_exchange_now(x);
  add_event(x, PS_EVENT_REQUEST, PS_LOG_DEBUG);
  return x->state = PS_SEND;
}

/* Sends, if the client's rate limit lets it: else waits first, once. */
static ps_step send(ps_exchange *x) {
  const ps_exchange_host *host = &x->host;
  if (ps_exchange_cancelled(x)) return finish_early(x, PS_ERROR_CANCELLED, "the call was cancelled");
  int64_t left = left_ms(x), held = 0;
  if (left == 0) return finish_early(x, PS_ERROR_TIMEOUT, "the deadline passed before the request was sent");
  if (host->pace && !x->paced) held = host->pace(host->client, x->settings.api_key, ps_exchange_now(x), left);
  if (held < 0) {
    return finish_early(x, PS_ERROR_TIMEOUT, "rate_limit would hold the request back past the call's deadline");
  }
  x->paced = held > 0;
  if (!x->paced) return send_now(x, left);
  x->wait_ms = held;
  return x->state = PS_WAIT;
}

static ps_step begin(ps_exchange *x) {
  x->begun = true;
  if (x->fault.kind != PS_ERROR_NONE) return finish(x, &x->fault, NULL, NULL);
  double deadline = x->settings.deadline;
  if (deadline < 0 && !x->plan.transfer) deadline = 100;
  if (deadline >= 0 && deadline < most_seconds) x->deadline_ms = ps_exchange_now(x) + (int64_t)(deadline * 1000);
  return send(x);
}

static bool is_oauth(const ps_exchange *x) {
  const char *base = x->settings.base;
  if (!base) base = x->plan.operation ? ps_operation_base(x->plan.operation) : "api";
  return strcmp(base, "connect") == 0;
}

/* What is cut again and again, and comes further each time, arrives in the end. */
static void count_fruitless(ps_exchange *x) {
  int64_t done = 0, total;
  if (x->download) ps_download_progress(x->download, &done, &total);
  x->fruitless = done > x->arrived ? 1 : x->fruitless + 1;
  if (done > x->arrived) x->arrived = done;
}

static int64_t retry_wait(ps_exchange *x, ps_fault *fault) {
  const ps_body *body = x->plan.http.body;
  bool repeatable = (!body || body->rewind) && (!x->download || ps_download_resumable(x->download));
  const ps_clock *clock = &x->host.clock;
  ps_attempt attempt = {
    .number = x->fruitless,
    .max_retries = x->response.is_final ? 0 : (int)(x->settings.max_retries < 1000 ? x->settings.max_retries : 1000),
    .status = x->response.failure.kind == PS_ERROR_NONE ? x->response.status : 0,
    .should_retry = response_header(x, "Stripe-Should-Retry"),
    .retry_after = response_header(x, "Retry-After"),
    .failure = fault->kind,
    .outcome = fault->outcome,
    .only_if_not_sent = is_oauth(x) || !repeatable,
    .unix_time = clock->unix_time(clock->context),
    .dice = clock->dice(clock->context),
    .left_ms = left_ms(x),
  };
  int64_t wait = ps_retry_wait(&attempt);
  attempt.only_if_not_sent = false;
  if (wait < 0 && !repeatable && ps_retry_wait(&attempt) >= 0) {
    size_t length = strlen(fault->message);
    snprintf(fault->message + length, sizeof fault->message - length, " (not sent again: %s)",
             body ? "the body cannot be read a second time" : "what has arrived cannot be taken back");
  }
  return wait;
}

/* Of a response that failed on its way only the headers stay: they may name the request. */
static void drop_partial(ps_http_response *r) {
  r->status = 0;
  ps_buf_dispose(&r->body);
}

/* That the body failed is the reason, whatever the driver makes of it. */
static void blame_body(const ps_exchange *x, ps_fault *fault) {
  const char *why = ps_multipart_failure(x->plan.multipart);
  if (!*why || fault->kind == PS_ERROR_NONE || fault->kind == PS_ERROR_MEMORY) return;
  ps_outcome outcome = fault->outcome;
  *fault = (ps_fault){.kind = PS_ERROR_NONE};
  ps_fault_set(fault, PS_ERROR_USAGE, "%s", why);
  fault->outcome = outcome;
}

/* What came of an attempt: a result, or another one. */
static ps_step take(ps_exchange *x) {
  ps_http_response *r = &x->response;
  ps_value *data = NULL;
  const ps_value *error = NULL;
  if (r->failure.kind == PS_ERROR_NONE && r->status == 0) {
    ps_http_response_fail(r, PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, "the connection was lost without an answer");
  }
  ps_fault fault = r->failure;
  blame_body(x, &fault);
  if (fault.kind != PS_ERROR_NONE) drop_partial(r);
  else data = parse_body(x, &fault);
  if (fault.kind == PS_ERROR_NONE && !is_good(r->status)) error = read_error(x, data, &fault);
  add_response_events(x, &fault);
  if (fault.kind == PS_ERROR_NONE) return finish(x, &fault, data, NULL);
  ps_redact_known(fault.message, x->settings.api_key);
  count_fruitless(x);
  int64_t wait = is_good(r->status) ? -1 : retry_wait(x, &fault);
  note_outcome(x, &fault);
  if (wait < 0 || ps_exchange_cancelled(x)) return finish(x, &fault, data, error);
  add_event(x, PS_EVENT_RETRY, PS_LOG_INFO)->duration = (double)wait / 1000;
  x->wait_ms = wait;
  return x->state = PS_WAIT;
}

ps_step ps_exchange_step(ps_exchange *x) {
  if (x->state == PS_DONE) return PS_DONE;
  x->event_count = x->event_described = x->event_read = 0;
  if (!x->begun) return begin(x);
  return x->state == PS_SEND ? take(x) : send(x);
}

const ps_http_request *ps_exchange_request(ps_exchange *x) { return &x->plan.http; }

ps_http_response *ps_exchange_response(ps_exchange *x) { return &x->response; }

int64_t ps_exchange_wait(const ps_exchange *x) { return x->wait_ms; }

ps_result *ps_exchange_result(ps_exchange *x) {
  ps_result *r = x->result ? x->result : ps_result_no_memory();
  if (x->event_read < x->event_count) describe_events(x);
  if (x != &out_of_memory) x->result = NULL;
  return r;
}

void ps_exchange_reuse(ps_exchange *x, ps_result *r) {
  if (!r || r == ps_result_no_memory()) return;
  if (x->response.arena || x == &out_of_memory) ps_result_free(r);
  else ps_result_recycle(r, &x->response.arena, &x->response.body);
}

/* ---- For drivers ---- */

ps_step ps_exchange_state(const ps_exchange *x) { return x->state; }

ps_client *ps_exchange_client(const ps_exchange *x) { return x->host.client; }

const char *ps_exchange_take(ps_exchange *x, size_t *length) {
  *length = 0;
  return x->download ? ps_download_take(x->download, length) : "";
}

void ps_exchange_progress(const ps_exchange *x, int64_t *done, int64_t *total) {
  *done = 0;
  *total = -1;
  if (x->download) {
    ps_download_progress(x->download, done, total);
  } else if (x->plan.multipart) {
    *done = ps_multipart_position(x->plan.multipart);
    *total = x->plan.http.body->length;
  }
}

bool ps_exchange_is_transfer(const ps_exchange *x) { return x->plan.transfer; }

void ps_exchange_pause(ps_exchange *x, int64_t ms) {
  if (x->deadline_ms >= 0) x->deadline_ms += ms;
}

void ps_exchange_attach(ps_exchange *x, void *driver, void (*dispose)(void *driver)) {
  x->driver = driver;
  x->dispose = dispose;
}

void *ps_exchange_attached(const ps_exchange *x) { return x->driver; }

bool ps_exchange_cancelled(const ps_exchange *x) { return atomic_load(&x->cancelled); }

void ps_exchange_set_waker(ps_exchange *x, void (*wake)(void *context), void *context) {
  pthread_mutex_lock(&x->waker_lock);
  x->wake = wake;
  x->wake_context = context;
  pthread_mutex_unlock(&x->waker_lock);
}

void ps_exchange_cancel(ps_exchange *x) {
  if (x == &out_of_memory) return;
  atomic_store(&x->cancelled, true);
  pthread_mutex_lock(&x->waker_lock);
  if (x->wake) x->wake(x->wake_context);
  pthread_mutex_unlock(&x->waker_lock);
}
