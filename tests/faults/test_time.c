/* Clocks: how long a call may take, what stops it, and which time does not count. Real time, in tenths of a second. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server.h"

#include <cmocka.h>

static ps_client *client;
static double begun;

static int begin(void **state) {
  (void)state;
  client = client_to(server_url(it), NULL);
  begun = seconds_now();
  return 0;
}

static int end(void **state) {
  (void)state;
  ps_client_free(client);
  return 0;
}

/* Since the test began; the machine may be busy, but what is not stopped takes far longer. */
static void assert_took(double least) {
  double passed = seconds_now() - begun;
  if (passed < least - 0.01 || passed > least + 3) fail_msg("took %g s, not about %g", passed, least);
}

/* ---- Timeouts ---- */

static void a_silent_attempt_times_out(void **state) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  (void)state;
  options.timeout = 0.2;
  options.max_retries = 0;
  server_script(it, "[{\"silence\":\"after\",\"repeat\":true}]");
  ps_result *r = post(client, &options);
  assert_non_null(strstr(ps_error_message(r), "within 0.2 s"));
  assert_unanswered(r, PS_ERROR_TIMEOUT, PS_OUTCOME_UNKNOWN, 1);
  assert_took(0.2);
}

static void a_timeout_is_tried_again_with_the_same_key(void **state) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  (void)state;
  options.timeout = 0.2;
  server_script(it, "[{\"silence\":\"after\"}]");
  ps_result *r = post(client, &options);
  assert_true(ps_result_ok(r));
  assert_int_equal(ps_result_attempts(r), 2);
  ps_result_free(r);
  ps_value *log = server_log(it);
  assert_string_equal(ps_str(log, "0.headers.idempotency-key"), ps_str(log, "1.headers.idempotency-key"));
  ps_value_free(log);
  assert_took(0.7);
}

static void the_deadline_ends_all_attempts(void **state) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  (void)state;
  options.deadline = 0.3;
  server_script(it, "[{\"silence\":\"after\",\"repeat\":true}]");
  ps_result *r = post(client, &options);
  assert_non_null(strstr(ps_error_message(r), "deadline"));
  assert_unanswered(r, PS_ERROR_TIMEOUT, PS_OUTCOME_UNKNOWN, 1);
  assert_took(0.3);
}

static void a_dripping_answer_does_not_outlive_the_timeout(void **state) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  (void)state;
  options.timeout = 0.2;
  options.max_retries = 0;
  server_script(it, "[{\"size\":100,\"slow\":[1,0.05]}]");
  assert_unanswered(get(client, &options), PS_ERROR_TIMEOUT, PS_OUTCOME_UNKNOWN, 1);
  assert_took(0.2);
}

/* ---- Transfers: the clock of an attempt counts standstill ---- */

static ps_result *download(const ps_call_options *options) {
  const char *ids[] = {"qt_1", NULL};
  return ps_call(client, PS_QUOTES_PDF, ids, NULL, options);
}

static ps_result *upload(const ps_call_options *options, size_t size) {
  ps_value *params = ps_params("purpose", "dispute_evidence", NULL);
  char *content = calloc(1, size);
  assert_non_null(content);
  ps_value_set_strn(ps_map_set(ps_map_set(params, "file"), "content"), content, size);
  ps_result *r = ps_call(client, PS_FILES_CREATE, NULL, params, options);
  free(content);
  ps_value_free(params);
  return r;
}

static void a_slow_download_takes_its_time(void **state) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  size_t length;
  (void)state;
  options.timeout = 0.2;
  server_script(it, "[{\"size\":50,\"slow\":[10,0.1]}]");
  ps_result *r = download(&options);
  assert_true(ps_result_ok(r));
  ps_result_body(r, &length);
  assert_int_equal(length, 50);
  ps_result_free(r);
  assert_took(0.4);
}

static void a_download_that_stands_still_times_out(void **state) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  (void)state;
  options.timeout = 0.2;
  options.max_retries = 0;
  server_script(it, "[{\"size\":50,\"slow\":[10,0.1],\"cut\":20,\"then\":\"hold\"}]");
  ps_result *r = download(&options);
  assert_non_null(strstr(ps_error_message(r), "no byte"));
  assert_unanswered(r, PS_ERROR_TIMEOUT, PS_OUTCOME_UNKNOWN, 1);
  assert_took(0.3);
}

