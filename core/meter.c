/* Meter events in batches: a machine without I/O, driven like an iterator.
 *
 *   add ──▶ queue ──▶ its first 100 ──exchange, driver──▶ feed ──▶ gone from the queue
 *                        └── a batch that fails stays where it is: the next exchange sends it again,
 *                            unless it was refused and is set aside: then what comes after it is sent first
 *
 * Each event gets an identifier and a time when it is added, if it has none, so that one which is sent twice counts once, and
 * when it happened. The session token that the stream takes for a key is fetched when it is needed, and again, once, when
 * the server says that it has expired. After a failure nothing is due for a while, and for longer after each more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"

enum { BATCH = 100, MOST_PENDING = 10000, EARLY = 60 /* seconds before its end a token is not used any more */ };

typedef struct entry {
  ps_value *event; /* its own tree */
  int64_t added_ms;
} entry;

struct ps_meter {
  ps_client *client;
  ps_clock clock;
  size_t capacity, first, count; /* of the queue, a ring: `count` from `first` on */
  size_t aside;                  /* how many, at its head, the server has refused in the last flush */
  size_t sending;                /* how many of those after them the batch has that is under way, or failed */
  int64_t max_age_ms;
  ps_exchange *pending;
  bool asks_token, renewed; /* renewed: since the last batch that was taken */
  char *token;
  int64_t token_until; /* Unix seconds */
  int failures;        /* since a batch was taken, or skipped */
  int64_t retry_at_ms; /* until then nothing is due */
  ps_result *result;   /* of the last exchange */
  ps_result *refusal;  /* of the first batch that was set aside */
  entry queue[];
};

ps_meter *ps_meter_new(ps_client *client, double max_age, int64_t max_pending) {
  size_t capacity = (size_t)(max_pending > 0 && max_pending < INT32_MAX ? max_pending : MOST_PENDING);
  ps_meter *m =
    capacity < SIZE_MAX / sizeof(entry) - sizeof *m ? calloc(1, sizeof *m + capacity * sizeof(entry)) : NULL;
  ps_exchange_host host;
  if (!m) return NULL;
  ps_client_host(client, &host);
  *m = (ps_meter){.client = ps_client_hold(client), .capacity = capacity, .retry_at_ms = INT64_MIN};
  m->clock = host.clock.now_ms ? host.clock : ps_system_clock; /* a client that there was no memory for has none */
  m->max_age_ms = max_age >= 0 && max_age < 1e9 ? (int64_t)(max_age * 1000) : 1000;
  return m;
}

static entry *entry_at(ps_meter *m, size_t index) { return &m->queue[(m->first + index) % m->capacity]; }

/* Takes `count` out from the index `at` on; those before move up. */
static void drop(ps_meter *m, size_t at, size_t count) {
  for (size_t i = 0; i < count; i++) ps_value_free(entry_at(m, at + i)->event);
  while (at-- > 0) *entry_at(m, at + count) = *entry_at(m, at);
  m->first = (m->first + count) % m->capacity;
  m->count -= count;
  m->sending = 0;
  m->failures = 0;
  m->retry_at_ms = INT64_MIN;
}

void ps_meter_free(ps_meter *m) {
  if (!m) return;
  drop(m, 0, m->count);
  ps_exchange_free(m->pending);
  ps_result_free(m->result);
  ps_result_free(m->refusal);
  ps_client_free(m->client);
  free(m->token);
  free(m);
}

size_t ps_meter_pending(const ps_meter *m) { return m->count; }

/* ---- Adding ---- */

static const char *check_event(const ps_value *event) {
  if (event && *ps_value_error(event)) return "a meter event that could not be built (ps_value_error tells why)";
  bool named = *ps_str(ps_map_get(event, "event_name", 10), NULL) != '\0';
  if (named && ps_type(ps_map_get(event, "payload", 7), NULL) == PS_MAP) return NULL;
  return "a meter event is a map with event_name and payload, a map";
}

/* "" and null are no identifier: an event sent twice would count twice. */
static bool is_absent(const ps_value *event, const char *name) {
  const ps_value *v = ps_map_get(event, name, strlen(name));
  return !v || v->type == PS_NULL || (v->type == PS_STRING && v->length == 0);
}

const char *ps_meter_add(ps_meter *m, const ps_value *event) {
  char id[37];
  const char *wrong = check_event(event);
  if (wrong) return wrong;
  if (m->count == m->capacity) return "the queue is full: flush it first";
  if (!ps_uuid(id)) return "the system's random source failed: no identifier could be made";
  ps_value *copy = ps_value_new();
  ps_value_copy(copy, event);
  if (is_absent(copy, "identifier")) ps_value_set_str(ps_map_set(copy, "identifier"), id);
  if (is_absent(copy, "timestamp")) {
    ps_value_set_int(ps_map_set(copy, "timestamp"), m->clock.unix_time(m->clock.context));
  }
  if (*ps_value_error(copy)) {
    ps_value_free(copy);
    return "no memory";
  }
  *entry_at(m, m->count++) = (entry){copy, m->clock.now_ms(m->clock.context)};
  return NULL;
}

static int64_t until(const ps_meter *m, int64_t ms) {
  int64_t now = m->clock.now_ms(m->clock.context);
  return ms > now ? ms - now : 0;
}

int64_t ps_meter_pause(const ps_meter *m) { return until(m, m->retry_at_ms); }

int64_t ps_meter_wait(const ps_meter *m) {
  if (m->count == 0) return -1;
  int64_t due = m->count >= BATCH ? 0 : until(m, m->queue[m->first].added_ms + m->max_age_ms),
          pause = ps_meter_pause(m);
  return due > pause ? due : pause;
}

/* ---- Sending ---- */

