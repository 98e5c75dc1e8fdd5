/* The machine of one call and the pager, step by step: keys, deadline, rate limit, cancelling, events, bodies, outcomes,
 * and what a page keeps of the call that it came from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "drive.h"

static const reply good = {200, NULL, "{\"id\":\"x_1\"}", 0, 0},
                   busy = {503, NULL, "{\"error\":{\"message\":\"busy\"}}", 0, 0};
static const reply lost = {0, NULL, NULL, PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN};

static ps_client *client;
static stage s;

static int begin(void **state) {
  (void)state;
  client = drive_client(DRIVE_KEY, NULL);
  drive_now = 1000;
  drive_dice = 0;
  return 0;
}

static int end(void **state) {
  (void)state;
  ps_client_free(client);
  return 0;
}

static ps_exchange *call_with(const char *operation, const char *id, const ps_value *params,
                              const ps_call_options *options) {
  const char *ids[] = {id, NULL};
  return ps_exchange_new(client, operation, ids, params, options);
}

/* One call with the given replies, to its end. */
static ps_result *answered(const reply *replies, size_t count, const char *operation, const ps_value *params,
                           const ps_call_options *options) {
  s = (stage){.replies = replies, .reply_count = count};
  return drive_call(&s, call_with(operation, NULL, params, options));
}

static void check_error(ps_result *r, ps_error kind, ps_outcome outcome, int attempts) {
  assert_false(ps_result_ok(r));
  if (ps_error_kind(r) != kind) assert_string_equal(ps_error_message(r), ps_error_kind_name(kind));
  assert_int_equal(ps_error_outcome(r), outcome);
  assert_int_equal(ps_result_attempts(r), attempts);
  ps_result_free(r);
}

static void check_done(ps_exchange *x, ps_error kind, ps_outcome outcome, int attempts) {
  assert_int_equal(ps_exchange_step(x), PS_DONE);
  assert_int_equal(ps_exchange_step(x), PS_DONE);
  check_error(ps_exchange_result(x), kind, outcome, attempts);
  ps_exchange_free(x);
}

/* ---- Keys ---- */

static int compare_uuids(const void *a, const void *b) { return memcmp(a, b, 37); }

static void keys_are_uuids_of_version_4_and_never_the_same(void **state) {
  (void)state;
  enum { COUNT = 2000 };
  static char uuids[COUNT][37];
  for (int i = 0; i < COUNT; i++) {
    assert_true(ps_uuid(uuids[i]));
    assert_int_equal(strspn(uuids[i], "0123456789abcdef-"), 36);
    for (int j = 0; j < 36; j++) assert_int_equal(uuids[i][j] == '-', j == 8 || j == 13 || j == 18 || j == 23);
    assert_int_equal(uuids[i][14], '4');
    assert_non_null(strchr("89ab", uuids[i][19]));
  }
  qsort(uuids, COUNT, 37, compare_uuids);
  for (int i = 1; i < COUNT; i++) assert_string_not_equal(uuids[i - 1], uuids[i]);
}

static void writes_carry_one_key_on_every_attempt_and_reads_none(void **state) {
  (void)state;
  static const char *const writes[] = {PS_CUSTOMERS_CREATE, PS_CUSTOMERS_DELETE, PS_V2_CORE_ACCOUNTS_CREATE};
  const reply replies[] = {busy, lost, good};
  char before[64] = "";
  for (size_t i = 0; i < 3; i++) {
    s = (stage){.replies = replies, .reply_count = 3};
    ps_result *r = drive_call(&s, call_with(writes[i], i == 1 ? "cus_1" : NULL, NULL, NULL));
    assert_true(ps_result_ok(r));
    assert_int_equal(s.sends, 3);
    for (size_t n = 0; n < 3; n++)
      assert_string_equal(drive_header(&s.sent[n], "Idempotency-Key"), ps_result_idempotency_key(r));
    assert_int_equal(strlen(ps_result_idempotency_key(r)), 36);
    assert_string_not_equal(before, ps_result_idempotency_key(r));
    snprintf(before, sizeof before, "%s", ps_result_idempotency_key(r));
    ps_result_free(r);
  }
  ps_result *r = answered(replies, 3, PS_BALANCE_RETRIEVE, NULL, NULL);
  assert_null(drive_header(&s.sent[2], "Idempotency-Key"));
  assert_string_equal(ps_result_idempotency_key(r), "");
  ps_result_free(r);
}

/* ---- Time ---- */

static void the_deadline_counts_requests_and_waits(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.deadline = 3;
  options.max_retries = 9;
  s = (stage){.replies = &busy, .reply_count = 1, .send_ms = 200};
  ps_result *r = drive_call(&s, call_with(PS_BALANCE_RETRIEVE, NULL, NULL, &options));
  /* sent at 0, 0.7 and 1.9 s; the next wait, 2 s, would lead past the deadline */
  assert_int_equal(s.wait_count, 2);
  assert_int_equal(s.waits[0], 500);
  assert_int_equal(s.waits[1], 1000);
  assert_true(s.sent[0].deadline == 3 && s.sent[1].deadline == 2.3 && fabs(s.sent[2].deadline - 1.1) < 1e-9);
  check_error(r, PS_ERROR_API, PS_OUTCOME_UNKNOWN, 3);
}

static void a_wait_that_took_too_long_ends_the_call(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.deadline = 3;
  s = (stage){.replies = &lost, .reply_count = 1};
  ps_exchange *x = call_with(PS_CUSTOMERS_CREATE, NULL, NULL, &options);
  assert_int_equal(drive_step(&s, x), PS_SEND);
  assert_int_equal(drive_step(&s, x), PS_WAIT);
  drive_now += 5000;
  check_done(x, PS_ERROR_TIMEOUT, PS_OUTCOME_UNKNOWN, 1);
}

static double first_deadline(const char *operation, const ps_value *params, double deadline) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.deadline = deadline;
  ps_result_free(answered(&good, 1, operation, params, &options));
  assert_int_equal(s.sends, 1);
  return s.sent[0].deadline;
}

static void clocks_have_their_defaults(void **state) {
  (void)state;
  ps_value *upload = ps_params("purpose", "dispute_evidence", "file[content]", "x", NULL);
  assert_true(first_deadline(PS_BALANCE_RETRIEVE, NULL, -1) == 100);
  assert_true(s.sent[0].timeout == 80 && s.sent[0].connect_timeout == 10);
  assert_true(first_deadline(PS_FILES_CREATE, upload, -1) == -1); /* takes as long as bytes move */
  assert_true(first_deadline(PS_FILES_CREATE, upload, 7) == 7);
  assert_true(first_deadline(PS_BALANCE_RETRIEVE, NULL, 0.25) == 0.25);
  assert_true(first_deadline(PS_BALANCE_RETRIEVE, NULL, 1e300) == -1);
  assert_true(first_deadline(PS_BALANCE_RETRIEVE, NULL, (double)INFINITY) == -1);
  assert_true(first_deadline(PS_BALANCE_RETRIEVE, NULL, (double)NAN) == 100);
  ps_value_free(upload);
}

static void a_deadline_of_zero_sends_nothing(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.deadline = 0;
  check_done(call_with(PS_BALANCE_RETRIEVE, NULL, NULL, &options), PS_ERROR_TIMEOUT, PS_OUTCOME_NOT_SENT, 0);
}

static void a_pause_moves_the_deadline(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.deadline = 3;
  s = (stage){.replies = &busy, .reply_count = 1};
  ps_exchange *x = call_with(PS_BALANCE_RETRIEVE, NULL, NULL, &options);
  assert_int_equal(drive_step(&s, x), PS_SEND);
  drive_now += 60000;
  ps_exchange_pause(x, 60000);
  assert_int_equal(drive_step(&s, x), PS_WAIT);
  assert_int_equal(drive_step(&s, x), PS_SEND);
  assert_true(s.sent[1].deadline == 2.5);
  ps_exchange_free(x);
}

