/* The shared cases (tests/cases), driven by hand: no network, no waiting. The exchange says what it would send; the case's
 * replies are its answers, and a clock of the test's own stands in for time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client.h"
#include "json.h"

static int failures;
static const char *file_name, *case_name;

#define EXPECT(condition, ...)                                                                                         \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      failures++;                                                                                                      \
      fprintf(stderr, "%s: %s: ", file_name, case_name);                                                               \
      fprintf(stderr, __VA_ARGS__);                                                                                    \
      fprintf(stderr, "\n");                                                                                           \
    }                                                                                                                  \
  } while (0)

static int64_t now_ms = 1000;

static int64_t clock_now(void *context) {
  (void)context;
  return now_ms;
}

static int64_t clock_unix(void *context) {
  (void)context;
  return 1700000000;
}

static double clock_dice(void *context) {
  (void)context;
  return rand() / (RAND_MAX + 1.0);
}

static const ps_clock test_clock = {clock_now, clock_unix, clock_dice, NULL, NULL};

static ps_value *load(const char *name) {
  char path[1024];
  snprintf(path, sizeof path, "%s/tests/cases/%s", PS_SOURCE_DIR, name);
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  ps_buf text = PS_BUF_INIT;
  for (int c; (c = fgetc(f)) != EOF;) ps_buf_char(&text, (char)c);
  fclose(f);
  ps_value *v = ps_value_parse(ps_buf_text(&text), text.length);
  assert_string_equal(ps_value_error(v), "");
  ps_buf_dispose(&text);
  return v;
}

static bool is_for_c(const ps_value *c) {
  const ps_value *only = ps_get(c, "only");
  if (only->type != PS_LIST) return true;
  for (const ps_value *v = ps_first(only); v; v = ps_next(v)) {
    if (ps_value_is(v, "c")) return true;
  }
  return false;
}

static ps_client *make_client(const ps_value *c) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  char *wrong = ps_client_options_read(&options, ps_map_get(c, "client", 6));
  EXPECT(!wrong, "options: %s", wrong);
  ps_free(wrong);
  ps_client *client = ps_client_new(options.api_key ? NULL : "sk_test_cases", &options);
  ps_client_set_clock(client, &test_clock);
  return client;
}

typedef struct {
  const char *operation, *method, *path, *fetch, *download, *ids[8];
  const ps_value *params, *notification;
  ps_call_options options;
} call;

static call read_call(const ps_value *c) {
  call out = {.operation = ps_str(c, "call"),
              .method = ps_str(c, "request.0"),
              .path = ps_str(c, "request.1"),
              .fetch = ps_str(c, "fetch"),
              .download = ps_str(c, "download"),
              .params = ps_get(c, "params"),
              .notification = ps_get(c, "notification"),
              .options = PS_CALL_OPTIONS_INIT};
  size_t n = 0;
  for (const ps_value *id = ps_first(ps_get(c, "ids")); id && n < 7; id = ps_next(id)) out.ids[n++] = ps_str(id, NULL);
  char *wrong = ps_call_options_read(&out.options, ps_map_get(c, "options", 7));
  EXPECT(!wrong, "options: %s", wrong);
  ps_free(wrong);
  return out;
}

static ps_exchange *make_exchange(ps_client *client, const call *c) {
  if (strcmp(c->fetch, "event") == 0) return ps_exchange_new_event(client, c->notification);
  if (*c->fetch) return ps_exchange_new_related_object(client, c->notification);
  if (*c->download) return ps_exchange_new_download(client, c->download, &c->options);
  if (*c->method) return ps_exchange_new_request(client, c->method, c->path, c->params, &c->options);
  return ps_exchange_new(client, c->operation, c->ids, c->params, &c->options);
}

static const char *request_header(const ps_http_request *r, const char *name) {
  for (size_t i = 0; i < r->header_count; i++) {
    if (ps_header_is(r->headers[i].name, name)) return r->headers[i].value;
  }
  return NULL;
}

static void check_headers(const ps_http_request *r, const ps_value *headers) {
  for (const ps_value *h = ps_first(headers); h; h = ps_next(h)) {
    const char *got = request_header(r, h->key);
    if (h->type == PS_NULL) EXPECT(!got, "header %s is %s, but should be absent", h->key, got);
    else if (ps_value_is(h, "*")) EXPECT(got && *got, "header %s is absent", h->key);
    else
      EXPECT(got && strcmp(got, h->as.text) == 0, "header %s is %s, not %s", h->key, got ? got : "absent", h->as.text);
  }
}

static void read_body(const ps_http_request *r, ps_buf *out) {
  char chunk[7];
  ptrdiff_t n;
  if (!r->body) return;
  while ((n = r->body->read(r->body->context, chunk, sizeof chunk)) > 0) ps_buf_add(out, chunk, (size_t)n);
  EXPECT(n == 0, "the body cannot be read");
  EXPECT(r->body->length == (int64_t)out->length, "the body's length is announced as %lld", (long long)r->body->length);
}

static void check_json(const ps_buf *body, const ps_value *expected) {
  ps_value *got = ps_value_parse(body->data ? body->data : "", body->length);
  EXPECT(ps_value_equal(got, expected), "body %.*s", (int)body->length, body->data);
  ps_value_free(got);
}

static void check_body(const ps_http_request *r, const ps_value *c) {
  ps_buf body = PS_BUF_INIT;
  read_body(r, &body);
  const ps_value *json = ps_map_get(c, "json", 4), *text = ps_map_get(c, "body", 4);
  if (json) check_json(&body, json);
  else if (text && text->type == PS_NULL) EXPECT(!r->body, "a body: %s", ps_buf_text(&body));
  else if (text)
    EXPECT(body.length == text->length && memcmp(ps_buf_text(&body), text->as.text, text->length) == 0, "body %s",
           ps_buf_text(&body));
  ps_buf_dispose(&body);
}

static void check_error(const ps_result *r, const ps_value *error) {
  EXPECT(strcmp(ps_error_kind_name(ps_error_kind(r)), ps_str(error, "kind")) == 0, "kind %s: %s",
         ps_error_kind_name(ps_error_kind(r)), ps_error_message(r));
  EXPECT(strstr(ps_error_message(r), ps_str(error, "message")), "message %s", ps_error_message(r));
}

static void run_authorize_url(const ps_value *c) {
  ps_client *client = make_client(c);
  ps_result *r = ps_oauth_authorize_url(client, ps_get(c, "authorize_url"), ps_bool(c, "express"));
  const ps_value *error = ps_map_get(c, "error", 5);
  if (error) check_error(r, error);
  else EXPECT(strcmp(ps_str(ps_data(r), NULL), ps_str(c, "url")) == 0, "url %s", ps_str(ps_data(r), NULL));
  ps_result_free(r);
  ps_client_free(client);
}

static void run_request(const ps_value *c) {
  if (ps_map_get(c, "authorize_url", 13)) {
    run_authorize_url(c);
    return;
  }
  ps_client *client = make_client(c);
  call what = read_call(c);
  ps_exchange *x = make_exchange(client, &what);
  ps_step step = ps_exchange_step(x);
  const ps_value *error = ps_map_get(c, "error", 5);
  if (error) {
    EXPECT(step == PS_DONE, "something would be sent");
    ps_result *r = ps_exchange_result(x);
    check_error(r, error);
    EXPECT(ps_error_outcome(r) == PS_OUTCOME_NOT_SENT && ps_result_attempts(r) == 0, "outcome");
    ps_result_free(r);
  } else if (step == PS_DONE) {
    ps_result *r = ps_exchange_result(x);
    EXPECT(false, "not sent: %s", ps_error_message(r));
    ps_result_free(r);
  } else {
    const ps_http_request *r = ps_exchange_request(x);
    EXPECT(strcmp(r->method, ps_str(c, "method")) == 0, "method %s", r->method);
    EXPECT(strcmp(r->url, ps_str(c, "url")) == 0, "url %s", r->url);
    check_headers(r, ps_get(c, "headers"));
    check_body(r, c);
  }
  ps_exchange_free(x);
  ps_client_free(client);
}

/* ---- Uploads ---- */