static ps_exchange *new_batch(ps_meter *m) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  ps_value *params = ps_value_new(), *events = ps_map_set(params, "events");
  m->sending = m->count - m->aside < BATCH ? m->count - m->aside : BATCH;
  for (size_t i = 0; i < m->sending; i++) ps_value_copy(ps_list_add(events), entry_at(m, m->aside + i)->event);
  options.api_key = m->token;
  ps_exchange *x = ps_exchange_new(m->client, PS_V2_BILLING_METER_EVENT_STREAM_CREATE, NULL, params, &options);
  ps_value_free(params);
  return x;
}

static bool has_token(const ps_meter *m) { return m->token && m->clock.unix_time(m->clock.context) < m->token_until; }

/* What was set aside is a batch that failed, and the first of the queue again. */
static void take_back(ps_meter *m) {
  m->sending += m->aside;
  m->aside = 0;
  if (!m->refusal) return;
  ps_result_free(m->result);
  m->result = m->refusal;
  m->refusal = NULL;
}

ps_exchange *ps_meter_exchange(ps_meter *m) {
  if (m->pending || m->count == 0) return m->pending;
  m->sending = 0;
  if (m->aside == m->count) {
    take_back(m);
    return NULL;
  }
  m->asks_token = !has_token(m);
  if (!m->asks_token) return m->pending = new_batch(m);
  return m->pending = ps_exchange_new(m->client, PS_V2_BILLING_METER_EVENT_SESSION_CREATE, NULL, NULL, NULL);
}

/* Unix seconds of "2026-11-23T10:15:00.000Z"; `otherwise` for anything else. */
static int64_t read_time(const char *s, int64_t otherwise) {
  struct tm t = {0};
  int n = sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec);
  if (n != 6) return otherwise;
  t.tm_year -= 1900;
  t.tm_mon--;
  return (int64_t)timegm(&t);
}

static void drop_token(ps_meter *m) {
  free(m->token);
  m->token = NULL;
}

static void take_token(ps_meter *m, const ps_result *r) {
  drop_token(m);
  m->token = strdup(ps_str(ps_data(r), "authentication_token"));
  m->token_until = read_time(ps_str(ps_data(r), "expires_at"), 0) - EARLY;
  /* A token that is no good for as long as that is used once: the server will say. */
  int64_t now = m->clock.unix_time(m->clock.context);
  if (m->token_until <= now) m->token_until = now + 1;
}

/* After a failure, which m->result tells: false. */
static bool pause_sending(ps_meter *m) {
  const ps_clock *clock = &m->clock;
  const ps_attempt failed = {.number = ++m->failures,
                             .retry_after = ps_result_header(m->result, "Retry-After"),
                             .unix_time = clock->unix_time(clock->context),
                             .dice = clock->dice(clock->context)};
  m->retry_at_ms = clock->now_ms(clock->context) + ps_retry_pause(&failed);
  return false;
}

static bool refuse_token(ps_meter *m) {
  ps_fault fault = {.kind = PS_ERROR_NONE};
  if (!m->token) ps_fault_memory(&fault);
  else ps_fault_set(&fault, PS_ERROR_PROTOCOL, "the answer is not a session: it has no authentication_token");
  drop_token(m);
  ps_result_free(m->result);
  m->result = ps_result_from_fault(&fault);
  return pause_sending(m);
}

bool ps_meter_feed(ps_meter *m) {
  if (!m->pending) return false;
  ps_result_free(m->result);
  ps_result *r = m->result = ps_exchange_result(m->pending);
  ps_exchange_free(m->pending);
  m->pending = NULL;
  bool good = ps_result_ok(r), expired = ps_error_kind(r) == PS_ERROR_TEMPORARY_SESSION_EXPIRED;
  bool again = expired && !m->renewed;
  m->renewed = again || (m->renewed && good && m->asks_token);
  if (expired || ps_error_kind(r) == PS_ERROR_AUTHENTICATION) drop_token(m);
  if (!good) return again || pause_sending(m);
  if (m->asks_token) take_token(m, r);
  else drop(m, m->aside, m->sending);
  return !m->asks_token || (m->token && *m->token) || refuse_token(m);
}

const ps_result *ps_meter_result(const ps_meter *m) {
  static const ps_result nothing;
  return m->result ? m->result : &nothing;
}

ps_value *ps_meter_skip(ps_meter *m) {
  ps_value *events = ps_value_new();
  if (!m->pending) take_back(m);
  size_t failed = m->pending ? 0 : m->sending; /* what is under way again has not failed */
  ps_value_set_list(events);
  for (size_t i = 0; i < failed; i++) ps_value_copy(ps_list_add(events), entry_at(m, i)->event);
  if (!*ps_value_error(events) && failed > 0) drop(m, 0, failed);
  return events;
}

bool ps_meter_set_aside(ps_meter *m) {
  const ps_result *r = ps_meter_result(m);
  bool refused = ps_error_outcome(r) == PS_OUTCOME_REJECTED && !ps_status_may_pass(ps_result_status(r));
  if (m->pending || m->sending == 0 || !refused) return false;
  m->aside += m->sending;
  m->sending = 0;
  if (m->refusal) ps_result_free(m->result);
  else m->refusal = m->result;
  m->result = NULL;
  return true;
}

static bool send_all(ps_meter *m, bool last) {
  for (ps_exchange *x; (x = ps_meter_exchange(m));) {
    while (ps_exchange_run(x, -1) != PS_DONE) continue;
    if (!ps_meter_feed(m) && !(last && ps_meter_set_aside(m))) return false;
  }
  return m->count == 0;
}

bool ps_meter_flush(ps_meter *m) { return send_all(m, false); }

bool ps_meter_finish(ps_meter *m) { return send_all(m, true); }