/* ---- The rate limit ---- */

static int64_t first_wait(const char *key, double deadline) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.api_key = key;
  options.deadline = deadline;
  ps_exchange *x = call_with(PS_BALANCE_RETRIEVE, NULL, NULL, &options);
  ps_step step = ps_exchange_step(x);
  int64_t wait = step == PS_WAIT ? ps_exchange_wait(x) : step == PS_SEND ? 0 : -1;
  if (wait > 0) assert_int_equal(ps_exchange_step(x), PS_SEND); /* it waits once */
  if (wait < 0) check_error(ps_exchange_result(x), PS_ERROR_TIMEOUT, PS_OUTCOME_NOT_SENT, 0);
  ps_exchange_free(x);
  return wait;
}

static void limit_rate(double rate) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.rate_limit = rate;
  ps_client_free(client);
  client = drive_client(DRIVE_KEY, &options);
}

static void the_rate_limit_holds_requests_back_for_each_key(void **state) {
  (void)state;
  limit_rate(2);
  assert_int_equal(first_wait(NULL, -1), 0);
  assert_int_equal(first_wait(NULL, -1), 500);
  assert_int_equal(first_wait(DRIVE_KEY, -1), 1000); /* the same key, given by hand */
  assert_int_equal(first_wait("sk_test_another", -1), 0);
  assert_int_equal(first_wait("sk_test_another", -1), 500);
  assert_int_equal(first_wait(NULL, 1.5), -1); /* 1.5 s are too long, and take nobody's place */
  assert_int_equal(first_wait(NULL, 1.6), 1500);
  drive_now += 10000;
  assert_int_equal(first_wait(NULL, -1), 0);
}