static ptrdiff_t source_read(void *context, char *buffer, size_t size) {
  const char **text = context;
  size_t left = strlen(*text), n = left < size ? left : size;
  memcpy(buffer, *text, n);
  *text += n;
  return (ptrdiff_t)n;
}

/* The body must be the case's parts between the boundary that its Content-Type names. */
static void check_parts(const ps_http_request *r, const ps_value *c) {
  static const char type[] = "multipart/form-data; boundary=";
  const char *given = request_header(r, "Content-Type");
  ps_buf body = PS_BUF_INIT, expected = PS_BUF_INIT;
  EXPECT(given && strncmp(given, type, sizeof type - 1) == 0, "Content-Type %s", given ? given : "absent");
  const char *boundary = given && strlen(given) > sizeof type ? given + sizeof type - 1 : "none";
  for (const ps_value *part = ps_first(ps_get(c, "parts")); part; part = ps_next(part)) {
    ps_buf_format(&expected, "--%s\r\n", boundary);
    ps_buf_add(&expected, part->as.text, part->length);
    ps_buf_str(&expected, "\r\n");
  }
  ps_buf_format(&expected, "--%s--\r\n", boundary);
  bool chunked = ps_bool(c, "chunked");
  EXPECT(r->body->length == (chunked ? -1 : (int64_t)expected.length), "length %lld", (long long)r->body->length);
  char piece[7];
  for (ptrdiff_t n; (n = r->body->read(r->body->context, piece, sizeof piece)) > 0;)
    ps_buf_add(&body, piece, (size_t)n);
  EXPECT(body.length == expected.length && memcmp(ps_buf_text(&body), ps_buf_text(&expected), body.length) == 0,
         "body %s", ps_buf_text(&body));
  ps_buf_dispose(&body);
  ps_buf_dispose(&expected);
}

