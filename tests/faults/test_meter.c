/* Meter event streams against a server that cuts, refuses and lets sessions expire: each event arrives, none is dropped
 * without a word, and of what is sent twice the identifier is the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

#include <cmocka.h>

#define SESSION(token, until)                                                                                          \
  "{\"body\":{\"object\":\"v2.billing.meter_event_session\",\"authentication_token\":\"" token                         \
  "\",\"expires_at\":\"" until "\"}}"
#define TAKEN "{\"status\":204,\"body\":\"\"}"
#define EXPIRED                                                                                                        \
  "{\"status\":401,\"body\":{\"error\":{\"type\":\"temporary_session_expired\",\"code\":\"billing_meter_event_"        \
  "session_expired\",\"message\":\"Session expired\"}}}"
#define EXPIRED_WITH(status)                                                                                           \
  "{\"status\":" #status ",\"body\":{\"error\":{\"type\":\"temporary_session_expired\",\"message\":\"Expired\"}}}"
#define REFUSED "{\"status\":400,\"body\":{\"error\":{\"code\":\"meter_event_invalid\",\"message\":\"no\"}}}"
#define LATER "2023-11-14T22:28:20.000Z" /* 15 minutes after the test's time */

static test_clock hours;
static ps_client *client;

static int begin(void **state) {
  (void)state;
  test_clock_init(&hours);
  client = client_to(server_url(it), NULL);
  ps_client_set_clock(client, &hours.clock);
  return 0;
}

static int end(void **state) {
  (void)state;
  ps_client_free(client);
  return 0;
}

static void add(ps_meter *m, int number) {
  char value[16];
  snprintf(value, sizeof value, "%d", number);
  ps_value *event = ps_params("event_name", "requests", "payload[value]", value, NULL);
  assert_null(ps_meter_add(m, event));
  ps_value_free(event);
}

static ps_meter *meter_with(int events) {
  ps_meter *m = ps_meter_new(client, -1, -1);
  for (int i = 0; i < events; i++) add(m, i);
  return m;
}

/* Of the server's log: how many batches came, and that they hold the events `first` to `last` - 1, each at least once; if
 * more than once, with the same identifier. */
static size_t assert_arrived(int last) {
  char ids[500][40] = {""};
  size_t batches = 0;
  ps_value *log = server_log(it);
  for (const ps_value *r = ps_first(log); r; r = ps_next(r)) {
    if (strcmp(ps_str(r, "path"), "/v2/billing/meter_event_stream") != 0) continue;
    ps_value *body = ps_value_parse(ps_str(r, "body"), strlen(ps_str(r, "body")));
    assert_true(ps_count(ps_get(body, "events")) <= 100);
    for (const ps_value *e = ps_first(ps_get(body, "events")); e; e = ps_next(e)) {
      int number = atoi(ps_str(e, "payload.value"));
      if (*ids[number]) assert_string_equal(ids[number], ps_str(e, "identifier"));
      snprintf(ids[number], sizeof ids[number], "%s", ps_str(e, "identifier"));
      assert_int_equal(strlen(ids[number]), 36);
      assert_string_equal(ps_str(e, "timestamp"), "2023-11-14T22:13:20Z");
    }
    ps_value_free(body);
    batches++;
  }
  for (int i = 0; i < last; i++) assert_true(*ids[i] != '\0');
  ps_value_free(log);
  return batches;
}

static void assert_key(size_t request, const char *path, const char *key) {
  ps_value *log = server_log(it);
  char expected[80];
  snprintf(expected, sizeof expected, "Bearer %s", key);
  assert_string_equal(ps_str(ps_list_get(log, request), "path"), path);
  assert_string_equal(ps_str(ps_list_get(log, request), "headers.authorization"), expected);
  ps_value_free(log);
}

static void flush(ps_meter *m) {
  if (!ps_meter_flush(m)) fail_msg("%s", ps_error_message(ps_meter_result(m)));
  assert_int_equal(ps_meter_pending(m), 0);
}

