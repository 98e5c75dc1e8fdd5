/* Clients, calls and iterators with every allocation of the library failing in turn: each ends with its answer or with
 * the memory error, and what is over is freed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
  options.api_base = options.files_base = server_url(it);
  ps_client *client = ps_client_new(TEST_KEY, &options);
  ps_value_free(settings);
  return client;
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
  assert_true(oom_each(run_calls, NULL) > 50);
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
  };
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