static void run_upload(const ps_value *c) {
  ps_client *client = make_client(c);
  call what = read_call(c);
  const char *text = ps_str(c, "reader");
  const ps_body source = {ps_bool(c, "chunked") ? -1 : (int64_t)strlen(text), source_read, NULL, &text, NULL};
  if (ps_map_get(c, "reader", 6)) what.options.file = &source;
  ps_exchange *x = make_exchange(client, &what);
  bool sent = ps_exchange_step(x) == PS_SEND;
  ps_result *r = sent ? NULL : ps_exchange_result(x);
  if (ps_map_get(c, "error", 5)) {
    EXPECT(!sent, "something would be sent");
    check_error(r, ps_get(c, "error"));
  } else if (sent) {
    EXPECT(strcmp(ps_exchange_request(x)->url, "https://files.stripe.com/v1/files") == 0, "url");
    check_parts(ps_exchange_request(x), c);
  } else {
    EXPECT(false, "not sent: %s", ps_error_message(r));
  }
  ps_result_free(r);
  ps_exchange_free(x);
  ps_client_free(client);
}

/* ---- Answering ---- */

typedef struct {
  const ps_value *c, *reply; /* reply: the next one */
  const ps_value *body;      /* of pages: the next expected body */
  ps_value *urls;
  ps_value *batches; /* of meters: what is requested, with which key, and the events in it; else NULL */
  char key[256];
  int64_t waits[32];
  size_t wait_count, sends;
} stage;