static void a_retry_waits_for_the_rate_limit_but_holds_nobody_back(void **state) {
  (void)state;
  const reply later = {429, "Retry-After: 50", "{}", 0, 0};
  limit_rate(2);
  s = (stage){.replies = &later, .reply_count = 1};
  ps_exchange *x = call_with(PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  assert_int_equal(drive_step(&s, x), PS_SEND);
  assert_int_equal(ps_exchange_step(x), PS_WAIT);
  assert_int_equal(ps_exchange_wait(x), 50000);
  assert_int_equal(first_wait(NULL, -1), 500); /* meanwhile */
  drive_now += 50000;
  assert_int_equal(first_wait(NULL, -1), 0);
  assert_int_equal(ps_exchange_step(x), PS_WAIT);
  assert_int_equal(ps_exchange_wait(x), 500);
  assert_int_equal(ps_exchange_step(x), PS_SEND);
  ps_exchange_free(x);
}

static void a_retry_that_the_rate_limit_keeps_past_the_deadline_ends_the_call(void **state) {
  (void)state;
  const reply later = {429, "Request-Id: req_later\nStripe-Notice: slow", "{}", 0, 0};
  limit_rate(0.01);
  s = (stage){.replies = &later, .reply_count = 1};
  ps_exchange *x = call_with(PS_CUSTOMERS_CREATE, NULL, NULL, NULL);
  assert_int_equal(drive_step(&s, x), PS_SEND);
  assert_int_equal(drive_step(&s, x), PS_WAIT);
  assert_int_equal(drive_step(&s, x), PS_DONE);
  ps_result *r = ps_exchange_result(x);
  assert_non_null(strstr(ps_error_message(r), "rate_limit"));
  check_error(r, PS_ERROR_TIMEOUT, PS_OUTCOME_REJECTED, 1);
  ps_exchange_free(x);
}

/* ---- Cancelling ---- */

static void a_call_cancelled_before_it_began_sends_nothing(void **state) {
  (void)state;
  ps_exchange *x = call_with(PS_CUSTOMERS_CREATE, NULL, NULL, NULL);
  ps_exchange_cancel(x);
  check_done(x, PS_ERROR_CANCELLED, PS_OUTCOME_NOT_SENT, 0);
}

static void a_call_cancelled_in_a_wait_is_not_sent_again(void **state) {
  (void)state;
  static const struct {
    reply first;
    ps_outcome outcome;
  } rows[] = {{{0, NULL, NULL, PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN}, PS_OUTCOME_UNKNOWN},
              {{0, NULL, NULL, PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT}, PS_OUTCOME_NOT_SENT},
              {{503, NULL, "{}", 0, 0}, PS_OUTCOME_UNKNOWN},
              {{429, NULL, "{}", 0, 0}, PS_OUTCOME_REJECTED}};
  for (size_t i = 0; i < 4; i++) {
    s = (stage){.replies = &rows[i].first, .reply_count = 1};
    ps_exchange *x = call_with(PS_CUSTOMERS_CREATE, NULL, NULL, NULL);
    assert_int_equal(drive_step(&s, x), PS_SEND);
    assert_int_equal(drive_step(&s, x), PS_WAIT);
    ps_exchange_cancel(x);
    check_done(x, PS_ERROR_CANCELLED, rows[i].outcome, 1);
  }
}

static void a_call_cancelled_on_its_way_takes_what_came_of_it(void **state) {
  (void)state;
  const reply cancelled = {0, NULL, NULL, PS_ERROR_CANCELLED, PS_OUTCOME_UNKNOWN};
  const struct {
    reply answer;
    ps_error kind;
    ps_outcome outcome;
  } rows[] = {{good, PS_ERROR_NONE, PS_OUTCOME_OK},
              {cancelled, PS_ERROR_CANCELLED, PS_OUTCOME_UNKNOWN},
              {busy, PS_ERROR_API, PS_OUTCOME_UNKNOWN},
              {lost, PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN}};
  for (size_t i = 0; i < 4; i++) {
    s = (stage){.replies = &rows[i].answer, .reply_count = 1};
    ps_exchange *x = call_with(PS_CUSTOMERS_CREATE, NULL, NULL, NULL);
    assert_int_equal(drive_step(&s, x), PS_SEND);
    ps_exchange_cancel(x);
    ps_result *r = drive_call(&s, x);
    assert_int_equal(s.sends, 1);
    assert_int_equal(ps_error_kind(r), rows[i].kind);
    assert_int_equal(ps_error_outcome(r), rows[i].outcome);
    ps_result_free(r);
  }
}

static void count_wake(void *context) { atomic_fetch_add((atomic_int *)context, 1); }

static void *cancel_it(void *x) {
  for (int i = 0; i < 100; i++) ps_exchange_cancel(x);
  return NULL;
}

static void any_thread_may_cancel(void **state) {
  (void)state;
  for (int i = 0; i < 50; i++) {
    atomic_int wakes = 0;
    pthread_t threads[2];
    ps_exchange *x = call_with(PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
    ps_exchange_set_waker(x, count_wake, &wakes);
    for (int t = 0; t < 2; t++) assert_int_equal(pthread_create(&threads[t], NULL, cancel_it, x), 0);
    s = (stage){.replies = &busy, .reply_count = 1};
    for (int n = 0; n < i % 5 && drive_step(&s, x) != PS_DONE; n++) continue;
    ps_exchange_set_waker(x, NULL, NULL); /* nobody is woken from here on */
    int seen = wakes;
    for (int t = 0; t < 2; t++) pthread_join(threads[t], NULL);
    assert_int_equal(wakes, seen);
    assert_true(ps_exchange_cancelled(x));
    drive_to_end(&s, x);
    ps_exchange_free(x);
  }
}

/* ---- Events ---- */

static void events_tell_what_happens_in_order(void **state) {
  (void)state;
  const reply replies[] = {lost,
                           {503, "Request-Id: req_1\nRetry-After: 2", "{}", 0, 0},
                           {200, "Request-Id: req_2\nStripe-Notice: Mind the gap", "{}", 0, 0}};
  ps_value *params = ps_params("email", "jenny@example.com", NULL);
  s = (stage){.replies = replies, .reply_count = 3, .send_ms = 250};
  ps_result_free(drive_call(&s, call_with(PS_CUSTOMERS_UPDATE, "cus_1", params, NULL)));
  ps_value_free(params);
  assert_string_equal(s.log, "request debug [customers.update] POST /v1/customers/cus_1 #1 0 0.000s <> \n"
                             "response warn [customers.update] POST /v1/customers/cus_1 #1 0 0.250s <> connection\n"
                             "retry info [customers.update] POST /v1/customers/cus_1 #1 0 0.500s <> \n"
                             "request debug [customers.update] POST /v1/customers/cus_1 #2 0 0.000s <> \n"
                             "response warn [customers.update] POST /v1/customers/cus_1 #2 503 0.250s <req_1> \n"
                             "retry info [customers.update] POST /v1/customers/cus_1 #2 0 2.000s <> \n"
                             "request debug [customers.update] POST /v1/customers/cus_1 #3 0 0.000s <> \n"
                             "response info [customers.update] POST /v1/customers/cus_1 #3 200 0.250s <req_2> \n"
                             "notice warn [customers.update] POST /v1/customers/cus_1 #3 0 0.000s <> Mind the gap\n");
}

static void a_call_that_sends_nothing_has_no_events(void **state) {
  (void)state;
  check_error(answered(&good, 1, PS_CUSTOMERS_RETRIEVE, NULL, NULL), PS_ERROR_USAGE, PS_OUTCOME_NOT_SENT, 0);
  assert_string_equal(s.log, "");
}

static void events_outlive_the_result_but_not_the_next_step(void **state) {
  (void)state;
  const reply last = {500, "Request-Id: req_1\nStripe-Should-Retry: false", "{}", 0, 0};
  s = (stage){.replies = &last, .reply_count = 1};
  ps_exchange *x = call_with(PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  assert_int_equal(ps_exchange_step(x), PS_SEND); /* its event is not read */
  drive_send(&s, x);
  assert_int_equal(ps_exchange_step(x), PS_DONE);
  ps_result_free(ps_exchange_result(x));
  const ps_call_event *e = ps_exchange_event(x);
  assert_int_equal(e->kind, PS_EVENT_RESPONSE);
  assert_string_equal(e->request_id, "req_1");
  assert_null(ps_exchange_event(x));
  ps_exchange_free(x);
}

static void no_text_holds_a_key_the_params_or_a_body(void **state) {
  (void)state;
  static const char *const secrets[] = {"abcdefKEY", "0123456789a", "CALLKEY", "jenny",
                                        "4242",      "order_6735",  "tok_body"};
  const reply rows[][2] = {
    {lost,
     {402, "Stripe-Notice: rotate " DRIVE_KEY "\nRequest-Id: req_" DRIVE_KEY, "{\"id\":\"tok_body\",\"error\":{}}", 0,
      0}},
    {busy, {200, NULL, "{\"id\":\"tok_body\"}", 0, 0}},
    {busy,
     {400, NULL, "{\"error\":{\"message\":\"No such key: " DRIVE_KEY " nor\\nsk_live_CALLKEY00000000 !\"}}", 0, 0}},
    {busy, {200, "Content-Type: x/" DRIVE_KEY, "<html>" DRIVE_KEY, 0, 0}},
    {{0, NULL, NULL, PS_ERROR_TIMEOUT, PS_OUTCOME_UNKNOWN},
     {200, NULL, "{\"id\":\"tok_body\"", PS_ERROR_CONNECTION, 0}},
  };
  ps_value *params = ps_params("email", "jenny@example.com", "metadata[card]", "4242424242424242", NULL);
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.idempotency_key = "order_6735";
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    options.api_key = i % 2 ? "sk_live_CALLKEY00000000" : NULL;
    ps_result *r = answered(rows[i], 2, PS_CUSTOMERS_CREATE, params, &options);
    size_t at = strlen(s.log);
    snprintf(s.log + at, sizeof s.log - at, "%s", ps_error_message(r));
    for (size_t n = 0; n < sizeof secrets / sizeof *secrets; n++) {
      if (strstr(s.log, secrets[n])) fail_msg("%s in: %s", secrets[n], s.log);
    }
    ps_result_free(r);
  }
  ps_value *query = ps_params("query", "email:'jenny@example.com'", NULL);
  ps_result_free(answered(&busy, 1, PS_CUSTOMERS_SEARCH, query, NULL));
  assert_non_null(strstr(s.sent[0].url, "jenny"));
  assert_null(strstr(s.log, "jenny"));
  ps_value_free(query);
  ps_value_free(params);
}

static void a_raw_request_has_no_operation(void **state) {
  (void)state;
  s = (stage){.replies = &good, .reply_count = 1};
  ps_result_free(drive_call(&s, ps_exchange_new_request(client, "GET", "/v1/brand_new?a=b", NULL, NULL)));
  assert_int_equal(strncmp(s.log, "request debug [] GET /v1/brand_new #1 ", 38), 0);
}

/* ---- Bodies ---- */

static void a_retry_sends_the_same_bytes(void **state) {
  (void)state;
  const reply replies[] = {busy, lost, good};
  ps_value *upload = ps_params("purpose", "dispute_evidence", "file[filename]", "a.txt", NULL);
  ps_value *params = ps_params("name", "x", NULL), *v2 = ps_params("display_name", "x", NULL);
  ps_value_set_strn(ps_map_set(ps_map_set(upload, "file"), "content"), "a\0b\r\n--c", 8);
  const struct {
    const char *operation;
    const ps_value *params;
  } rows[] = {{PS_FILES_CREATE, upload},
              {PS_CUSTOMERS_CREATE, params},
              {PS_V2_CORE_ACCOUNTS_CREATE, v2},
              {PS_V2_CORE_ACCOUNTS_CREATE, NULL}};
  for (size_t i = 0; i < 4; i++) {
    ps_result *r = answered(replies, 3, rows[i].operation, rows[i].params, NULL);
    assert_true(ps_result_ok(r));
    assert_int_equal(s.sends, 3);
    assert_true(s.sent[0].body_length > 0);
    for (size_t n = 1; n < 3; n++) {
      assert_int_equal(s.sent[n].body_length, s.sent[0].body_length);
      assert_memory_equal(s.sent[n].body, s.sent[0].body, s.sent[0].body_length);
      assert_string_equal(s.sent[n].headers, s.sent[0].headers);
      assert_string_equal(s.sent[n].method, "POST");
    }
    ps_result_free(r);
  }
  assert_string_equal(s.sent[0].body, "{}");
  ps_value_free(upload);
  ps_value_free(params);
  ps_value_free(v2);
}

static void an_empty_response_is_a_lost_connection(void **state) {
  (void)state;
  const reply nothing = {0, NULL, NULL, 0, 0};
  ps_result *r = answered(&nothing, 1, PS_CUSTOMERS_CREATE, NULL, NULL);
  assert_string_equal(ps_error_message(r), "the connection was lost without an answer");
  assert_int_equal(strlen(ps_result_idempotency_key(r)), 36);
  check_error(r, PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, 3);
}

static void a_response_that_fails_on_its_way_leaves_only_its_headers(void **state) {
  (void)state;
  const reply half = {200, "Request-Id: req_half", "{\"id\":\"x_1\",", PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT};
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.max_retries = 0;
  ps_result *r = answered(&half, 1, PS_CUSTOMERS_CREATE, NULL, &options);
  size_t length = 1;
  assert_string_equal(ps_result_body(r, &length), "");
  assert_int_equal(length, 0);
  assert_int_equal(ps_result_status(r), 0);
  assert_int_equal(ps_data(r)->type, PS_NULL);
  assert_string_equal(ps_result_request_id(r), "req_half");
  check_error(r, PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT, 1); /* the driver's word counts */
  const reply replies[] = {half, good};
  r = answered(replies, 2, PS_CUSTOMERS_CREATE, NULL, NULL);
  assert_true(ps_result_ok(r));
  assert_string_equal(ps_result_request_id(r), "");
  ps_result_free(r);
}

static void the_first_failure_of_a_response_counts(void **state) {
  (void)state;
  ps_exchange *x = call_with(PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  assert_int_equal(ps_exchange_step(x), PS_SEND);
  ps_http_response *response = ps_exchange_response(x);
  ps_http_response_fail(response, PS_ERROR_TLS, PS_OUTCOME_NOT_SENT, "first");
  ps_http_response_fail(response, PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, "second");
  assert_false(ps_http_response_write(response, "x", 1));
  ps_http_response_status(response, 200);
  check_done(x, PS_ERROR_TLS, PS_OUTCOME_NOT_SENT, 1);
}

static void what_its_transport_calls_final_is_not_sent_again(void **state) {
  (void)state;
  ps_exchange *cut = call_with(PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  assert_int_equal(ps_exchange_step(cut), PS_SEND);
  ps_http_response_final(ps_exchange_response(cut));
  ps_http_response_fail(ps_exchange_response(cut), PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, "lost");
  check_done(cut, PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, 1);

  ps_exchange *refused = call_with(PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  assert_int_equal(ps_exchange_step(refused), PS_SEND);
  ps_http_response_final(ps_exchange_response(refused));
  ps_http_response_status(ps_exchange_response(refused), 500);
  ps_http_response_write(ps_exchange_response(refused), "{}", 2);
  check_done(refused, PS_ERROR_API, PS_OUTCOME_UNKNOWN, 1);
}

static void a_response_may_be_as_large_as_max_body_and_no_larger(void **state) {
  (void)state;
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.max_body = 10;
  ps_client_free(client);
  client = drive_client(DRIVE_KEY, &options);
  const reply fits = {200, NULL, "\"12345678\"", 0, 0}, over = {200, NULL, "\"123456789\"", 0, 0};
  ps_result *r = answered(&fits, 1, PS_BALANCE_RETRIEVE, NULL, NULL);
  assert_true(ps_result_ok(r));
  ps_result_free(r);
  r = answered(&over, 1, PS_CUSTOMERS_CREATE, NULL, NULL);
  assert_string_equal(ps_error_message(r), "the response is larger than max_body, 10 bytes");
  check_error(r, PS_ERROR_TOO_LARGE, PS_OUTCOME_UNKNOWN, 1);
  ps_exchange *x = call_with(PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  assert_int_equal(ps_exchange_step(x), PS_SEND);
  for (int i = 0; i < 10; i++) assert_true(ps_http_response_write(ps_exchange_response(x), "1", 1));
  assert_true(ps_http_response_write(ps_exchange_response(x), "", 0));
  assert_false(ps_http_response_write(ps_exchange_response(x), "1", 1));
  check_done(x, PS_ERROR_TOO_LARGE, PS_OUTCOME_UNKNOWN, 1);
}

static void a_cap_of_zero_allows_an_empty_body(void **state) {
  (void)state;
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.max_body = 0;
  ps_client_free(client);
  client = drive_client(DRIVE_KEY, &options);
  const reply empty = {204, NULL, NULL, 0, 0};
  ps_result *r = answered(&empty, 1, PS_V2_BILLING_METER_EVENT_STREAM_CREATE, NULL, NULL);
  assert_true(ps_result_ok(r));
  assert_int_equal(ps_data(r)->type, PS_NULL);
  ps_result_free(r);
  check_error(answered(&good, 1, PS_BALANCE_RETRIEVE, NULL, NULL), PS_ERROR_TOO_LARGE, PS_OUTCOME_UNKNOWN, 1);
}

static void what_is_no_json_is_shown_in_200_bytes_of_utf8(void **state) {
  (void)state;
  char html[600] = "<html>caf\xe9 ";
  memset(html + 11, 'x', 500);
  const reply row = {200, "Content-Type: text/html", html, 0, 0};
  ps_result *r = answered(&row, 1, PS_CUSTOMERS_CREATE, NULL, NULL);
  const char *shown = strstr(ps_error_message(r), "<html>caf? xxx");
  assert_non_null(strstr(ps_error_message(r), "Content-Type text/html"));
  assert_non_null(shown);
  assert_int_equal(strlen(shown), 200);
  assert_string_equal(ps_result_body(r, NULL), html);
  check_error(r, PS_ERROR_PROTOCOL, PS_OUTCOME_UNKNOWN, 1);
}

/* ---- Outcomes ---- */

static void the_outcome_is_the_worst_that_is_not_settled(void **state) {
  (void)state;
  const reply unsent = {0, NULL, NULL, PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT},
              refused = {400, NULL, "{\"error\":{}}", 0, 0};
  const reply conflict = {409, NULL, "{\"error\":{}}", 0, 0}, garbled = {502, NULL, "<html>", 0, 0};
  const reply slow = {429, NULL, "{\"error\":{}}", 0, 0};
  const struct {
    reply replies[3];
    ps_outcome outcome;
  } rows[] = {
    {{unsent, unsent, unsent}, PS_OUTCOME_NOT_SENT},  {{lost, unsent, unsent}, PS_OUTCOME_UNKNOWN},
    {{unsent, lost, unsent}, PS_OUTCOME_UNKNOWN},     {{slow, unsent, unsent}, PS_OUTCOME_REJECTED},
    {{slow, slow, slow}, PS_OUTCOME_REJECTED},        {{slow, busy, slow}, PS_OUTCOME_UNKNOWN},
    {{busy, unsent, unsent}, PS_OUTCOME_UNKNOWN},     {{busy, busy, refused}, PS_OUTCOME_REJECTED},
    {{busy, busy, busy}, PS_OUTCOME_UNKNOWN},         {{lost, busy, busy}, PS_OUTCOME_UNKNOWN},
    {{lost, conflict, conflict}, PS_OUTCOME_UNKNOWN}, {{lost, unsent, refused}, PS_OUTCOME_REJECTED},
    {{busy, busy, lost}, PS_OUTCOME_UNKNOWN},         {{unsent, unsent, refused}, PS_OUTCOME_REJECTED},
    {{garbled, unsent, busy}, PS_OUTCOME_UNKNOWN},    {{lost, lost, good}, PS_OUTCOME_OK},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ps_result *r = answered(rows[i].replies, 3, PS_CUSTOMERS_CREATE, NULL, NULL);
    assert_int_equal(s.sends, 3);
    if (ps_error_outcome(r) != rows[i].outcome) fail_msg("row %zu: %s", i, ps_outcome_name(ps_error_outcome(r)));
    ps_result_free(r);
  }
}

static void an_unreadable_success_is_never_sent_again(void **state) {
  (void)state;
  const reply row = {200, "Stripe-Should-Retry: true", "{", 0, 0};
  check_error(answered(&row, 1, PS_CUSTOMERS_CREATE, NULL, NULL), PS_ERROR_PROTOCOL, PS_OUTCOME_UNKNOWN, 1);
}

static void oauth_is_repeated_only_if_it_was_not_sent(void **state) {
  (void)state;
  const reply unsent = {0, NULL, NULL, PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT};
  check_error(answered(&unsent, 1, PS_OAUTH_TOKEN, NULL, NULL), PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT, 3);
  check_error(answered(&lost, 1, PS_OAUTH_TOKEN, NULL, NULL), PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, 1);
  check_error(answered(&busy, 1, PS_OAUTH_TOKEN, NULL, NULL), PS_ERROR_API, PS_OUTCOME_UNKNOWN, 1);
}

/* ---- Headers that a caller may not set ---- */

static void headers_that_are_none_are_refused(void **state) {
  (void)state;
  static const char *const rows[][2] = {
    {"{\"A\":\"b\\r\\nX-Evil: 1\"}", "the header A holds a character that headers cannot"},
    {"{\"A\":\"b\\u0000c\"}", "the header A must be a string without a NUL"},
    {"{\"A\\u0000B\":\"c\"}", "the header A must be a string without a NUL"},
    {"{\"A B\":\"c\"}", "the header A B holds a character that headers cannot"},
    {"{\"A:\":\"c\"}", "the header A: holds a character that headers cannot"},
    {"{\"\":\"c\"}", "the header  holds a character that headers cannot"},
    {"{\"\\u00e9\":\"c\"}", "the header \xc3\xa9 holds a character that headers cannot"},
    {"{\"A\":1}", "the header A must be a string without a NUL"},
    {"{\"aUTHORIZATION\":\"Bearer sk_live_x\"}", "the header Authorization is made from the option api_key"},
    {"[\"a\"]", "the option headers must be a map of names to strings"},
    {"\"a: b\"", "the option headers must be a map of names to strings"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ps_call_options options = PS_CALL_OPTIONS_INIT;
    ps_value *headers = ps_value_parse(rows[i][0], strlen(rows[i][0]));
    options.headers = headers;
    ps_result *r = answered(&good, 1, PS_BALANCE_RETRIEVE, NULL, &options);
    assert_string_equal(ps_error_message(r), rows[i][1]);
    check_error(r, PS_ERROR_USAGE, PS_OUTCOME_NOT_SENT, 0);
    ps_value_free(headers);
  }
}

static void options_cannot_inject_headers(void **state) {
  (void)state;
  ps_call_options all[5];
  for (int i = 0; i < 5; i++) all[i] = PS_CALL_OPTIONS_INIT;
  all[0].api_key = "sk_test_x\r\nX-Evil: 1";
  all[1].stripe_account = "acct_1\nX-Evil: 1";
  all[2].stripe_context = "a\x7f";
  all[3].stripe_version = "2024\r";
  all[4].idempotency_key = "a\nb";
  for (int i = 0; i < 5; i++) {
    check_error(answered(&good, 1, PS_CUSTOMERS_CREATE, NULL, &all[i]), i ? PS_ERROR_USAGE : PS_ERROR_AUTHENTICATION,
                PS_OUTCOME_NOT_SENT, 0);
  }
}

static void json_sends_only_utf8(void **state) {
  (void)state;
  ps_value *params = ps_params("display_name", "caf\xe9", NULL);
  ps_result *r = answered(&good, 1, PS_V2_CORE_ACCOUNTS_CREATE, params, NULL);
  assert_string_equal(ps_error_message(r), "params.display_name is not UTF-8");
  check_error(r, PS_ERROR_USAGE, PS_OUTCOME_NOT_SENT, 0);
  ps_value_free(params);
  params = ps_params("metadata[caf\xe9]", "x", NULL);
  r = answered(&good, 1, PS_V2_CORE_ACCOUNTS_CREATE, params, NULL);
  assert_string_equal(ps_error_message(r), "params.metadata.caf? is not UTF-8");
  check_error(r, PS_ERROR_USAGE, PS_OUTCOME_NOT_SENT, 0);
  ps_value_free(params);
}

/* ---- Results ---- */

static void check_empty(const ps_result *r) {
  const char *name, *value;
  size_t length = 1;
  assert_int_equal(ps_data(r)->type, PS_NULL);
  assert_int_equal(ps_result_status(r), 0);
  assert_string_equal(ps_result_body(r, &length), "");
  assert_int_equal(length, 0);
  assert_null(ps_result_header(r, "Request-Id"));
  assert_false(ps_result_header_at(r, 0, &name, &value));
  assert_string_equal(ps_result_request_id(r), "");
  assert_string_equal(ps_result_idempotency_key(r), "");
  assert_int_equal(ps_result_attempts(r), 0);
  assert_string_equal(ps_error_code(r), "");
  assert_string_equal(ps_error_field(r, "type"), "");
  assert_int_equal(ps_error_data(r)->type, PS_NULL);
  assert_null(ps_result_type(r));
}

static void empty_results_read_as_empty(void **state) {
  (void)state;
  check_empty(NULL);
  assert_false(ps_result_ok(NULL));
  assert_int_equal(ps_error_kind(NULL), PS_ERROR_NONE);
  assert_int_equal(ps_error_outcome(NULL), PS_OUTCOME_NOT_SENT);
  assert_string_equal(ps_error_message(NULL), "");
  ps_result_free(NULL);
  ps_result *r = ps_result_no_memory();
  check_empty(r);
  assert_int_equal(ps_error_kind(r), PS_ERROR_MEMORY);
  assert_string_equal(ps_error_message(r), "no memory");
  ps_result_free(r);
  ps_result *stub = ps_result_stub(r, NULL);
  check_empty(stub);
  assert_int_equal(ps_error_kind(stub), PS_ERROR_MEMORY);
  ps_result_free(stub);
}

static void a_result_is_given_once(void **state) {
  (void)state;
  s = (stage){.replies = &good, .reply_count = 1};
  ps_exchange *x = call_with(PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  drive_to_end(&s, x);
  ps_result *r = ps_exchange_result(x);
  assert_true(ps_result_ok(r));
  assert_false(ps_result_ok(ps_exchange_result(x)));
  ps_exchange_free(x);
  ps_exchange_free(NULL);
  assert_string_equal(ps_str(ps_data(r), "id"), "x_1"); /* it outlives the exchange, and holds the client */
  ps_result_free(r);
}

static void headers_are_found_in_any_case_and_kept_in_order(void **state) {
  (void)state;
  const reply row = {200, "Request-ID: req_1\nX-Twice: a\nx-twice: b\nX-Empty-Not: -", "{}", 0, 0};
  ps_result *r = answered(&row, 1, PS_BALANCE_RETRIEVE, NULL, NULL);
  const char *name, *value;
  assert_string_equal(ps_result_header(r, "request-id"), "req_1");
  assert_string_equal(ps_result_header(r, "REQUEST-ID"), "req_1");
  assert_string_equal(ps_result_request_id(r), "req_1");
  assert_string_equal(ps_result_header(r, "X-TWICE"), "a");
  assert_null(ps_result_header(r, "X-Twic"));
  assert_null(ps_result_header(r, "X-Twice2"));
  assert_null(ps_result_header(r, ""));
  assert_true(ps_result_header_at(r, 2, &name, &value));
  assert_string_equal(name, "x-twice");
  assert_string_equal(value, "b");
  assert_false(ps_result_header_at(r, 4, &name, &value));
  ps_result_free(r);
}

/* ---- Pages ---- */

static ps_call_options own_options(ps_value **headers) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  *headers = ps_params("X-Mine", "1", NULL);
  options.api_key = "sk_test_CALLS_own";
  options.stripe_account = "acct_own";
  options.stripe_context = "ctx_own";
  options.stripe_version = "2024-06-20";
  options.headers = *headers;
  options.idempotency_key = "never again";
  return options;
}

static void check_own(const sent *r, const char *key) {
  char bearer[100];
  snprintf(bearer, sizeof bearer, "Bearer %s", key);
  assert_string_equal(drive_header(r, "Authorization"), bearer);
  assert_string_equal(drive_header(r, "Stripe-Account"), "acct_own");
  assert_string_equal(drive_header(r, "Stripe-Context"), "ctx_own");
  assert_string_equal(drive_header(r, "Stripe-Version"), "2024-06-20");
  assert_string_equal(drive_header(r, "X-Mine"), "1");
  assert_null(drive_header(r, "Idempotency-Key"));
}

static void check_next(ps_iter *it, const char *id) {
  const ps_value *item = drive_next(&s, it);
  if (!item) assert_string_equal(ps_error_message(ps_iter_result(it)), id);
  assert_string_equal(ps_str(item, "id"), id);
}

static void check_end(ps_iter *it) {
  for (int i = 0; i < 2; i++) {
    assert_null(drive_next(&s, it));
    assert_string_equal(ps_error_message(ps_iter_result(it)), "");
  }
}

static const reply first_page = {
  200, NULL,
  "{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":true,\"data\":[{\"id\":\"ch_3\"},{\"id\":\"ch_2\"}]}", 0,
  0};
static const reply last_page = {
  200, NULL, "{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":false,\"data\":[{\"id\":\"ch_1\"}]}", 0, 0};

static void the_pages_after_one_keep_its_calls_options(void **state) {
  (void)state;
  const reply replies[] = {first_page, last_page};
  ps_value *headers, *params = ps_params("customer", "cus_1", "expand[]", "data.invoice", NULL);
  ps_call_options options = own_options(&headers);
  options.base = "files";
  ps_result *r = answered(replies, 1, PS_CHARGES_LIST, params, &options);
  ps_result *stub = ps_result_stub(r, ps_data(r));
  ps_value_free(headers);
  ps_value_free(params);
  const ps_result *from[] = {r, stub};
  for (int i = 0; i < 2; i++) {
    ps_iter *it = ps_iter_from(client, from[i], i ? ps_data(stub) : NULL);
    s = (stage){.replies = &last_page, .reply_count = 1};
    check_next(it, "ch_3");
    check_next(it, "ch_2");
    assert_int_equal(s.sends, 0);
    check_next(it, "ch_1");
    check_end(it);
    assert_string_equal(
      s.sent[0].url,
      "https://files.stripe.com/v1/charges?customer=cus_1&expand[0]=data.invoice&limit=100&starting_after=ch_2");
    check_own(&s.sent[0], "sk_test_CALLS_own");
    assert_string_equal(ps_type_name(ps_type_variant(ps_iter_type(it), 0)), "charge");
    ps_iter_free(it);
  }
  ps_result_free(stub);
  ps_result_free(r);
}

static void a_nested_list_pages_by_its_own_url(void **state) {
  (void)state;
  const reply invoice = {
    200, NULL,
    "{\"id\":\"in_1\",\"object\":\"invoice\",\"lines\":{\"object\":\"list\",\"has_more\":true,"
    "\"url\":\"/v1/invoices/in_1/lines\",\"data\":[{\"id\":\"il_1\"}]},\"bare\":{\"object\":\"list\",\"data\":[]}}",
    0, 0};
  const reply rest = {200, NULL, "{\"has_more\":false,\"data\":[{\"id\":\"il_2\"}]}", 0, 0};
  ps_value *headers;
  ps_call_options options = own_options(&headers);
  s = (stage){.replies = &invoice, .reply_count = 1};
  ps_result *r = drive_call(&s, call_with(PS_INVOICES_RETRIEVE, "in_1", NULL, &options));
  ps_value_free(headers);
  ps_iter *it = ps_iter_from(client, r, ps_get(ps_data(r), "lines"));
  ps_iter *bare = ps_iter_from(client, r, ps_get(ps_data(r), "bare")), *object = ps_iter_from(client, r, NULL);
  ps_result_free(r); /* everything has been copied */
  s = (stage){.replies = &rest, .reply_count = 1};
  check_next(it, "il_1");
  check_next(it, "il_2");
  check_end(it);
  assert_string_equal(s.sent[0].url, "https://api.stripe.com/v1/invoices/in_1/lines?limit=100&starting_after=il_1");
  check_own(&s.sent[0], "sk_test_CALLS_own");
  assert_null(drive_next(&s, bare));
  assert_string_equal(ps_error_message(ps_iter_result(bare)), "this value is not a page or a list: it has no url");
  assert_null(drive_next(&s, object));
  assert_string_equal(ps_error_message(ps_iter_result(object)),
                      "this value is not a page or a list: it has no list `data`");
  ps_iter_free(it);
  ps_iter_free(bare);
  ps_iter_free(object);
}

static void an_iterator_from_a_failed_call_has_its_error(void **state) {
  (void)state;
  const reply row = {403, NULL, "{\"error\":{\"message\":\"not yours\"}}", 0, 0};
  ps_result *r = answered(&row, 1, PS_CHARGES_LIST, NULL, NULL);
  ps_iter *it = ps_iter_from(client, r, NULL);
  ps_result_free(r);
  assert_null(drive_next(&s, it));
  assert_int_equal(ps_error_kind(ps_iter_result(it)), PS_ERROR_PERMISSION);
  assert_string_equal(ps_error_message(ps_iter_result(it)), "not yours");
  assert_int_equal(s.sends, 1);
  ps_iter_free(it);
}

static void an_answer_that_is_no_page_is_an_error_not_the_end(void **state) {
  (void)state;
  const reply replies[] = {{200, NULL, "{}", 0, 0},
                           {200, NULL, "", 0, 0},
                           {200, NULL, "[]", 0, 0},
                           {200, NULL, "{\"data\":{\"id\":\"ch_9\"}}", 0, 0},
                           last_page};
  s = (stage){.replies = replies, .reply_count = 5};
  ps_iter *it = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  for (int i = 0; i < 4; i++) {
    assert_null(drive_next(&s, it));
    assert_int_equal(ps_error_kind(ps_iter_result(it)), PS_ERROR_PROTOCOL);
  }
  check_next(it, "ch_1");
  check_end(it);
  assert_int_equal(s.sends, 5);
  ps_iter_free(it);
}

static char *cursor_of(const ps_iter *it) {
  char *cursor = ps_iter_cursor(it);
  assert_non_null(cursor);
  assert_null(strstr(cursor, "CALLS_own"));
  assert_null(strstr(cursor, "abcdefKEY"));
  return cursor;
}

static void items_before_an_error_are_given_and_a_cursor_there_is_no_end(void **state) {
  (void)state;
  const reply row = {200, NULL, "{\"has_more\":true,\"data\":[{\"id\":\"ch_1\"},{\"object\":\"x\"}]}", 0, 0};
  s = (stage){.replies = &row, .reply_count = 1};
  ps_iter *it = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  check_next(it, "ch_1");
  assert_non_null(drive_next(&s, it));
  for (int i = 0; i < 2; i++) {
    assert_null(drive_next(&s, it));
    assert_string_equal(ps_error_message(ps_iter_result(it)), "the page has_more, but its last item has no id");
  }
  char *cursor = cursor_of(it);
  ps_iter *resumed = ps_iter_resume(client, cursor);
  assert_null(drive_next(&s, resumed));
  assert_int_equal(ps_error_kind(ps_iter_result(resumed)), PS_ERROR_PROTOCOL);
  ps_free(cursor);
  ps_iter_free(it);
  ps_iter_free(resumed);
}

static void a_cursor_keeps_the_place_and_the_options_but_no_key(void **state) {
  (void)state;
  const reply replies[] = {first_page, last_page};
  ps_value *headers, *params = ps_params("customer", "cus_1", NULL);
  for (int taken = 0; taken <= 3; taken++) {
    ps_call_options options = own_options(&headers);
    s = (stage){.replies = replies, .reply_count = 2};
    ps_iter *it = ps_iter_new(client, PS_CHARGES_LIST, NULL, params, &options);
    ps_value_free(headers);
    for (int i = 0; i < taken; i++) check_next(it, i == 0 ? "ch_3" : i == 1 ? "ch_2" : "ch_1");
    char *cursor = cursor_of(it);
    ps_iter_free(it);
    it = ps_iter_resume(client, cursor);
    char *again = cursor_of(it); /* saved again at once */
    ps_iter_free(it);
    it = ps_iter_resume(client, again);
    s = (stage){.replies = taken < 2 ? replies + taken : &last_page, .reply_count = 1};
    const ps_value *item = drive_next(&s, it);
    if (taken == 3) {
      assert_null(item);
      assert_int_equal(s.sends, 0);
    } else {
      static const char *const places[] = {"", "&starting_after=ch_3", "&starting_after=ch_2"};
      char url[200];
      snprintf(url, sizeof url, "https://api.stripe.com/v1/charges?customer=cus_1&limit=100%s", places[taken]);
      assert_string_equal(s.sent[0].url, url);
      check_own(&s.sent[0], DRIVE_KEY); /* a cursor's calls are made with the client's key */
    }
    ps_free(cursor);
    ps_free(again);
    ps_iter_free(it);
  }
  ps_value_free(params);
}

static void refuse_cursor(ps_client *of, const char *cursor, const char *expected) {
  ps_iter *it = ps_iter_resume(of, cursor);
  s = (stage){.replies = &last_page, .reply_count = 1};
  assert_null(drive_next(&s, it));
  assert_int_equal(s.sends, 0);
  assert_int_equal(ps_error_kind(ps_iter_result(it)), PS_ERROR_USAGE);
  if (!strstr(ps_error_message(ps_iter_result(it)), expected))
    assert_string_equal(ps_error_message(ps_iter_result(it)), expected);
  ps_iter_free(it);
}

static void a_cursor_stays_in_its_mode(void **state) {
  (void)state;
  ps_client *live = drive_client("sk_live_0123456789abcdefKEY", NULL);
  ps_iter *it = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  ps_iter *live_it = ps_iter_new(live, PS_CHARGES_LIST, NULL, NULL, NULL);
  char *cursor = cursor_of(it), *live_cursor = cursor_of(live_it);
  refuse_cursor(live, cursor, "the cursor is of test mode, the client's key of live mode");
  refuse_cursor(client, live_cursor, "the cursor is of live mode, the client's key of test mode");
  ps_free(cursor);
  ps_free(live_cursor);
  ps_iter_free(it);
  ps_iter_free(live_it);
  ps_client_free(live);
}

static void a_cursor_that_is_none_is_refused(void **state) {
  (void)state;
  static const char written[] = "the cursor is not one that this version of pinstripe wrote";
#define CURSOR(rest) "{\"format\":1,\"mode\":\"test\",\"method\":\"GET\",\"params\":{}," rest "}"
  static const char *const rows[][2] = {
    {"", written},
    {"x", written},
    {"null", written},
    {"{}", written},
    {"[1]", written},
    {"\xff", written},
    {"{\"format\":2,\"mode\":\"test\",\"params\":{}}", written},
    {"{\"format\":\"1\",\"mode\":\"test\",\"params\":{}}", written},
    {"{\"format\":1,\"mode\":\"test\",\"params\":[]}", written},
    {"{\"format\":1,\"params\":{}}", "the cursor is of  mode"},
    {CURSOR("\"x\":1"), "the list's url  must begin with one"},
    {CURSOR("\"path\":7"), "the list's url  must begin with one"},
    {CURSOR("\"path\":\"//evil.example/v1/charges\""), "must begin with one"},
    {CURSOR("\"path\":\"https://evil.example/v1/charges\""), "must begin with one"},
    {CURSOR("\"path\":\"@evil.example/\""), "must begin with one"},
    {CURSOR("\"path\":\"/v1/charges\\r\\nX: y\""), "must begin with one"},
    {CURSOR("\"path\":\"/v2/core/events\",\"place\":\"https://evil.example/v2\""), "must begin with one"},
    {CURSOR("\"path\":\"/v2/core/events\",\"place\":\"//evil.example/v2\""), "must begin with one"},
    {"{\"format\":1,\"mode\":\"test\",\"method\":\"POST\",\"params\":{},\"path\":\"/v1/refunds\"}",
     "refunds.create does not return a list"},
    {CURSOR("\"path\":\"/v1/charges\",\"base\":\"https://evil.example\""), "the option base must be"},
    {CURSOR("\"path\":\"/v1/charges\",\"headers\":{\"Authorization\":\"Bearer x\"}"), "the header Authorization"},
    {CURSOR("\"path\":\"/v1/charges\",\"headers\":{\"A\":\"b\\r\\nc\"}"), "the header A holds"},
    {CURSOR("\"path\":\"/v1/charges\",\"stripe_account\":\"a\\r\\nb\""), "the header Stripe-Account holds"},
  };
#undef CURSOR
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) refuse_cursor(client, rows[i][0], rows[i][1]);
}

static void a_cursor_cut_anywhere_is_refused(void **state) {
  (void)state;
  ps_iter *it = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  char *cursor = cursor_of(it);
  ps_iter_free(it);
  for (size_t length = strlen(cursor) - 1; length > 0; length--) {
    cursor[length] = '\0';
    refuse_cursor(client, cursor, "the cursor is not one");
  }
  ps_free(cursor);
}

static void the_skip_of_a_cursor_may_be_absurd(void **state) {
  (void)state;
  static const char *const skips[] = {"9223372036854775807", "-9223372036854775808", "1e99", "3"};
  for (size_t i = 0; i < 4; i++) {
    char cursor[200];
    snprintf(cursor, sizeof cursor,
             "{\"format\":1,\"mode\":\"test\",\"path\":\"/v1/charges\",\"params\":{},\"skip\":%s}", skips[i]);
    ps_iter *it = ps_iter_resume(client, cursor);
    s = (stage){.replies = &last_page, .reply_count = 1};
    const ps_value *item = drive_next(&s, it);
    assert_int_equal(item == NULL, i % 3 == 0);
    assert_string_equal(ps_error_message(ps_iter_result(it)), "");
    ps_iter_free(it);
  }
}

static void a_v2_page_cannot_choose_who_gets_the_key(void **state) {
  (void)state;
  static const char *const urls[] = {"https://evil.example/v2/core/events", "//evil.example/x", "\\\\evil", "v2/x",
                                     "/v2/\\r\\nX: y"};
  for (size_t i = 0; i < 5; i++) {
    char body[200];
    snprintf(body, sizeof body, "{\"data\":[{\"id\":\"evt_1\"}],\"next_page_url\":\"%s\"}",
             i == 2 ? "\\\\\\\\evil" : urls[i]);
    const reply row = {200, NULL, body, 0, 0};
    s = (stage){.replies = &row, .reply_count = 1};
    ps_iter *it = ps_iter_new(client, PS_V2_CORE_EVENTS_LIST, NULL, NULL, NULL);
    check_next(it, "evt_1");
    for (int n = 0; n < 2; n++) {
      assert_null(drive_next(&s, it));
      assert_int_equal(ps_error_kind(ps_iter_result(it)), PS_ERROR_USAGE);
    }
    assert_int_equal(s.sends, 1);
    ps_iter_free(it);
  }
}

static void a_raw_paths_query_yields_to_the_params(void **state) {
  (void)state;
  ps_exchange_host host;
  ps_client_host(client, &host);
  const ps_target target = {.method = "GET", .path = "/v1/charges?limit=5&expand[]=data.a&created%5Bgte%5D=1%2B1"};
  ps_value *params = ps_params("limit", "2", "expand[]", "data.b", NULL);
  ps_iter *it = ps_iter_create(&host, &target, params, NULL, NULL);
  s = (stage){.replies = &last_page, .reply_count = 1};
  check_next(it, "ch_1");
  assert_string_equal(s.sent[0].url,
                      "https://api.stripe.com/v1/charges?limit=2&expand[0]=data.a&expand[1]=data.b&created[gte]=1%2B1");
  ps_iter_free(it);
  ps_value_free(params);
}

static void a_failed_page_is_asked_for_again(void **state) {
  (void)state;
  const reply refused = {400, NULL, "{\"error\":{\"message\":\"no\"}}", 0, 0};
  const reply replies[] = {refused, first_page, refused, refused, last_page};
  s = (stage){.replies = replies, .reply_count = 5};
  ps_iter *it = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  assert_null(drive_next(&s, it));
  check_next(it, "ch_3");
  check_next(it, "ch_2");
  assert_null(drive_next(&s, it));
  char *cursor = cursor_of(it);
  assert_non_null(strstr(cursor, "\"place\":\"ch_2\""));
  assert_null(drive_next(&s, it));
  check_next(it, "ch_1");
  check_end(it);
  ps_free(cursor);
  ps_iter_free(it);
}

static void a_page_under_way_can_be_dropped(void **state) {
  (void)state;
  const reply replies[] = {first_page, last_page};
  s = (stage){.replies = replies, .reply_count = 2};
  ps_iter *it = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  assert_false(ps_iter_feed(it)); /* nothing is under way */
  check_next(it, "ch_3");
  assert_true(ps_iter_wants_prefetch(it));
  assert_int_equal(drive_step(&s, ps_iter_exchange(it)), PS_SEND);
  assert_false(ps_iter_wants_prefetch(it));
  ps_iter_drop_pending(it);
  assert_null(ps_iter_pending(it));
  s = (stage){.replies = &last_page, .reply_count = 1};
  check_next(it, "ch_2");
  check_next(it, "ch_1");
  ps_iter_free(it);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

/* ---- Fields ---- */

static ps_result *answered_with_fields(const reply *row, const ps_value *fields) {
  s = (stage){.replies = row, .reply_count = 1};
  ps_exchange *x = call_with(PS_CHARGES_LIST, NULL, NULL, NULL);
  ps_exchange_set_fields(x, fields);
  return drive_call(&s, x);
}

/* Of an error everything is kept, however it looks. */
static void fields_cut_the_items_of_an_answer_but_no_error(void **state) {
  static const reply list = {200, "", "{\"data\":[{\"id\":\"a\",\"b\":1,\"c\":2}],\"has_more\":false}", 0, 0};
  static const reply error = {400, "", "{\"error\":{\"message\":\"no\",\"code\":\"x\"},\"data\":[{\"c\":2}]}", 0, 0};
  ps_value *fields = ps_params("b", "", NULL);
  (void)state;
  ps_result *r = answered_with_fields(&list, fields);
  assert_int_equal(ps_int(ps_data(r), "data.0.b"), 1);
  assert_string_equal(ps_str(ps_data(r), "data.0.id"), "a");
  assert_null(ps_map_get(ps_get(ps_data(r), "data.0"), "c", 1));
  assert_non_null(strstr(ps_result_body(r, NULL), "\"c\":2"));
  ps_result_drop_body(r);
  ps_result_drop_body(NULL);
  assert_string_equal(ps_result_body(r, NULL), "");
  assert_string_equal(ps_str(ps_data(r), "data.0.id"), "a");
  ps_result_free(r);
  r = answered_with_fields(&list, NULL);
  assert_int_equal(ps_int(ps_data(r), "data.0.c"), 2);
  ps_result_free(r);
  r = answered_with_fields(&error, fields);
  assert_string_equal(ps_error_code(r), "x");
  assert_int_equal(ps_int(ps_data(r), "data.0.c"), 2);
  ps_result_free(r);
  ps_value_free(fields);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(fields_cut_the_items_of_an_answer_but_no_error),
    TEST(keys_are_uuids_of_version_4_and_never_the_same),
    TEST(writes_carry_one_key_on_every_attempt_and_reads_none),
    TEST(the_deadline_counts_requests_and_waits),
    TEST(a_wait_that_took_too_long_ends_the_call),
    TEST(clocks_have_their_defaults),
    TEST(a_deadline_of_zero_sends_nothing),
    TEST(a_pause_moves_the_deadline),
    TEST(the_rate_limit_holds_requests_back_for_each_key),
    TEST(a_retry_waits_for_the_rate_limit_but_holds_nobody_back),
    TEST(a_retry_that_the_rate_limit_keeps_past_the_deadline_ends_the_call),
    TEST(a_call_cancelled_before_it_began_sends_nothing),
    TEST(a_call_cancelled_in_a_wait_is_not_sent_again),
    TEST(a_call_cancelled_on_its_way_takes_what_came_of_it),
    TEST(any_thread_may_cancel),
    TEST(events_tell_what_happens_in_order),
    TEST(a_call_that_sends_nothing_has_no_events),
    TEST(events_outlive_the_result_but_not_the_next_step),
    TEST(no_text_holds_a_key_the_params_or_a_body),
    TEST(a_raw_request_has_no_operation),
    TEST(a_retry_sends_the_same_bytes),
    TEST(an_empty_response_is_a_lost_connection),
    TEST(a_response_that_fails_on_its_way_leaves_only_its_headers),
    TEST(the_first_failure_of_a_response_counts),
    TEST(what_its_transport_calls_final_is_not_sent_again),
    TEST(a_response_may_be_as_large_as_max_body_and_no_larger),
    TEST(a_cap_of_zero_allows_an_empty_body),
    TEST(what_is_no_json_is_shown_in_200_bytes_of_utf8),
    TEST(the_outcome_is_the_worst_that_is_not_settled),
    TEST(an_unreadable_success_is_never_sent_again),
    TEST(oauth_is_repeated_only_if_it_was_not_sent),
    TEST(headers_that_are_none_are_refused),
    TEST(options_cannot_inject_headers),
    TEST(json_sends_only_utf8),
    TEST(empty_results_read_as_empty),
    TEST(a_result_is_given_once),
    TEST(headers_are_found_in_any_case_and_kept_in_order),
    TEST(the_pages_after_one_keep_its_calls_options),
    TEST(a_nested_list_pages_by_its_own_url),
    TEST(an_iterator_from_a_failed_call_has_its_error),
    TEST(an_answer_that_is_no_page_is_an_error_not_the_end),
    TEST(items_before_an_error_are_given_and_a_cursor_there_is_no_end),
    TEST(a_cursor_keeps_the_place_and_the_options_but_no_key),
    TEST(a_cursor_stays_in_its_mode),
    TEST(a_cursor_that_is_none_is_refused),
    TEST(a_cursor_cut_anywhere_is_refused),
    TEST(the_skip_of_a_cursor_may_be_absurd),
    TEST(a_v2_page_cannot_choose_who_gets_the_key),
    TEST(a_raw_paths_query_yields_to_the_params),
    TEST(a_failed_page_is_asked_for_again),
    TEST(a_page_under_way_can_be_dropped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
