/* Clients, calls and iterators with every allocation of the library failing in turn: each ends with its answer or with
 * the memory error, and what is over is freed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/oom.h"
#include "server.h"

#include <cmocka.h>

#define PAGE(first, more)                                                                                              \
  "{\"body\":{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":" more ",\"data\":[{\"id\":\"" first            \
  "1\"},{\"id\":\"" first "2\"}]}"

/* False: it failed, for want of memory and nothing else. */
static bool is_good(const ps_result *r, bool failing) {
  if (ps_result_ok(r)) return true;
  if (!failing || ps_error_kind(r) != PS_ERROR_MEMORY)
    fail_msg("%s: %s", ps_error_kind_name(ps_error_kind(r)), ps_error_message(r));
  return false;
}

static ps_client *new_client(void) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  ps_value *settings = ps_params("headers[X-Mine]", "1", "app_info[name]", "shop", "ca_data", "PEM", NULL);
  char *wrong = ps_client_options_read(&options, settings);
  ps_free(wrong);
  options.rate_limit = 1e6;
  options.api_base = options.files_base = options.meter_events_base = server_url(it);
  ps_client *client = ps_client_new(TEST_KEY, &options);
  ps_value_free(settings);
  return client;
}

/* An upload that is fed, downloads into a file and through the window, and meter events. */
static void run_transfers(void *context, bool failing) {
  (void)context;
  ps_client *client = new_client();
  static const char *const quote[] = {"qt_1", NULL};
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  ps_value *params = ps_params("purpose", "dispute_evidence", NULL), *file = ps_map_set(params, "file");
  ps_value_set_bool(ps_map_set(file, "feed"), true);
  ps_exchange *x = ps_exchange_new(client, PS_FILES_CREATE, NULL, params, NULL);
  for (int pieces = 0; ps_exchange_run(x, -1) != PS_DONE; pieces++) ps_exchange_feed(x, "abc", pieces < 2 ? 3 : 0);
  ps_result *r = ps_exchange_result(x);
  if (is_good(r, failing)) assert_non_null(strstr(ps_str(ps_data(r), "body"), "abcabc"));
  ps_result_free(r);
  ps_exchange_free(x);
  ps_value_free(params);
  options.save_to = "/tmp/pinstripe-oom";
  r = ps_call(client, PS_QUOTES_PDF, quote, NULL, &options);
  if (is_good(r, failing)) assert_int_equal(unlink("/tmp/pinstripe-oom"), 0);
  else if (unlink("/tmp/pinstripe-oom") == 0)
    assert_int_equal(ps_error_outcome(r), PS_OUTCOME_UNKNOWN); /* all was there */
  ps_result_free(r);
  options.save_to = NULL;
  options.stream = 1;
  x = ps_exchange_new(client, PS_QUOTES_PDF, quote, NULL, &options);
  size_t got = 0, length;
  for (ps_step step = PS_SEND; step != PS_DONE; got += length) {
    step = ps_exchange_run(x, -1);
    ps_exchange_take(x, &length);
  }
  r = ps_exchange_result(x);
  if (is_good(r, failing)) assert_true(got > 10);
  ps_result_free(r);
  ps_exchange_free(x);
  ps_client_free(client);
}

static void transfers_bear_it(void **state) {
  (void)state;
  server_script(it, "[]");
  assert_true(oom_each(run_transfers, NULL) > 40);
}

static void run_meter(void *context, bool failing) {
  (void)context;
  ps_client *client = new_client();
  ps_meter *m = ps_meter_new(client, -1, 3);
  ps_value *event = ps_params("event_name", "a", "payload[value]", "1", NULL);
  const char *wrong = m ? ps_meter_add(m, event) : "no memory";
  if (!failing) assert_null(wrong);
  if (wrong && m) assert_non_null(strstr(wrong, *ps_value_error(event) ? "could not be built" : "no memory"));
  if (m && !wrong && !ps_meter_flush(m)) {
    assert_false(is_good(ps_meter_result(m), failing));
    assert_int_equal(ps_meter_pending(m), 1);
    ps_value_free(ps_meter_skip(m));
  }
  ps_meter_free(m);
  ps_value_free(event);
  ps_client_free(client);
}

static void meters_bear_it(void **state) {
  (void)state;
  server_script(it, "[{\"body\":{\"authentication_token\":\"t\"},\"repeat\":true}]");
  assert_true(oom_each(run_meter, NULL) > 20);
}

static void run_calls(void *context, bool failing) {
  (void)context;
  ps_client *client = new_client();
  ps_value *params = ps_params("email", "jenny@example.com", "metadata[order]", "6735", NULL);
  ps_result *r = ps_call(client, PS_CUSTOMERS_CREATE, NULL, params, NULL);
  if (is_good(r, failing)) assert_string_equal(ps_str(ps_data(r), "path"), "/v1/customers");
  ps_result_free(r);
  ps_value_free(params);
  params = ps_params("purpose", "dispute_evidence", "file[content]", "abc", NULL);
  r = ps_call(client, PS_FILES_CREATE, NULL, params, NULL);
  if (is_good(r, failing)) assert_non_null(strstr(ps_str(ps_data(r), "body"), "abc"));
  ps_result_free(r);
  ps_value_free(params);
  ps_client_free(client);
}

static void calls_bear_it(void **state) {
  (void)state;
  server_script(it, "[]");
  assert_true(oom_each(run_calls, NULL) > 40);
}

static void run_list(void *context, bool failing) {
  (void)context;
  size_t count = 0;
  ps_client *client = new_client();
  ps_value *params = ps_params("limit", "2", NULL);
  ps_iter *charges = ps_iter_new(client, PS_CHARGES_LIST, NULL, params, NULL);
  while (ps_iter_next(charges) && count < 6) count++;
  is_good(ps_iter_result(charges), failing);
  if (!failing) assert_int_equal(count, 6);
  ps_free(ps_iter_cursor(charges));
  ps_iter_free(charges);
  ps_value_free(params);
  ps_client_free(client);
}

static void lists_bear_it(void **state) {
  (void)state;
  server_script(it, "[" PAGE("a", "true") ",\"repeat\":true}]");
  assert_true(oom_each(run_list, NULL) > 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(calls_bear_it),
    cmocka_unit_test(lists_bear_it),
    cmocka_unit_test(transfers_bear_it),
    cmocka_unit_test(meters_bear_it),
  };
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