static void batches_of_a_hundred(void **state) {
  (void)state;
  server_script(it, "[" SESSION("tok_1", LATER) "," TAKEN "," TAKEN "," TAKEN "]");
  ps_meter *m = meter_with(250);
  flush(m);
  assert_int_equal(assert_arrived(250), 3);
  assert_key(0, "/v2/billing/meter_event_session", TEST_KEY);
  assert_key(3, "/v2/billing/meter_event_stream", "tok_1");
  assert_int_equal(server_requests(it), 4);
  flush(m); /* nothing is left to send */
  assert_int_equal(server_requests(it), 4);
  ps_meter_free(m);
}

static void a_token_serves_until_shortly_before_its_end(void **state) {
  (void)state;
  server_script(it, "[" SESSION("tok_1", LATER) "," TAKEN "," TAKEN "," SESSION("tok_2", LATER) "," TAKEN "]");
  ps_meter *m = meter_with(1);
  flush(m);
  hours.unix_time += 800;
  ps_value *event =
    ps_value_parse("{\"event_name\":\"a\",\"payload\":{},\"timestamp\":\"t\",\"identifier\":\"i\"}", 64);
  assert_null(ps_meter_add(m, event));
  flush(m);
  assert_key(2, "/v2/billing/meter_event_stream", "tok_1");
  hours.unix_time += 50;
  assert_null(ps_meter_add(m, event));
  flush(m);
  assert_key(3, "/v2/billing/meter_event_session", TEST_KEY);
  assert_key(4, "/v2/billing/meter_event_stream", "tok_2");
  ps_value_free(event);
  ps_meter_free(m);
}

static void an_expired_session_is_renewed_once(void **state) {
  (void)state;
  server_script(it, "[" SESSION("tok_1", LATER) "," EXPIRED "," SESSION("tok_2", LATER) "," TAKEN "]");
  ps_meter *m = meter_with(3);
  flush(m);
  assert_key(3, "/v2/billing/meter_event_stream", "tok_2");
  assert_int_equal(assert_arrived(3), 2);
  server_script(it, "[" EXPIRED "," SESSION("tok_3", LATER) "," EXPIRED "," SESSION("tok_4", LATER) "," TAKEN "]");
  add(m, 0);
  assert_false(ps_meter_flush(m));
  assert_int_equal(ps_error_kind(ps_meter_result(m)), PS_ERROR_TEMPORARY_SESSION_EXPIRED);
  assert_int_equal(server_requests(it), 3);
  assert_int_equal(ps_meter_pending(m), 1);
  flush(m);
  assert_key(4, "/v2/billing/meter_event_stream", "tok_4");
  ps_meter_free(m);
}

/* Whatever the status: what the table of retries would send again at once is not, with a token that is no good. */
static void an_expired_session_is_renewed_first(void **state) {
  (void)state;
  static const char *const scripts[] = {EXPIRED_WITH(409), EXPIRED_WITH(429), EXPIRED_WITH(500)};
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    char script[1000];
    snprintf(script, sizeof script, "[%s,%s,%s,%s]", SESSION("tok_1", LATER), scripts[i], SESSION("tok_2", LATER),
             TAKEN);
    server_script(it, script);
    ps_meter *m = meter_with(2);
    flush(m);
    assert_int_equal(server_requests(it), 4);
    assert_key(2, "/v2/billing/meter_event_session", TEST_KEY);
    assert_key(3, "/v2/billing/meter_event_stream", "tok_2");
    ps_meter_free(m);
  }
  assert_int_equal(hours.sleep_count, 0);
}

static void a_token_is_starred_where_it_is_told(void **state) {
  (void)state;
  server_script(it, "[" SESSION("token_0123456789abcdef", LATER) ",{\"status\":400,\"body\":{\"error\":{\"message\":"
                                                                 "\"not with token_0123456789abcdef\"}}}]");
  ps_meter *m = meter_with(1);
  assert_false(ps_meter_flush(m));
  assert_string_equal(ps_error_message(ps_meter_result(m)), "not with ******************cdef");
  ps_meter_free(m);
  server_script(it, "[{\"body\":\"{\\\"authentication_token\\\":\\\"token_0123456789abcdef\\\",\"}]");
  m = meter_with(1);
  assert_false(ps_meter_flush(m));
  assert_non_null(strstr(ps_error_message(ps_meter_result(m)), "\"authentication_token\":\"******************cdef\""));
  ps_meter_free(m);
}

