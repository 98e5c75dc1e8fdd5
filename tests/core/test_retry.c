/* WIRE's retry table row by row, the delays, Retry-After, the deadline, and the rate limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "retry.h"

static const double almost_one = 4294967295.0 / 4294967296.0;

/* ---- Whether ---- */

typedef struct {
  int status;
  const char *should_retry;
  ps_error failure;
  ps_outcome outcome;
  bool again, again_if_not_sent;
} row;

static const row rows[] = {
  /* the token of a session has expired: whatever else is said, another is needed */
  {401, NULL, PS_ERROR_TEMPORARY_SESSION_EXPIRED, PS_OUTCOME_REJECTED, false, false},
  {409, NULL, PS_ERROR_TEMPORARY_SESSION_EXPIRED, PS_OUTCOME_REJECTED, false, false},
  {500, "true", PS_ERROR_TEMPORARY_SESSION_EXPIRED, PS_OUTCOME_REJECTED, false, false},
  /* Stripe-Should-Retry before everything below */
  {200, "true", PS_ERROR_PROTOCOL, PS_OUTCOME_UNKNOWN, true, false},
  {400, "true", PS_ERROR_INVALID_REQUEST, PS_OUTCOME_REJECTED, true, false},
  {402, "true", PS_ERROR_CARD, PS_OUTCOME_REJECTED, true, false},
  {500, "true", PS_ERROR_API, PS_OUTCOME_REJECTED, true, false},
  {409, "false", PS_ERROR_CONFLICT, PS_OUTCOME_REJECTED, false, false},
  {429, "false", PS_ERROR_RATE_LIMIT, PS_OUTCOME_REJECTED, false, false},
  {500, "false", PS_ERROR_API, PS_OUTCOME_REJECTED, false, false},
  {503, "false", PS_ERROR_API, PS_OUTCOME_REJECTED, false, false},
  /* neither word: as if it were absent */
  {500, "TRUE", PS_ERROR_API, PS_OUTCOME_REJECTED, true, false},
  {400, "TRUE", PS_ERROR_INVALID_REQUEST, PS_OUTCOME_REJECTED, false, false},
  {500, "", PS_ERROR_API, PS_OUTCOME_REJECTED, true, false},
  /* 409, 429, 500 and above */
  {409, NULL, PS_ERROR_CONFLICT, PS_OUTCOME_REJECTED, true, false},
  {429, NULL, PS_ERROR_RATE_LIMIT, PS_OUTCOME_REJECTED, true, false},
  {500, NULL, PS_ERROR_API, PS_OUTCOME_REJECTED, true, false},
  {502, NULL, PS_ERROR_PROTOCOL, PS_OUTCOME_UNKNOWN, true, false},
  {503, NULL, PS_ERROR_API, PS_OUTCOME_REJECTED, true, false},
  {599, NULL, PS_ERROR_API, PS_OUTCOME_REJECTED, true, false},
  /* other statuses */
  {200, NULL, PS_ERROR_PROTOCOL, PS_OUTCOME_UNKNOWN, false, false},
  {302, NULL, PS_ERROR_API, PS_OUTCOME_REJECTED, false, false},
  {400, NULL, PS_ERROR_INVALID_REQUEST, PS_OUTCOME_REJECTED, false, false},
  {401, NULL, PS_ERROR_AUTHENTICATION, PS_OUTCOME_REJECTED, false, false},
  {402, NULL, PS_ERROR_CARD, PS_OUTCOME_REJECTED, false, false},
  {403, NULL, PS_ERROR_PERMISSION, PS_OUTCOME_REJECTED, false, false},
  {404, NULL, PS_ERROR_INVALID_REQUEST, PS_OUTCOME_REJECTED, false, false},
  {408, NULL, PS_ERROR_API, PS_OUTCOME_REJECTED, false, false},
  {499, NULL, PS_ERROR_API, PS_OUTCOME_REJECTED, false, false},
  /* could not resolve, connect, handshake timed out */
  {0, NULL, PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT, true, true},
  {0, NULL, PS_ERROR_TIMEOUT, PS_OUTCOME_NOT_SENT, true, true},
  /* lost, timed out or truncated after sending began; what had been received does not count */
  {0, NULL, PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, true, false},
  {0, NULL, PS_ERROR_TIMEOUT, PS_OUTCOME_UNKNOWN, true, false},
  {0, "false", PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, true, false},
  /* certificate refused, over the cap, cancelled, and what else the library refuses */
  {0, NULL, PS_ERROR_TLS, PS_OUTCOME_NOT_SENT, false, false},
  {0, NULL, PS_ERROR_TOO_LARGE, PS_OUTCOME_UNKNOWN, false, false},
  {0, NULL, PS_ERROR_CANCELLED, PS_OUTCOME_UNKNOWN, false, false},
  {0, NULL, PS_ERROR_CANCELLED, PS_OUTCOME_NOT_SENT, false, false},
  {0, NULL, PS_ERROR_PROTOCOL, PS_OUTCOME_UNKNOWN, false, false},
  {0, "true", PS_ERROR_TLS, PS_OUTCOME_NOT_SENT, false, false},
  {0, NULL, PS_ERROR_MEMORY, PS_OUTCOME_UNKNOWN, false, false},
  {0, NULL, PS_ERROR_USAGE, PS_OUTCOME_NOT_SENT, false, false},
};