static void answer(ps_http_response *response, const ps_value *reply) {
  const char *lost = ps_str(reply, "lost");
  if (*lost) {
    ps_http_response_fail(response, PS_ERROR_CONNECTION,
                          strcmp(lost, "not_sent") == 0 ? PS_OUTCOME_NOT_SENT : PS_OUTCOME_UNKNOWN,
                          "the case loses it");
    return;
  }
  ps_http_response_status(response, (int)ps_int(reply, "status"));
  for (const ps_value *h = ps_first(ps_get(reply, "headers")); h; h = ps_next(h)) {
    ps_http_response_header(response, h->key, h->as.text);
  }
  const ps_value *json = ps_map_get(reply, "json", 4);
  char *text = json ? ps_json(json, NULL) : NULL;
  const char *body = json ? text : ps_str(reply, "body");
  for (size_t i = 0; body[i]; i++) {
    if (!ps_http_response_write(response, body + i, 1)) break;
  }
  ps_free(text);
}

static void check_key(stage *s, const ps_http_request *r) {
  const char *key = request_header(r, "Idempotency-Key");
  if (!key) return;
  EXPECT(!*s->key || strcmp(s->key, key) == 0, "the key changed from %s to %s", s->key, key);
  snprintf(s->key, sizeof s->key, "%s", key);
}

static void note_batch(stage *s, const ps_http_request *r, ps_buf *body) {
  ps_value *batch = ps_list_add(s->batches), *sent = ps_value_parse(ps_buf_text(body), body->length);
  const char *key = request_header(r, "Authorization");
  bool session = strcmp(r->url, "https://api.stripe.com/v2/billing/meter_event_session") == 0;
  EXPECT(session || strcmp(r->url, "https://meter-events.stripe.com/v2/billing/meter_event_stream") == 0, "%s", r->url);
  ps_value_set_str(ps_list_add(batch), session ? "session" : "stream");
  ps_value_set_str(ps_list_add(batch), key && strlen(key) > 7 ? key + 7 : "");
  if (!session) ps_value_copy(ps_list_add(batch), ps_get(sent, "events"));
  ps_value_free(sent);
}

static void perform(stage *s, ps_exchange *x) {
  const ps_http_request *r = ps_exchange_request(x);
  const char *path = strstr(r->url, ".com");
  ps_buf body = PS_BUF_INIT;
  read_body(r, &body);
  ps_value_set_str(ps_list_add(s->urls), path ? path + 4 : r->url);
  check_key(s, r);
  if (s->batches) note_batch(s, r, &body);
  if (s->body) check_json(&body, s->body);
  if (s->body) s->body = ps_next(s->body);
  check_headers(r, ps_get(s->c, "headers"));
  ps_buf_dispose(&body);
  s->sends++;
  EXPECT(s->reply, "request %zu has no reply: %s", s->sends, r->url);
  if (s->reply) answer(ps_exchange_response(x), s->reply);
  s->reply = ps_next(s->reply);
}

static void drive(stage *s, ps_exchange *x) {
  for (;;) {
    switch (ps_exchange_step(x)) {
      case PS_SEND: perform(s, x); break;
      case PS_WAIT:
        s->waits[s->wait_count++ % 32] = ps_exchange_wait(x);
        now_ms += ps_exchange_wait(x);
        break;
      case PS_DONE: return;
    }
  }
}

static stage make_stage(const ps_value *c) {
  stage s = {
    .c = c, .reply = ps_first(ps_get(c, "replies")), .body = ps_first(ps_get(c, "bodies")), .urls = ps_value_new()};
  ps_value_set_list(s.urls);
  return s;
}

/* Whether everything in `expected` stands in `got`. */
static bool holds(const ps_value *got, const ps_value *expected) {
  if (expected->type != PS_MAP || !got || got->type != PS_MAP) return got && ps_value_equal(got, expected);
  for (const ps_value *e = ps_first(expected); e; e = ps_next(e)) {
    if (!holds(ps_map_get(got, e->key, e->key_length), e)) return false;
  }
  return true;
}

