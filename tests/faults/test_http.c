/* core/http.c by itself: bodies from sources that no call has yet, and what it does with bad ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

#include <cmocka.h>

static ps_http *http;
static ps_http_response response;
static const ps_http_config config;

static int begin(void **state) {
  (void)state;
  server_script(it, "[]");
  http = ps_http_new(&config);
  assert_non_null(http);
  response = (ps_http_response){.arena = ps_arena_new(100), .max_body = 1 << 20};
  return 0;
}

static int end(void **state) {
  (void)state;
  ps_http_free(http);
  ps_arena_free(response.arena);
  ps_buf_dispose(&response.body);
  return 0;
}

/* A source of `given` bytes, in pieces of up to `piece`, each after `pause` microseconds; then it ends, or fails. */
typedef struct {
  size_t given, piece, done;
  useconds_t pause;
  bool fails;
} source;

static ptrdiff_t read_source(void *context, char *buffer, size_t size) {
  source *s = context;
  size_t left = s->given - s->done, n = left < size ? left : size;
  if (n > s->piece) n = s->piece;
  if (n == 0) return s->fails ? -1 : 0;
  if (s->pause) usleep(s->pause);
  memset(buffer, 'a', n);
  s->done += n;
  return (ptrdiff_t)n;
}

/* Sends a POST with that source; the announced length may be wrong. */
static void send_source(source *s, int64_t length, double timeout, bool transfer) {
  char url[100];
  const ps_body body = {length, read_source, NULL, s, NULL};
  const ps_http_header headers[] = {{"Content-Type", "text/plain"}, {"X-Empty", ""}, {"X-Test", "1"}};
  const ps_http_request request = {"POST", url, headers, 3, &body, timeout, 1, -1};
  snprintf(url, sizeof url, "%s/v1/a/../b?c=%%20", server_url(it));
  ps_http_begin(http, &request, &response, transfer);
  assert_true(ps_http_perform(http, -1));
}

static ps_value *echo(void) {
  assert_int_equal(response.failure.kind, PS_ERROR_NONE);
  assert_int_equal(response.status, 200);
  ps_value *v = ps_value_parse(response.body.data, response.body.length);
  assert_string_equal(ps_value_error(v), "");
  return v;
}

static void assert_failed(ps_error kind, ps_outcome outcome) {
  assert_string_equal(ps_error_kind_name(response.failure.kind), ps_error_kind_name(kind));
  assert_int_equal(response.failure.outcome, outcome);
  assert_false(ps_http_reusable(http));
}

static void a_known_length_is_announced(void **state) {
  source s = {.given = 100000, .piece = 999};
  (void)state;
  send_source(&s, 100000, 5, false);
  ps_value *v = echo();
  assert_string_equal(ps_str(v, "headers.content-length"), "100000");
  assert_int_equal(strlen(ps_str(v, "body")), 100000);
  assert_true(ps_http_reusable(http));
  ps_value_free(v);
}

static void what_is_given_is_what_is_sent(void **state) {
  source s = {.given = 1, .piece = 1};
  (void)state;
  send_source(&s, 1, 5, false);
  ps_value *v = echo();
  assert_string_equal(ps_str(v, "path"), "/v1/a/../b?c=%20");
  assert_string_equal(ps_str(v, "headers.x-test"), "1");
  assert_string_equal(ps_str(v, "headers.content-type"), "text/plain");
  assert_non_null(ps_map_get(ps_get(v, "headers"), "x-empty", 7));
  assert_null(ps_map_get(ps_get(v, "headers"), "expect", 6));
  assert_null(ps_map_get(ps_get(v, "headers"), "user-agent", 10));
  ps_value_free(v);
}

static void an_unknown_length_goes_out_in_chunks(void **state) {
  source s = {.given = 100000, .piece = 999};
  (void)state;
  send_source(&s, -1, 5, false);
  ps_value *v = echo();
  assert_string_equal(ps_str(v, "headers.transfer-encoding"), "chunked");
  assert_null(ps_map_get(ps_get(v, "headers"), "content-length", 14));
  assert_int_equal(strlen(ps_str(v, "body")), 100000);
  ps_value_free(v);
}

static void no_more_is_sent_than_was_announced(void **state) {
  source s = {.given = 1000, .piece = 1000};
  (void)state;
  send_source(&s, 400, 5, false);
  ps_value *v = echo();
  assert_int_equal(strlen(ps_str(v, "body")), 400);
  ps_value_free(v);
  assert_int_equal(server_requests(it), 1);
}

static void a_source_that_ends_early_fails(void **state) {
  source s = {.given = 1000, .piece = 1000};
  (void)state;
  send_source(&s, 4000, 5, false);
  assert_failed(PS_ERROR_USAGE, PS_OUTCOME_UNKNOWN);
}

static void a_source_that_fails_fails(void **state) {
  source s = {.given = 1000, .piece = 1000, .fails = true};
  (void)state;
  send_source(&s, -1, 5, false);
  assert_failed(PS_ERROR_USAGE, PS_OUTCOME_UNKNOWN);
}

static void an_upload_may_be_slow_while_it_moves(void **state) {
  source s = {.given = 10, .piece = 2, .pause = 100000};
  (void)state;
  send_source(&s, 10, 0.25, true);
  ps_value_free(echo());
  end(NULL);
  begin(NULL);
  s.done = 0;
  send_source(&s, 10, 0.25, false);
  assert_failed(PS_ERROR_TIMEOUT, PS_OUTCOME_UNKNOWN);
}

static void a_wake_before_a_wait_ends_it(void **state) {
  (void)state;
  double begun = seconds_now();
  ps_http_wake(http);
  ps_http_wait(http, 5000);
  assert_true(seconds_now() - begun < 4);
  begun = seconds_now();
  ps_http_wait(http, 100);
  assert_true(seconds_now() - begun > 0.09);
}

static void a_handle_serves_many_methods(void **state) {
  static const char *const methods[] = {"POST", "GET", "DELETE", "POST", "DELETE", "GET", "POST"};
  char url[100];
  (void)state;
  snprintf(url, sizeof url, "%s/v1/x", server_url(it));
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    bool has_body = strcmp(methods[i], "POST") == 0 && i > 0;
    source s = {.given = 3, .piece = 3};
    const ps_body body = {3, read_source, NULL, &s, NULL};
    const ps_http_request request = {methods[i], url, NULL, 0, has_body ? &body : NULL, 5, 5, -1};
    response.body.length = 0;
    ps_http_begin(http, &request, &response, false);
    assert_true(ps_http_perform(http, -1));
    ps_value *v = echo();
    assert_string_equal(ps_str(v, "method"), methods[i]);
    assert_string_equal(ps_str(v, "body"), has_body ? "aaa" : "");
    ps_value_free(v);
  }
  assert_int_equal(server_connections(it), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(a_known_length_is_announced),          TEST(what_is_given_is_what_is_sent),
    TEST(an_unknown_length_goes_out_in_chunks), TEST(no_more_is_sent_than_was_announced),
    TEST(a_source_that_ends_early_fails),       TEST(a_source_that_fails_fails),
    TEST(an_upload_may_be_slow_while_it_moves), TEST(a_wake_before_a_wait_ends_it),
    TEST(a_handle_serves_many_methods),
  };
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