static void an_upload_that_stands_still_times_out(void **state) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  (void)state;
  options.timeout = 0.2;
  options.max_retries = 0;
  server_script(it, "[{\"silence\":\"headers\"}]");
  assert_unanswered(upload(&options, (size_t)16 << 20), PS_ERROR_TIMEOUT, PS_OUTCOME_UNKNOWN, 1);
  assert_took(0.2);
}

static void a_deadline_that_is_given_holds_for_transfers_too(void **state) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  (void)state;
  options.deadline = 0.25;
  server_script(it, "[{\"size\":100,\"slow\":[1,0.05]}]");
  assert_unanswered(download(&options), PS_ERROR_TIMEOUT, PS_OUTCOME_UNKNOWN, 1);
  assert_took(0.25);
}

/* ---- Cancelling ---- */

typedef struct {
  ps_exchange *x;
  double at;
} canceller;

static void *cancel_soon(void *context) {
  canceller *c = context;
  usleep(150000);
  c->at = seconds_now();
  ps_exchange_cancel(c->x);
  return NULL;
}

/* A call that another thread cancels must end within 50 ms; on a machine that is busy, the best of three. */
static ps_result *post_cancelled(const char *script) {
  double took = 0;
  for (int i = 0; i < 3; i++) {
    pthread_t thread;
    server_script(it, script);
    ps_exchange *x = ps_exchange_new(client, PS_CUSTOMERS_CREATE, NULL, NULL, NULL);
    canceller c = {x, 0};
    pthread_create(&thread, NULL, cancel_soon, &c);
    assert_int_equal(ps_exchange_run(x, -1), PS_DONE);
    double ended = seconds_now();
    pthread_join(thread, NULL);
    ps_result *r = ps_exchange_result(x);
    ps_exchange_free(x);
    took = ended - c.at;
    if (took < 0.05) return r;
    ps_result_free(r);
  }
  fail_msg("ended %g s after the cancel", took);
  return NULL;
}

static void cancel_ends_a_silent_call(void **state) {
  (void)state;
  ps_result *r = post_cancelled("[{\"silence\":\"after\"}]");
  assert_int_equal(strlen(ps_result_idempotency_key(r)), 36);
  assert_unanswered(r, PS_ERROR_CANCELLED, PS_OUTCOME_UNKNOWN, 1);
}

static void cancel_ends_a_wait(void **state) {
  (void)state;
  ps_result *r = post_cancelled("[{\"status\":429,\"headers\":{\"Retry-After\":\"30\"},\"body\":{\"error\":{}}}]");
  assert_unanswered(r, PS_ERROR_CANCELLED, PS_OUTCOME_REJECTED, 1);
}

static void cancel_before_the_run_sends_nothing(void **state) {
  (void)state;
  server_script(it, "[]");
  ps_exchange *x = ps_exchange_new(client, PS_CUSTOMERS_CREATE, NULL, NULL, NULL);
  ps_exchange_cancel(x);
  assert_int_equal(ps_exchange_run(x, -1), PS_DONE);
  assert_unanswered(ps_exchange_result(x), PS_ERROR_CANCELLED, PS_OUTCOME_NOT_SENT, 0);
  ps_exchange_free(x);
  assert_int_equal(server_requests(it), 0);
}

static void a_cancelled_call_leaves_no_trace_in_the_next(void **state) {
  (void)state;
  cancel_ends_a_silent_call(state);
  server_script(it, "[]");
  ps_result *r = get(client, NULL);
  assert_true(ps_result_ok(r));
  assert_string_equal(ps_str(ps_data(r), "path"), "/v1/balance");
  ps_result_free(r);
}

/* ---- Slices, and time in which nobody waits ---- */