static void check_error_field(const ps_result *r, const ps_value *e) {
  const char *k = e->key, *text = ps_str(e, NULL);
  if (strcmp(k, "outcome") == 0) {
    EXPECT(strcmp(ps_outcome_name(ps_error_outcome(r)), text) == 0, "outcome %s", ps_outcome_name(ps_error_outcome(r)));
  } else if (strcmp(k, "status") == 0) {
    EXPECT(ps_result_status(r) == ps_int(e, NULL), "status %d", ps_result_status(r));
  } else if (strcmp(k, "attempts") == 0) {
    EXPECT(ps_result_attempts(r) == ps_int(e, NULL), "attempts %d", ps_result_attempts(r));
  } else if (strcmp(k, "request_id") == 0) {
    EXPECT(strcmp(ps_result_request_id(r), text) == 0, "request id %s", ps_result_request_id(r));
  } else if (strcmp(k, "idempotency_key") == 0) {
    EXPECT(strcmp(ps_result_idempotency_key(r), text) == 0, "key %s", ps_result_idempotency_key(r));
  } else if (strcmp(k, "code") == 0) {
    EXPECT(strcmp(ps_error_code(r), text) == 0, "code %s", ps_error_code(r));
  } else if (strcmp(k, "kind") != 0 && strcmp(k, "message") != 0) {
    EXPECT(holds(ps_map_get(ps_error_data(r), k, e->key_length), e), "field %s", k);
  }
}

static void check_waits(const stage *s, const ps_value *waits) {
  if (waits->type != PS_LIST) return;
  EXPECT(s->wait_count == ps_count(waits), "%zu waits", s->wait_count);
  size_t i = 0;
  for (const ps_value *w = ps_first(waits); w && i < s->wait_count; w = ps_next(w), i++) {
    EXPECT(s->waits[i] >= ps_int(w, "0") && s->waits[i] <= ps_int(w, "1"), "wait %zu: %lld ms", i,
           (long long)s->waits[i]);
  }
}

static void run_reply(const ps_value *c) {
  ps_client *client = make_client(c);
  call what = read_call(c);
  stage s = make_stage(c);
  ps_exchange *x = make_exchange(client, &what);
  drive(&s, x);
  ps_result *r = ps_exchange_result(x);
  const ps_value *error = ps_get(c, "error");
  EXPECT(ps_result_ok(r) == ps_bool(c, "ok"), "ok: %s", ps_error_message(r));
  if (error->type == PS_MAP) check_error(r, error);
  for (const ps_value *e = ps_first(error); e; e = ps_next(e)) check_error_field(r, e);
  if (ps_map_get(c, "data", 4)) EXPECT(holds(ps_data(r), ps_get(c, "data")), "data");
  if (ps_map_get(c, "attempts", 8))
    EXPECT(ps_result_attempts(r) == ps_int(c, "attempts"), "attempts %d", ps_result_attempts(r));
  EXPECT(!s.reply, "not every reply was asked for");
  check_waits(&s, ps_get(c, "waits"));
  ps_result_free(r);
  ps_exchange_free(x);
  ps_value_free(s.urls);
  ps_client_free(client);
}

/* ---- Pages ---- */

static const ps_value *next_item(stage *s, ps_iter *it, bool *failed) {
  for (;;) {
    const ps_value *item = ps_iter_item(it);
    ps_exchange *x = item ? NULL : ps_iter_exchange(it);
    if (!x) return item;
    s->key[0] = 0; /* another call */
    drive(s, x);
    if (!ps_iter_feed(it)) {
      *failed = true;
      return NULL;
    }
  }
}

static ps_iter *save_and_resume(ps_client *client, ps_iter *it, const call *what) {
  char *cursor = ps_iter_cursor(it);
  EXPECT(cursor && !strstr(cursor, "sk_test"), "cursor %s", cursor);
  ps_iter_free(it);
  ps_iter *resumed = ps_iter_resume(client, cursor);
  ps_free(cursor);
  (void)what;
  return resumed;
}