/* ---- Pauses ---- */

static void fail_after(ps_meter *m, const char *script, int64_t least, int64_t most) {
  server_script(it, script);
  assert_false(ps_meter_flush(m)); /* at once, whatever the pause */
  assert_true(ps_meter_wait(m) >= ps_meter_pause(m));
  if (ps_meter_pause(m) < least || ps_meter_pause(m) > most) fail_msg("a pause of %d ms", (int)ps_meter_pause(m));
}

static void a_server_that_fails_is_left_alone_for_a_while(void **state) {
  (void)state;
  static const int64_t bounds[][2] = {{500, 1000}, {1000, 2000}, {2000, 4000}, {2500, 5000}, {2500, 5000}};
  ps_meter *m = meter_with(1);
  hours.now += 2000;
  assert_int_equal(ps_meter_wait(m), 0);
  assert_int_equal(ps_meter_pause(m), 0);
  for (size_t i = 0; i < 5; i++) fail_after(m, "[{\"status\":403,\"body\":{}}]", bounds[i][0], bounds[i][1]);
  hours.now += 1000;
  assert_true(ps_meter_wait(m) <= 4000);
  for (int i = 0; i < 100; i++) add(m, i); /* a full batch waits, too */
  assert_true(ps_meter_wait(m) > 0);
  hours.now += 4000;
  assert_int_equal(ps_meter_wait(m), 0);
  fail_after(m, "[" SESSION("tok_1", LATER) ",{\"status\":400,\"headers\":{\"Retry-After\":\"30\"},\"body\":{}}]",
             30000, 30000);
  ps_value_free(ps_meter_skip(m)); /* the rest is another matter */
  assert_int_equal(ps_meter_pause(m), 0);
  fail_after(m, "[" REFUSED "]", 500, 1000);
  server_script(it, "[" TAKEN "]");
  flush(m);
  add(m, 0);
  assert_int_equal(ps_meter_wait(m), 1000); /* its age again */
  fail_after(m, "[" REFUSED "]", 500, 1000);
  ps_meter_free(m);
}

static void an_answer_without_a_token_is_a_failure_like_others(void **state) {
  (void)state;
  ps_meter *m = meter_with(1);
  fail_after(m, "[{\"body\":{\"object\":\"x\"}}]", 500, 1000);
  fail_after(m, "[{\"body\":{\"object\":\"x\"}}]", 1000, 2000);
  ps_meter_free(m);
}

/* ---- Faults ---- */

static void a_cut_connection_loses_nothing(void **state) {
  (void)state;
  server_script(it, "[" SESSION("tok_1", LATER) "," TAKEN
                                                ",{\"close\":true},{\"reset\":\"after\"},{\"reset\":\"headers\"}]");
  ps_meter *m = meter_with(250);
  assert_false(ps_meter_flush(m));
  assert_int_equal(ps_error_kind(ps_meter_result(m)), PS_ERROR_CONNECTION);
  assert_int_equal(ps_error_outcome(ps_meter_result(m)), PS_OUTCOME_UNKNOWN);
  assert_int_equal(ps_meter_pending(m), 150);
  for (int i = 250; i < 260; i++) add(m, i);
  flush(m); /* the server is well again */
  assert_true(assert_arrived(260) >= 4);
  ps_meter_free(m);
}

static void a_session_that_cannot_be_had(void **state) {
  (void)state;
  server_script(it, "[{\"status\":403,\"body\":{\"error\":{\"message\":\"no\"}}},{\"body\":{\"object\":\"x\"}}]");
  ps_meter *m = meter_with(2);
  assert_false(ps_meter_flush(m));
  assert_int_equal(ps_error_kind(ps_meter_result(m)), PS_ERROR_PERMISSION);
  ps_value *skipped = ps_meter_skip(m); /* no batch has failed */
  assert_int_equal(ps_count(skipped), 0);
  ps_value_free(skipped);
  assert_false(ps_meter_flush(m));
  assert_int_equal(ps_error_kind(ps_meter_result(m)), PS_ERROR_PROTOCOL);
  assert_non_null(strstr(ps_error_message(ps_meter_result(m)), "authentication_token"));
  assert_int_equal(ps_meter_pending(m), 2);
  ps_meter_free(m);
}