static ps_attempt attempt_of(const row *r, bool only_if_not_sent) {
  return (ps_attempt){.number = 1,
                      .max_retries = 2,
                      .status = r->status,
                      .should_retry = r->should_retry,
                      .failure = r->failure,
                      .outcome = r->outcome,
                      .only_if_not_sent = only_if_not_sent,
                      .left_ms = -1};
}

static void every_row_of_the_table_holds(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ps_attempt a = attempt_of(&rows[i], false);
    if ((ps_retry_wait(&a) >= 0) != rows[i].again) fail_msg("row %zu, status %d", i, rows[i].status);
  }
}

static void some_requests_are_only_repeated_if_they_were_not_sent(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ps_attempt a = attempt_of(&rows[i], true);
    if ((ps_retry_wait(&a) >= 0) != rows[i].again_if_not_sent) fail_msg("row %zu, status %d", i, rows[i].status);
  }
}

static void there_are_as_many_attempts_as_allowed(void **state) {
  (void)state;
  for (int most = 0; most <= 5; most++) {
    for (int n = 1; n <= 8; n++) {
      ps_attempt a = {.number = n, .max_retries = most, .status = 500, .should_retry = "true", .left_ms = -1};
      assert_int_equal(ps_retry_wait(&a) >= 0, n <= most);
    }
  }
}

/* ---- When ---- */

static ps_attempt busy(int number) {
  return (ps_attempt){.number = number, .max_retries = 100, .status = 503, .left_ms = -1, .unix_time = 1700000000};
}

static void delays_grow_within_their_bounds(void **state) {
  (void)state;
  static const int64_t bounds[][2] = {{500, 1000},  {1000, 2000}, {2000, 4000}, {2500, 5000},
                                      {2500, 5000}, {2500, 5000}, {2500, 5000}, {2500, 5000}};
  for (int n = 1; n <= 8; n++) {
    ps_attempt a = busy(n);
    assert_int_equal(ps_retry_wait(&a), bounds[n - 1][0]);
    a.dice = 0.5;
    assert_int_equal(ps_retry_wait(&a), (bounds[n - 1][0] + bounds[n - 1][1]) / 2);
    a.dice = almost_one;
    assert_int_equal(ps_retry_wait(&a), bounds[n - 1][1] - 1);
    a = (ps_attempt){.number = n, .status = 400}; /* by itself, whatever the table says of it */
    assert_int_equal(ps_retry_wait(&a), -1);
    assert_int_equal(ps_retry_pause(&a), bounds[n - 1][0]);
    a.retry_after = "70";
    assert_int_equal(ps_retry_pause(&a), 60000);
  }
  ps_attempt a = busy(2000); /* no overflow */
  a.max_retries = 5000;
  assert_int_equal(ps_retry_wait(&a), 2500);
}

static void retry_after_is_seconds_or_a_date(void **state) {
  (void)state;
  static const struct {
    const char *value;
    int64_t seconds;
  } values[] = {
    {"0", 0},
    {"1", 1},
    {"7", 7},
    {"60", 60},
    {"3600", 3600},
    {"007", 7},
    {"99999999999999999999999", INT64_MAX},
    {"-1", 0},
    {"-99999999999999999999999", 0},
    {"", 0},
    {"soon", 0},
    {"1.5", 0},
    {"7s", 0},
    {"0x10", 0},
    {"1e3", 0},
    {"-", 0},
    {"Tue, 14 Nov 2023 22:13:50 GMT", 30}, /* 1700000000 is 22:13:20 */
    {"Tue, 14 Nov 2023 22:13:21 GMT", 1},
    {"Tue, 14 Nov 2023 22:13:20 GMT", 0},
    {"Tue, 14 Nov 2023 22:13:19 GMT", 0},
    {"Thu, 29 Feb 2024 00:00:00 GMT", 9164800},
    {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
    {"Fri, 31 Dec 9999 23:59:59 GMT", 251702300799},
    {"Tue, 14 Nov 2023", 0},
    {"Tue, 14 Foo 2023 22:13:50 GMT", 0},
    {"Tue, 14 N 2023 22:13:50 GMT", 0},
    {"Tue, 14 ovD 2023 22:13:50 GMT", 0},
    {"Tue, xx Nov 2023 22:13:50 GMT", 0},
  };
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    int64_t got = ps_retry_after(values[i].value, 1700000000);
    if (got != values[i].seconds) fail_msg("%s: %lld", values[i].value, (long long)got);
  }
}