static void collect(stage *s, ps_client *client, const ps_value *c, ps_value *items) {
  call what = read_call(c);
  const ps_value *save = ps_map_get(c, "cursor_after", 12);
  ps_exchange_host host;
  ps_client_host(client, &host);
  ps_target target = {
    .operation = ps_operation_route(what.method, what.path), .method = what.method, .path = what.path};
  ps_iter *it = *what.method ? ps_iter_create(&host, &target, what.params, &what.options, NULL)
                             : ps_iter_new(client, what.operation, what.ids, what.params, &what.options);
  size_t failed_in_a_row = 0;
  while (ps_count(items) < 50 && failed_in_a_row < 3) {
    if (save && ps_int(save, NULL) == (int64_t)ps_count(items)) {
      it = save_and_resume(client, it, &what);
      save = NULL;
    }
    bool failed = false;
    const ps_value *item = next_item(s, it, &failed);
    failed_in_a_row = failed ? failed_in_a_row + 1 : 0;
    if (!item && !failed) break;
    ps_value_set_str(ps_list_add(items), failed ? "!" : ps_str(item, "id"));
    if (failed && !s->reply) break;
  }
  ps_iter_free(it);
}

static void run_page(const ps_value *c) {
  ps_client *client = make_client(c);
  stage s = make_stage(c);
  ps_value *items = ps_value_new();
  ps_value_set_list(items);
  collect(&s, client, c, items);
  char *got_items = ps_json(items, NULL), *got_paths = ps_json(s.urls, NULL);
  EXPECT(ps_value_equal(items, ps_get(c, "items")), "items %s", got_items);
  EXPECT(ps_value_equal(s.urls, ps_get(c, "paths")), "paths %s", got_paths);
  ps_free(got_items);
  ps_free(got_paths);
  ps_value_free(items);
  ps_value_free(s.urls);
  ps_client_free(client);
}

/* ---- Meters ---- */

static ps_value *numbered(int number) {
  char value[16];
  snprintf(value, sizeof value, "%d", number);
  return ps_params("event_name", "requests", "payload[value]", value, NULL);
}

static void add_events(ps_meter *m, const ps_value *c, int64_t count, int *number) {
  for (const ps_value *e = *number ? NULL : ps_first(ps_get(c, "events")); e; e = ps_next(e)) {
    const char *wrong = ps_meter_add(m, e), *refused = ps_str(c, "refused");
    EXPECT(strcmp(wrong ? wrong : "", refused) == 0, "added: %s", wrong ? wrong : "yes");
  }
  for (int64_t i = 0; i < count; i++) {
    ps_value *event = numbered(++*number);
    EXPECT(!ps_meter_add(m, event), "an event cannot be added");
    ps_value_free(event);
  }
}

static void check_flush(ps_meter *m, const ps_value *expected, bool good) {
  const ps_value *error = ps_get(expected, "error"), *skip = ps_map_get(expected, "skip", 4);
  const ps_result *r = ps_meter_result(m);
  EXPECT(good == ps_bool(expected, "ok"), "ok: %s", ps_error_message(r));
  if (error->type == PS_MAP) check_error(r, error);
  for (const ps_value *e = ps_first(error); e; e = ps_next(e)) check_error_field(r, e);
  EXPECT((int64_t)ps_meter_pending(m) == ps_int(expected, "pending"), "%zu pending", ps_meter_pending(m));
  EXPECT(good || ps_meter_pause(m) > 0, "no pause after a failure");
  if (!skip) return;
  ps_value *skipped = ps_meter_skip(m);
  EXPECT(ps_count(skipped) == ps_count(skip), "%zu events are skipped", ps_count(skipped));
  const ps_value *got = ps_first(skipped);
  for (const ps_value *v = ps_first(skip); v; v = ps_next(v), got = ps_next(got)) {
    EXPECT(ps_value_equal(ps_get(got, "payload.value"), v), "another event is skipped");
  }
  ps_value_free(skipped);
}

/* What was sent: `got` is one request with its events, `expected` their values. Of an event the identifier is the same each
 * time; `ids` has that of each value. */
