/* Names that do not resolve, or not in time. Runs itself again under a getaddrinfo of its own (preload_resolver.c). */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

#include <cmocka.h>

static test_clock hours;

/* The machine may be busy; the resolver would take a minute. */
static void assert_took(double begun, double least) {
  double passed = seconds_now() - begun;
  if (passed < least - 0.01 || passed > least + 3) fail_msg("took %g s, not about %g", passed, least);
}

static void an_unknown_name_was_not_sent(void **state) {
  (void)state;
  test_clock_init(&hours);
  ps_client *client = client_to("http://fail.test", NULL);
  ps_client_set_clock(client, &hours.clock);
  ps_result *r = post(client, NULL);
  assert_non_null(strstr(ps_error_message(r), "fail.test"));
  assert_unanswered(r, PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT, 3);
  ps_client_free(client);
}

/* Freeing everything is part of what must not wait for the resolver. */
static void a_hanging_resolver_does_not_outlive_the_connect_timeout(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  double begun = seconds_now();
  options.connect_timeout = 0.2;
  options.max_retries = 0;
  ps_client *client = client_to("http://hang.test", &options);
  assert_unanswered(post(client, NULL), PS_ERROR_TIMEOUT, PS_OUTCOME_NOT_SENT, 1);
  ps_client_free(client);
  assert_took(begun, 0.2);
}

static void a_hanging_resolver_does_not_outlive_the_deadline(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  double begun = seconds_now();
  options.deadline = 0.3;
  ps_client *client = client_to("http://hang.test", &options);
  assert_unanswered(post(client, NULL), PS_ERROR_TIMEOUT, PS_OUTCOME_NOT_SENT, 1);
  ps_client_free(client);
  assert_took(begun, 0.3);
}

static void *cancel_soon(void *x) {
  usleep(100000);
  ps_exchange_cancel(x);
  return NULL;
}

static void a_hanging_resolver_can_be_cancelled(void **state) {
  pthread_t thread;
  (void)state;
  double begun = seconds_now();
  ps_client *client = client_to("http://hang.test", NULL);
  ps_exchange *x = ps_exchange_new(client, PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  pthread_create(&thread, NULL, cancel_soon, x);
  assert_int_equal(ps_exchange_run(x, -1), PS_DONE);
  assert_unanswered(ps_exchange_result(x), PS_ERROR_CANCELLED, PS_OUTCOME_NOT_SENT, 1);
  pthread_join(thread, NULL);
  ps_exchange_free(x);
  ps_client_free(client);
  assert_took(begun, 0.1);
}

/* libcurl's own clock for connecting runs while nobody waits; the request's does not. */
static void connecting_begins_again_after_a_pause(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  options.connect_timeout = 0.3;
  options.max_retries = 0;
  ps_client *client = client_to("http://hang.test", &options);
  ps_exchange *x = ps_exchange_new(client, PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  assert_int_equal(ps_exchange_run(x, 0), PS_SEND);
  usleep(400000);
  assert_int_equal(ps_exchange_run(x, 100), PS_SEND);
  assert_int_equal(ps_exchange_run(x, -1), PS_DONE);
  assert_unanswered(ps_exchange_result(x), PS_ERROR_TIMEOUT, PS_OUTCOME_NOT_SENT, 1);
  ps_exchange_free(x);
  ps_client_free(client);
}

/* Adds to a variable that is a list. */
static void append(const char *variable, const char *value) {
  const char *old = getenv(variable);
  char list[800];
  snprintf(list, sizeof list, "%s%s%s", old ? old : "", old ? ":" : "", value);
  setenv(variable, list, 1);
}

int main(int count, char **arguments) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_unknown_name_was_not_sent),
    cmocka_unit_test(a_hanging_resolver_does_not_outlive_the_connect_timeout),
    cmocka_unit_test(a_hanging_resolver_does_not_outlive_the_deadline),
    cmocka_unit_test(a_hanging_resolver_can_be_cancelled),
    cmocka_unit_test(connecting_begins_again_after_a_pause),
  };
  if (count > 1) return cmocka_run_group_tests(tests, NULL, NULL);
  append("LD_PRELOAD", PS_BUILD_DIR "/tests/preload_resolver.so");
  append("ASAN_OPTIONS", "verify_asan_link_order=0");
  execl(arguments[0], arguments[0], "preloaded", (char *)NULL);
  return 1;
}