static void a_run_stops_and_goes_on(void **state) {
  int slices = 0;
  (void)state;
  server_script(it, "[{\"delay\":0.3,\"body\":{\"id\":\"late\"}}]");
  ps_exchange *x = ps_exchange_new(client, PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  while (ps_exchange_run(x, 50) != PS_DONE) slices++;
  ps_result *r = ps_exchange_result(x);
  assert_string_equal(ps_str(ps_data(r), "id"), "late");
  assert_true(slices >= 3 && slices <= 6);
  assert_int_equal(server_requests(it), 1);
  ps_result_free(r);
  ps_exchange_free(x);
  assert_took(0.3);
}

static void a_wait_is_sliced_too(void **state) {
  int slices = 0;
  (void)state;
  server_script(it, "[{\"status\":500}]");
  ps_exchange *x = ps_exchange_new(client, PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  while (ps_exchange_run(x, 100) != PS_DONE) slices++;
  ps_result *r = ps_exchange_result(x);
  assert_true(ps_result_ok(r));
  assert_true(slices >= 3 && slices <= 15);
  ps_result_free(r);
  ps_exchange_free(x);
}

static void an_exchange_freed_under_way_is_given_up(void **state) {
  (void)state;
  server_script(it, "[{\"silence\":\"after\"}]");
  ps_exchange *x = ps_exchange_new(client, PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  assert_int_equal(ps_exchange_run(x, 50), PS_SEND);
  ps_exchange_free(x);
  ps_result *r = get(client, NULL);
  assert_true(ps_result_ok(r));
  ps_result_free(r);
  assert_took(0.05);
}

static void time_between_runs_does_not_count(void **state) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  (void)state;
  options.timeout = 0.2;
  options.deadline = 0.3;
  server_script(it, "[{},{\"delay\":0.4,\"body\":{\"id\":\"a\"}}]");
  ps_result_free(get(client, NULL)); /* the connection stands: the request is written at once */
  ps_exchange *x = ps_exchange_new(client, PS_BALANCE_RETRIEVE, NULL, NULL, &options);
  assert_int_equal(ps_exchange_run(x, 0), PS_SEND);
  usleep(500000);
  assert_int_equal(ps_exchange_run(x, -1), PS_DONE);
  ps_result *r = ps_exchange_result(x);
  assert_string_equal(ps_error_message(r), "");
  assert_int_equal(ps_result_attempts(r), 1);
  ps_result_free(r);
  ps_exchange_free(x);
}

/* Nor does it bring the deadline nearer: a day later there is time for another attempt. */
static void time_between_runs_is_given_back(void **state) {
  test_clock hours;
  (void)state;
  test_clock_init(&hours);
  ps_client_set_clock(client, &hours.clock);
  server_script(it, "[{},{\"close\":true},{\"body\":{\"id\":\"b\"}}]");
  ps_result_free(get(client, NULL));
  ps_exchange *x = ps_exchange_new(client, PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  assert_int_equal(ps_exchange_run(x, 0), PS_SEND);
  hours.now += 86400000;
  assert_int_equal(ps_exchange_run(x, -1), PS_DONE);
  ps_result *r = ps_exchange_result(x);
  assert_string_equal(ps_error_message(r), "");
  assert_int_equal(ps_result_attempts(r), 2);
  ps_result_free(r);
  ps_exchange_free(x);
}

#define PAGE(first, more)                                                                                              \
  "{\"body\":{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":" more ",\"data\":[{\"id\":\"" first            \
  "1\"},{\"id\":\"" first "2\"},{\"id\":\"" first "3\"},{\"id\":\"" first "4\"}]}"

/* Of four items the second makes the iterator ask for the next page; it is there when its turn comes. */
static void a_page_is_asked_for_ahead(void **state) {
  (void)state;
  server_script(it, "[" PAGE("a", "true") "}," PAGE("b", "false") ",\"delay\":0.8}]");
  ps_iter *charges = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  assert_string_equal(ps_str(ps_iter_next(charges), "id"), "a1");
  assert_int_equal(server_requests(it), 1);
  assert_string_equal(ps_str(ps_iter_next(charges), "id"), "a2");
  usleep(900000);
  assert_int_equal(server_requests(it), 2);
  double before = seconds_now();
  assert_string_equal(ps_str(ps_iter_next(charges), "id"), "a3");
  assert_string_equal(ps_str(ps_iter_next(charges), "id"), "a4");
  assert_string_equal(ps_str(ps_iter_next(charges), "id"), "b1");
  assert_true(seconds_now() - before < 0.7);
  while (ps_iter_next(charges)) {}
  assert_true(ps_result_ok(ps_iter_result(charges)));
  ps_iter_free(charges);
  ps_value *log = server_log(it);
  assert_int_equal(ps_count(log), 2);
  assert_string_equal(ps_str(log, "1.path"), "/v1/charges?limit=100&starting_after=a4");
  ps_value_free(log);
  assert_int_equal(server_connections(it), 1);
}

static void nothing_is_asked_for_ahead_unwanted(void **state) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  (void)state;
  options.prefetch = 0;
  server_script(it, "[" PAGE("a", "true") "}," PAGE("b", "false") "}]");
  ps_iter *charges = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, &options);
  for (int i = 0; i < 4; i++) assert_non_null(ps_iter_next(charges));
  usleep(50000);
  assert_int_equal(server_requests(it), 1);
  assert_non_null(ps_iter_next(charges));
  assert_int_equal(server_requests(it), 2);
  ps_iter_free(charges);
}

/* A request that nobody waits for has been written, but the server takes it in when it likes. */
static void await_requests(size_t count) {
  const struct timespec moment = {0, 5000000};
  double end = seconds_now() + 3;
  while (server_requests(it) < count && seconds_now() < end) nanosleep(&moment, NULL);
  assert_int_equal(server_requests(it), count);
}

static void a_page_asked_for_ahead_may_be_dropped(void **state) {
  (void)state;
  server_script(it, "[" PAGE("a", "true") "},{\"silence\":\"after\"}]");
  ps_iter *charges = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  assert_non_null(ps_iter_next(charges));
  assert_non_null(ps_iter_next(charges));
  await_requests(2);
  ps_iter_free(charges);
  ps_result *r = get(client, NULL);
  assert_true(ps_result_ok(r));
  ps_result_free(r);
  assert_took(0);
}

static void a_page_that_failed_ahead_is_tried_at_its_turn(void **state) {
  (void)state;
  server_script(it, "[" PAGE("a", "true") "},{\"close\":true}," PAGE("b", "false") "}]");
  ps_iter *charges = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  int count = 0;
  while (ps_iter_next(charges)) count++;
  assert_int_equal(count, 8);
  assert_true(ps_result_ok(ps_iter_result(charges)));
  ps_iter_free(charges);
}

static void the_rate_limit_spreads_requests(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  ps_call_options other = PS_CALL_OPTIONS_INIT;
  (void)state;
  options.rate_limit = 2;
  other.api_key = "sk_test_another";
  server_script(it, "[]");
  ps_client *paced = client_to(server_url(it), &options);
  for (int i = 0; i < 3; i++) ps_result_free(get(paced, NULL));
  assert_took(1);
  double before = seconds_now();
  ps_result_free(get(paced, &other));
  assert_true(seconds_now() - before < 0.45);
  ps_client_free(paced);
}

static void the_rate_limit_does_not_pass_the_deadline(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  options.rate_limit = 0.1;
  options.deadline = 2;
  server_script(it, "[]");
  ps_client *paced = client_to(server_url(it), &options);
  ps_result_free(get(paced, NULL));
  assert_unanswered(get(paced, NULL), PS_ERROR_TIMEOUT, PS_OUTCOME_NOT_SENT, 0);
  ps_client_free(paced);
  assert_took(0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(a_silent_attempt_times_out),
    TEST(a_timeout_is_tried_again_with_the_same_key),
    TEST(the_deadline_ends_all_attempts),
    TEST(a_dripping_answer_does_not_outlive_the_timeout),
    TEST(a_slow_download_takes_its_time),
    TEST(a_download_that_stands_still_times_out),
    TEST(an_upload_that_stands_still_times_out),
    TEST(a_deadline_that_is_given_holds_for_transfers_too),
    TEST(cancel_ends_a_silent_call),
    TEST(cancel_ends_a_wait),
    TEST(cancel_before_the_run_sends_nothing),
    TEST(a_cancelled_call_leaves_no_trace_in_the_next),
    TEST(a_run_stops_and_goes_on),
    TEST(a_wait_is_sliced_too),
    TEST(an_exchange_freed_under_way_is_given_up),
    TEST(time_between_runs_does_not_count),
    TEST(time_between_runs_is_given_back),
    TEST(a_page_is_asked_for_ahead),
    TEST(nothing_is_asked_for_ahead_unwanted),
    TEST(a_page_asked_for_ahead_may_be_dropped),
    TEST(a_page_that_failed_ahead_is_tried_at_its_turn),
    TEST(the_rate_limit_spreads_requests),
    TEST(the_rate_limit_does_not_pass_the_deadline),
  };
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