static void check_batch(const ps_value *got, const ps_value *expected, const ps_value *sent, ps_value *ids) {
  EXPECT(ps_value_equal(ps_list_get(got, 0), ps_list_get(expected, 0)) &&
           ps_value_equal(ps_list_get(got, 1), ps_list_get(expected, 1)),
         "%s with %s", ps_str(got, "0"), ps_str(got, "1"));
  const ps_value *values = ps_get(expected, "2"), *value = ps_first(values);
  EXPECT(ps_count(ps_get(got, "2")) == ps_count(values), "%zu events", ps_count(ps_get(got, "2")));
  for (const ps_value *e = ps_first(ps_get(got, "2")); e && value; e = ps_next(e), value = ps_next(value)) {
    const char *id = ps_str(e, "identifier");
    ps_value *known = ps_map_set(ids, value->as.text);
    EXPECT(ps_value_equal(ps_get(e, "payload.value"), value), "event %s", ps_str(e, "payload.value"));
    EXPECT(*id && (known->type == PS_NULL || ps_value_is(known, id)), "the identifier is %s", id);
    ps_value_set_str(known, id);
    for (const ps_value *field = ps_first(sent); field; field = ps_next(field)) {
      const ps_value *given = ps_map_get(e, field->key, field->key_length);
      EXPECT(given && (ps_value_is(field, "*") ? *ps_str(given, NULL) : ps_value_equal(given, field)), "%s",
             field->key);
    }
  }
}

static bool flush(stage *s, ps_meter *m) {
  for (ps_exchange *x; (x = ps_meter_exchange(m));) {
    s->key[0] = 0; /* another call */
    drive(s, x);
    if (!ps_meter_feed(m)) return false;
  }
  return true;
}

static void run_meter(const ps_value *c) {
  ps_client *client = make_client(c);
  stage s = make_stage(c);
  ps_meter *m = ps_meter_new(client, 3600, -1);
  ps_value *ids = ps_value_new();
  int number = 0;
  s.batches = ps_value_new();
  ps_value_set_list(s.batches);
  for (const ps_value *f = ps_first(ps_get(c, "flushes")); f; f = ps_next(f)) {
    add_events(m, c, ps_int(f, "add"), &number);
    check_flush(m, f, flush(&s, m));
  }
  const ps_value *requests = ps_get(c, "requests"), *got = ps_first(s.batches);
  EXPECT(ps_count(s.batches) == ps_count(requests), "%zu requests", ps_count(s.batches));
  for (const ps_value *r = ps_first(requests); r && got; r = ps_next(r), got = ps_next(got)) {
    check_batch(got, r, ps_get(c, "sent"), ids);
  }
  EXPECT(!s.reply, "not every reply was asked for");
  ps_meter_free(m);
  ps_value_free(ids);
  ps_value_free(s.batches);
  ps_value_free(s.urls);
  ps_client_free(client);
}

/* ---- Webhooks ---- */

/* The body as bytes: NULL if the case has a parsed one. */
static const char *webhook_body(const ps_value *c, ps_buf *bytes) {
  const char *hex = ps_str(c, "hex");
  unsigned byte;
  if (ps_map_get(c, "parsed", 6)) return NULL;
  for (; sscanf(hex, "%2x", &byte) == 1; hex += 2) ps_buf_char(bytes, (char)byte);
  ps_buf_str(bytes, ps_str(c, "body"));
  return ps_buf_text(bytes);
}