static void a_refused_batch_is_skipped_by_its_owner(void **state) {
  (void)state;
  server_script(it, "[" SESSION("tok_1", "soon") "," REFUSED "," REFUSED "," TAKEN "]");
  ps_meter *m = meter_with(101);
  assert_false(ps_meter_flush(m));
  assert_string_equal(ps_error_code(ps_meter_result(m)), "meter_event_invalid");
  assert_int_equal(ps_meter_pending(m), 101);
  assert_non_null(ps_meter_exchange(m)); /* the batch is under way again: nothing can be taken out */
  ps_value *skipped = ps_meter_skip(m);
  assert_int_equal(ps_count(skipped), 0);
  ps_value_free(skipped);
  assert_false(ps_meter_flush(m));
  skipped = ps_meter_skip(m);
  assert_int_equal(ps_count(skipped), 100);
  assert_string_equal(ps_str(skipped, "99.payload.value"), "99");
  ps_value_free(skipped);
  assert_int_equal(ps_meter_pending(m), 1);
  flush(m);
  ps_meter_free(m);
}

/* Of 250 events, the server refuses the first and the last batch. */
static void a_last_flush_passes_over_what_is_refused(void **state) {
  (void)state;
  server_script(it, "[" SESSION("tok_1", LATER) "," REFUSED "," TAKEN
                                                ",{\"status\":422,\"body\":{\"error\":{\"code\":\"other\"}}}]");
  ps_meter *m = meter_with(250);
  assert_false(ps_meter_finish(m));
  assert_int_equal(server_requests(it), 4);
  assert_arrived(250);
  assert_int_equal(ps_meter_pending(m), 150);
  assert_string_equal(ps_error_code(ps_meter_result(m)), "meter_event_invalid");
  add(m, 250);
  ps_value *skipped = ps_meter_skip(m);
  assert_int_equal(ps_count(skipped), 150);
  assert_string_equal(ps_str(skipped, "0.payload.value"), "0");
  assert_string_equal(ps_str(skipped, "99.payload.value"), "99");
  assert_string_equal(ps_str(skipped, "100.payload.value"), "200");
  ps_value_free(skipped);
  assert_int_equal(ps_meter_pending(m), 1);
  server_script(it, "[" TAKEN "]");
  assert_true(ps_meter_finish(m));
  assert_true(ps_meter_finish(m)); /* nothing is left */
  assert_int_equal(server_requests(it), 1);
  ps_meter_free(m);
}

/* What was set aside is sent again by the next flush, before what has come since. */
static void what_was_set_aside_is_still_queued(void **state) {
  (void)state;
  server_script(it, "[" SESSION("tok_1", LATER) "," REFUSED "," TAKEN "," REFUSED "," TAKEN "," TAKEN "]");
  ps_meter *m = meter_with(101);
  assert_false(ps_meter_finish(m));
  assert_int_equal(ps_meter_pending(m), 100);
  assert_false(ps_meter_flush(m));
  assert_int_equal(ps_meter_pending(m), 100);
  add(m, 101);
  flush(m);
  assert_int_equal(assert_arrived(102), 5);
  ps_meter_free(m);
}

/* The next batch would fare no better. */
static void a_last_flush_ends_with_the_key_or_the_connection(void **state) {
  (void)state;
  static const char *const failures[] = {"{\"status\":403,\"body\":{}}", "{\"status\":401,\"body\":{}}",
                                         "{\"status\":500,\"repeat\":true,\"body\":{}}",
                                         "{\"close\":true,\"repeat\":true}"};
  char script[1000];
  for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
    snprintf(script, sizeof script, "[%s,%s,%s]", SESSION("tok_1", LATER), REFUSED, failures[i]);
    server_script(it, script);
    ps_meter *m = meter_with(300);
    assert_false(ps_meter_finish(m));
    assert_int_equal(ps_meter_pending(m), 300);
    assert_false(ps_meter_set_aside(m));
    assert_string_not_equal(ps_error_code(ps_meter_result(m)), "meter_event_invalid");
    server_script(it, "[" SESSION("tok_1", LATER) "]"); /* then it takes all */
    assert_false(ps_meter_finish(m));
    assert_int_equal(ps_meter_pending(m), 100);
    assert_string_equal(ps_error_code(ps_meter_result(m)), "meter_event_invalid");
    ps_value *skipped = ps_meter_skip(m);
    assert_string_equal(ps_str(skipped, "99.payload.value"), "99");
    ps_value_free(skipped);
    assert_int_equal(ps_meter_pending(m), 0);
    ps_meter_free(m);
  }
}

