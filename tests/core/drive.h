/* Exchanges and iterators driven by hand: what would be sent is written down, scripted replies are the answers, and time
 * is the test's own. Nothing here allocates, so that it serves where memory runs out, too.
 *
 *   stage s = {0};                        the replies to come, then what was sent and waited for
 *   ps_result *r = drive_call(&s, x);     steps the exchange to its end */
#ifndef PS_TEST_DRIVE_H
#define PS_TEST_DRIVE_H

#include <stdio.h>
#include <string.h>

#include "client.h"

#define DRIVE_KEY "sk_test_0123456789abcdefKEY"

/* Headers as "Name: value" lines. A failure stands in place of a reply; status 0 without one: the driver fills nothing. */
typedef struct {
  int status;
  const char *headers, *body;
  ps_error failure;
  ps_outcome outcome;
} reply;

typedef struct {
  char method[8], url[600], headers[2600], body[2600];
  size_t body_length;
  int64_t announced; /* -2: no body */
  double timeout, connect_timeout, deadline;
} sent;

enum { MOST_SENT = 8 };

typedef struct {
  const reply *replies; /* the last one is given again and again */
  size_t reply_count;
  const reply *(*choose)(const sent *request); /* NULL: `replies` in turn */
  int64_t send_ms;                             /* what each request takes */
  sent sent[MOST_SENT];
  size_t sends;
  int64_t waits[MOST_SENT];
  size_t wait_count;
  char log[6000]; /* a line an event */
} stage;

static int64_t drive_now = 1000;
static double drive_dice;

static inline int64_t drive_clock_now(void *context) {
  (void)context;
  return drive_now;
}

static inline int64_t drive_clock_unix(void *context) {
  (void)context;
  return 1700000000;
}

static inline double drive_clock_dice(void *context) {
  (void)context;
  return drive_dice;
}

static const ps_clock drive_clock = {drive_clock_now, drive_clock_unix, drive_clock_dice, NULL, NULL};

/* A client on the test's clock; `options` may be NULL. */
static inline ps_client *drive_client(const char *key, const ps_client_options *options) {
  ps_client *client = ps_client_new(key, options);
  if (!*ps_client_error(client)) ps_client_set_clock(client, &drive_clock);
  return client;
}

/* Reads the body in pieces that grow; false: it failed, or its length was not the one announced. */
static inline bool drive_read_body(sent *to, const ps_body *body) {
  ptrdiff_t n = 0;
  to->announced = body ? body->length : -2;
  for (size_t piece = 1; body && (n = body->read(body->context, to->body + to->body_length, piece)) > 0; piece += 3) {
    to->body_length += (size_t)n;
    if (to->body_length + piece + 4 > sizeof to->body) return false;
  }
  return !body || (n == 0 && body->length == (int64_t)to->body_length);
}

static inline void drive_write_down(sent *to, const ps_http_request *r) {
  size_t at = 0;
  *to = (sent){.timeout = r->timeout, .connect_timeout = r->connect_timeout, .deadline = r->deadline};
  snprintf(to->method, sizeof to->method, "%s", r->method);
  snprintf(to->url, sizeof to->url, "%s", r->url);
  for (size_t i = 0; i < r->header_count && at < sizeof to->headers; i++) {
    at +=
      (size_t)snprintf(to->headers + at, sizeof to->headers - at, "%s: %s\n", r->headers[i].name, r->headers[i].value);
  }
}

static inline void drive_answer(ps_http_response *response, const reply *r) {
  if (r->status) ps_http_response_status(response, r->status);
  for (const char *line = r->headers; line && *line; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL)) {
    char name[100], value[500];
    if (sscanf(line, "%99[^:]: %499[^\n]", name, value) == 2) ps_http_response_header(response, name, value);
  }
  if (r->body) ps_http_response_write(response, r->body, strlen(r->body));
  if (r->failure) ps_http_response_fail(response, r->failure, r->outcome, "as scripted");
}

static inline void drive_send(stage *s, ps_exchange *x) {
  static const reply nothing;
  sent *to = &s->sent[s->sends < MOST_SENT ? s->sends : MOST_SENT - 1];
  drive_write_down(to, ps_exchange_request(x));
  if (!drive_read_body(to, ps_exchange_request(x)->body)) snprintf(to->method, sizeof to->method, "BROKEN");
  size_t at = s->sends < s->reply_count ? s->sends : s->reply_count - 1;
  drive_now += s->send_ms;
  const reply *answer = s->choose ? s->choose(to) : s->reply_count ? &s->replies[at] : &nothing;
  drive_answer(ps_exchange_response(x), answer);
  s->sends++;
}

/* An event with everything that it holds, in a line of the log. */
static inline void drive_note(stage *s, const ps_call_event *e) {
  static const char *const kinds[] = {"request", "response", "retry", "notice"};
  size_t at = strlen(s->log);
  assert_true(e->operation && e->method && e->path && e->request_id && e->message);
  snprintf(s->log + at, sizeof s->log - at, "%s %s [%s] %s %s #%d %d %.3fs <%s> %s\n", kinds[e->kind],
           ps_log_level_name(e->level), e->operation, e->method, e->path, e->attempt, e->status, e->duration,
           e->request_id, e->message);
}

/* One step, its events, and if it says so a request or a wait. */
static inline ps_step drive_step(stage *s, ps_exchange *x) {
  const ps_call_event *e;
  ps_step step = ps_exchange_step(x);
  while ((e = ps_exchange_event(x))) drive_note(s, e);
  if (step == PS_SEND) drive_send(s, x);
  if (step != PS_WAIT) return step;
  s->waits[s->wait_count++ % MOST_SENT] = ps_exchange_wait(x);
  drive_now += ps_exchange_wait(x);
  return step;
}

static inline void drive_to_end(stage *s, ps_exchange *x) {
  while (drive_step(s, x) != PS_DONE) continue;
}

/* To the end; frees the exchange. */
static inline ps_result *drive_call(stage *s, ps_exchange *x) {
  drive_to_end(s, x);
  ps_result *r = ps_exchange_result(x);
  ps_exchange_free(x);
  return r;
}

/* The next item; NULL at the end or after an error, which ps_iter_result tells. */
static inline const ps_value *drive_next(stage *s, ps_iter *it) {
  for (;;) {
    const ps_value *item = ps_iter_item(it);
    ps_exchange *x = item ? NULL : ps_iter_exchange(it);
    if (!x) return item;
    drive_to_end(s, x);
    if (!ps_iter_feed(it)) return NULL;
  }
}

/* A header of a request that was sent, or NULL; until the next call of this. */
static inline const char *drive_header(const sent *r, const char *name) {
  static char value[600];
  size_t length = strlen(name);
  for (const char *line = r->headers; *line; line += strcspn(line, "\n") + 1) {
    if (strncmp(line, name, length) != 0 || line[length] != ':') continue;
    snprintf(value, sizeof value, "%.*s", (int)strcspn(line + length + 2, "\n"), line + length + 2);
    return value;
  }
  return NULL;
}

#endif