static ps_result *read_webhook(const ps_value *c, const char *body, size_t length) {
  const char *secrets[8] = {NULL}, *what = ps_str(c, "read");
  const ps_value *header = ps_get(c, "header"), *tolerance = ps_map_get(c, "tolerance", 9);
  size_t n = 0;
  for (const ps_value *s = ps_first(ps_get(c, "secrets")); s; s = ps_next(s)) secrets[n++] = ps_str(s, NULL);
  bool thin = strcmp(what, "notification") == 0;
  if (ps_bool(c, "trusted")) {
    return thin ? ps_notification_parse_without_verification(body, length)
                : ps_event_parse_without_verification(body, length);
  }
  return (thin                         ? ps_notification_parse
          : strcmp(what, "event") == 0 ? ps_event_parse
                                       : ps_webhook_verify)(body, length,
                                                            header->type == PS_NULL ? NULL : header->as.text, secrets,
                                                            tolerance ? ps_int(tolerance, NULL) : -1, ps_int(c, "now"));
}

/* What signing makes of a case's body, secret and time is its header. */
static void check_signing(const ps_value *c, const char *body, size_t length) {
  const char *header = ps_str(c, "header"), *v1 = strstr(header, ",v1=");
  bool plain = v1 && strlen(v1) == 68 && strncmp(header, "t=", 2) == 0 && ps_count(ps_get(c, "secrets")) == 1;
  if (!plain || ps_map_get(c, "error", 5)) return;
  char *made = ps_webhook_sign(body, length, ps_str(c, "secrets.0"), atoll(header + 2));
  EXPECT(strcmp(made, header) == 0, "signed %s", made);
  ps_free(made);
}

static void check_silence(const ps_value *c, const ps_result *r) {
  char *error = ps_json(ps_error_data(r), NULL);
  for (const ps_value *s = ps_first(ps_get(c, "secrets")); s; s = ps_next(s)) {
    EXPECT(s->length == 0 || !strstr(ps_error_message(r), s->as.text), "a secret in %s", ps_error_message(r));
    EXPECT(s->length == 0 || !strstr(error, s->as.text), "a secret in %s", error);
  }
  for (const char *m = ps_error_message(r); *m; m++) {
    EXPECT(strspn(m, "0123456789abcdef") < 32, "a signature in %s", ps_error_message(r));
  }
  ps_free(error);
}

static void run_webhook(const ps_value *c) {
  ps_buf bytes = PS_BUF_INIT;
  const char *body = webhook_body(c, &bytes);
  ps_result *r = read_webhook(c, body, bytes.length);
  const ps_value *error = ps_map_get(c, "error", 5);
  EXPECT(ps_result_ok(r) == !error, "ok: %s", ps_error_message(r));
  if (error) check_error(r, error);
  for (const ps_value *e = ps_first(error); e; e = ps_next(e)) check_error_field(r, e);
  if (ps_map_get(c, "data", 4)) EXPECT(holds(ps_data(r), ps_get(c, "data")), "data");
  check_signing(c, body, bytes.length);
  check_silence(c, r);
  ps_result_free(r);
  ps_buf_dispose(&bytes);
}

static void run_file(const char *name, void (*run)(const ps_value *c)) {
  ps_value *cases = load(name);
  size_t count = 0;
  file_name = name;
  for (const ps_value *c = ps_first(cases); c; c = ps_next(c)) {
    case_name = ps_str(c, "name");
    if (!is_for_c(c)) continue;
    run(c);
    count++;
  }
  ps_value_free(cases);
  printf("%s: %zu cases\n", name, count);
  assert_int_equal(failures, 0);
}

static void test_requests(void **state) {
  (void)state;
  run_file("requests.json", run_request);
}

static void test_uploads(void **state) {
  (void)state;
  run_file("uploads.json", run_upload);
}

static void test_meters(void **state) {
  (void)state;
  run_file("meters.json", run_meter);
}

static void test_replies(void **state) {
  (void)state;
  run_file("replies.json", run_reply);
}

static void test_pages(void **state) {
  (void)state;
  run_file("pages.json", run_page);
}

static void test_webhooks(void **state) {
  (void)state;
  run_file("webhooks.json", run_webhook);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_requests), cmocka_unit_test(test_replies), cmocka_unit_test(test_pages),
    cmocka_unit_test(test_webhooks), cmocka_unit_test(test_uploads), cmocka_unit_test(test_meters),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