static void what_is_due(void **state) {
  (void)state;
  server_script(it, "[]");
  ps_meter *m = ps_meter_new(client, 2.5, 101);
  assert_int_equal(ps_meter_wait(m), -1);
  add(m, 0);
  assert_int_equal(ps_meter_wait(m), 2500);
  hours.now += 2000;
  add(m, 1);
  assert_int_equal(ps_meter_wait(m), 500);
  hours.now += 2000;
  assert_int_equal(ps_meter_wait(m), 0);
  hours.now -= 4000;
  for (int i = 2; i < 101; i++) add(m, i);
  assert_int_equal(ps_meter_wait(m), 0);
  ps_value *event = ps_params("event_name", "requests", "payload[value]", "1", NULL);
  assert_non_null(strstr(ps_meter_add(m, event), "full"));
  ps_value_free(event);
  assert_int_equal(ps_meter_pending(m), 101);
  ps_meter_free(m);
}

/* null and "" would let an event that is sent twice count twice. */
static void an_identifier_is_made_where_there_is_none(void **state) {
  (void)state;
  static const char *const events[] = {
    "{\"event_name\":\"a\",\"payload\":{\"value\":\"0\"},\"identifier\":null,\"timestamp\":null}",
    "{\"event_name\":\"a\",\"payload\":{\"value\":\"1\"},\"identifier\":\"\",\"timestamp\":\"\"}"};
  server_script(it, "[" SESSION("tok_1", LATER) "," TAKEN "]");
  ps_meter *m = ps_meter_new(client, -1, -1);
  for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
    ps_value *event = ps_value_parse(events[i], strlen(events[i]));
    assert_null(ps_meter_add(m, event));
    ps_value_free(event);
  }
  flush(m);
  assert_int_equal(assert_arrived(2), 1);
  ps_meter_free(m);
}

static void what_is_no_event(void **state) {
  (void)state;
  static const char *const wrong[] = {"{}",
                                      "[]",
                                      "{\"event_name\":\"a\"}",
                                      "{\"event_name\":\"a\",\"payload\":5}",
                                      "{\"event_name\":\"\",\"payload\":{}}",
                                      "not JSON"};
  ps_meter *m = ps_meter_new(client, -1, -1);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    ps_value *event = ps_value_parse(wrong[i], strlen(wrong[i]));
    assert_non_null(strstr(ps_meter_add(m, event), "a meter event"));
    ps_value_free(event);
  }
  assert_non_null(ps_meter_add(m, NULL));
  assert_int_equal(ps_meter_pending(m), 0);
  assert_null(ps_meter_exchange(m));
  assert_false(ps_meter_feed(m));
  ps_meter_free(m);
  ps_meter_free(NULL);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
  const struct CMUnitTest tests[] = {
    TEST(batches_of_a_hundred),
    TEST(a_token_serves_until_shortly_before_its_end),
    TEST(an_expired_session_is_renewed_once),
    TEST(an_expired_session_is_renewed_first),
    TEST(a_token_is_starred_where_it_is_told),
    TEST(a_server_that_fails_is_left_alone_for_a_while),
    TEST(an_answer_without_a_token_is_a_failure_like_others),
    TEST(a_cut_connection_loses_nothing),
    TEST(a_session_that_cannot_be_had),
    TEST(a_refused_batch_is_skipped_by_its_owner),
    TEST(a_last_flush_passes_over_what_is_refused),
    TEST(what_was_set_aside_is_still_queued),
    TEST(a_last_flush_ends_with_the_key_or_the_connection),
    TEST(what_is_due),
    TEST(an_identifier_is_made_where_there_is_none),
    TEST(what_is_no_event),
  };
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