static void retry_after_is_honoured_up_to_a_minute(void **state) {
  (void)state;
  static const struct {
    const char *value;
    int64_t wait; /* of the first retry at its shortest, 500 ms */
  } values[] = {{"0", 500},
                {"1", 1000},
                {"59", 59000},
                {"60", 60000},
                {"61", 60000},
                {"86400", 60000},
                {"99999999999999999999999", 60000},
                {"-5", 500},
                {"soon", 500},
                {"Tue, 14 Nov 2023 22:13:50 GMT", 30000},
                {"Wed, 15 Nov 2023 22:13:50 GMT", 60000},
                {"Mon, 13 Nov 2023 22:13:50 GMT", 500}};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    ps_attempt a = busy(1);
    a.retry_after = values[i].value;
    assert_int_equal(ps_retry_wait(&a), values[i].wait);
  }
  ps_attempt a = busy(4); /* it never shortens a wait */
  a.retry_after = "1";
  assert_int_equal(ps_retry_wait(&a), 2500);
}

static void no_wait_reaches_the_deadline(void **state) {
  (void)state;
  static const struct {
    const char *retry_after;
    int64_t left, wait;
  } values[] = {{NULL, 0, -1},   {NULL, 499, -1},   {NULL, 500, -1}, {NULL, 501, 500},        {NULL, -1, 500},
                {"7", 7000, -1}, {"7", 7001, 7000}, {"7", 100, -1},  {"86400", 60001, 60000}, {"86400", 60000, -1}};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    ps_attempt a = busy(1);
    a.retry_after = values[i].retry_after;
    a.left_ms = values[i].left;
    assert_int_equal(ps_retry_wait(&a), values[i].wait);
  }
}

/* ---- The rate limit ---- */

static void requests_keep_their_distance(void **state) {
  (void)state;
  ps_pace p = {.interval_ms = 1000.0 / 3};
  int64_t now = 5000;
  for (int i = 0; i < 30; i++) {
    double late = (double)ps_pace_wait(&p, now, -1) - i * 1000.0 / 3;
    assert_true(late > -1e-6 && late < 1.001); /* whole milliseconds, never too early */
  }
  p = (ps_pace){.interval_ms = 100};
  assert_int_equal(ps_pace_wait(&p, 1000, -1), 0);
  assert_int_equal(ps_pace_wait(&p, 1040, -1), 60);
  assert_int_equal(ps_pace_wait(&p, 1250, -1), 0); /* a pause saves nothing up */
  assert_int_equal(ps_pace_wait(&p, 1250, -1), 100);
}

static void no_rate_is_no_wait(void **state) {
  (void)state;
  ps_pace p = {.interval_ms = 0};
  for (int i = 0; i < 5; i++) assert_int_equal(ps_pace_wait(&p, 0, 0), 0);
}

static void a_request_that_would_come_too_late_takes_nobodys_place(void **state) {
  (void)state;
  ps_pace p = {.interval_ms = 1000};
  assert_int_equal(ps_pace_wait(&p, 0, 500), 0);
  for (int i = 0; i < 100; i++) assert_int_equal(ps_pace_wait(&p, 0, 1000), -1);
  assert_int_equal(ps_pace_wait(&p, 0, 1001), 1000);
  assert_int_equal(ps_pace_wait(&p, 0, -1), 2000);
}

static void a_rate_of_next_to_nothing_is_a_long_wait(void **state) {
  (void)state;
  ps_pace p = {.interval_ms = INFINITY};
  assert_int_equal(ps_pace_wait(&p, 10, 500), 0);
  assert_int_equal(ps_pace_wait(&p, 10, 500), -1);
  assert_true(ps_pace_wait(&p, 10, -1) > INT64_C(1000) * 86400 * 365);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_row_of_the_table_holds),
    cmocka_unit_test(some_requests_are_only_repeated_if_they_were_not_sent),
    cmocka_unit_test(there_are_as_many_attempts_as_allowed),
    cmocka_unit_test(delays_grow_within_their_bounds),
    cmocka_unit_test(retry_after_is_seconds_or_a_date),
    cmocka_unit_test(retry_after_is_honoured_up_to_a_minute),
    cmocka_unit_test(no_wait_reaches_the_deadline),
    cmocka_unit_test(requests_keep_their_distance),
    cmocka_unit_test(no_rate_is_no_wait),
    cmocka_unit_test(a_request_that_would_come_too_late_takes_nobodys_place),
    cmocka_unit_test(a_rate_of_next_to_nothing_is_a_long_wait),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
