/* Options by name and by struct, and clients that could not be made: no request is sent here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

#include <cmocka.h>

static ps_value *parse(const char *json) {
  ps_value *v = ps_value_parse(json, strlen(json));
  assert_string_equal(ps_value_error(v), "");
  return v;
}

/* ---- Reading by name ---- */

static void options_are_not_set_at_first(void **state) {
  ps_client_options client = PS_CLIENT_OPTIONS_INIT;
  ps_call_options call = PS_CALL_OPTIONS_INIT;
  (void)state;
  assert_int_equal(client.size, sizeof client);
  assert_null(client.api_key);
  assert_null(client.headers);
  assert_null(client.transport);
  assert_true(client.timeout < 0 && client.deadline < 0 && client.rate_limit < 0);
  assert_true(client.max_retries < 0 && client.max_body < 0 && client.strict < 0);
  assert_int_equal(call.size, sizeof call);
  assert_true(call.timeout < 0 && call.max_retries < 0 && call.prefetch < 0);
}

static void every_option_is_read_by_its_name(void **state) {
  (void)state;
  ps_value *map =
    parse("{\"api_key\":\"sk_test_1\",\"timeout\":1.5,\"deadline\":3,\"max_retries\":0,\"strict\":true,"
          "\"headers\":{\"A\":\"b\"},\"app_info\":{\"name\":\"shop\"},\"ca_data\":\"PEM\",\"proxy\":null}");
  ps_client_options o = PS_CLIENT_OPTIONS_INIT;
  o.proxy = "kept";
  assert_null(ps_client_options_read(&o, map));
  assert_string_equal(o.api_key, "sk_test_1");
  assert_true(o.timeout == 1.5 && o.deadline == 3);
  assert_int_equal(o.max_retries, 0);
  assert_int_equal(o.strict, 1);
  assert_string_equal(ps_str(o.headers, "A"), "b");
  assert_string_equal(ps_str(o.app_info, "name"), "shop");
  assert_string_equal(o.ca_data, "PEM");
  assert_string_equal(o.proxy, "kept");
  assert_true(o.connect_timeout < 0);
  ps_value_free(map);
  assert_null(ps_client_options_read(&o, NULL));
}

static void call_options_are_their_own(void **state) {
  (void)state;
  ps_value *map = parse("{\"idempotency_key\":\"k\",\"prefetch\":0,\"base\":\"files\"}");
  ps_call_options o = PS_CALL_OPTIONS_INIT;
  assert_null(ps_call_options_read(&o, map));
  assert_string_equal(o.idempotency_key, "k");
  assert_string_equal(o.base, "files");
  assert_int_equal(o.prefetch, 0);
  ps_value_free(map);
}

static void a_body_is_read_to_its_length(void **state) {
  (void)state;
  ps_value *map = parse("{\"body\":\"a\\u0000b\"}");
  ps_call_options o = PS_CALL_OPTIONS_INIT;
  assert_true(o.body_length < 0);
  assert_null(ps_call_options_read(&o, map));
  assert_int_equal(o.body_length, 3);
  assert_memory_equal(o.body, "a\0b", 4);
  ps_value_free(map);
  map = parse("{\"body_length\":5}");
  char *wrong = ps_call_options_read(&o, map);
  assert_string_equal(wrong, "body_length is not an option");
  ps_free(wrong);
  ps_value_free(map);
}

static void assert_misread(const char *json, const char *message) {
  ps_value *map = parse(json);
  ps_client_options o = PS_CLIENT_OPTIONS_INIT;
  char *wrong = ps_client_options_read(&o, map);
  assert_non_null(wrong);
  assert_string_equal(wrong, message);
  ps_free(wrong);
  ps_value_free(map);
}

static void what_is_wrong_with_an_option_is_said(void **state) {
  (void)state;
  assert_misread("{\"timout\":1}", "timout is not an option; the nearest is timeout");
  assert_misread("{\"something_else_entirely\":1}", "something_else_entirely is not an option");
  assert_misread("{\"log\":\"x\"}", "log is not an option; the nearest is lang");
  assert_misread("{\"timeout\":\"1\"}", "the option timeout must be a number of seconds, 0 or more");
  assert_misread("{\"timeout\":-1}", "the option timeout must be a number of seconds, 0 or more");
  assert_misread("{\"max_retries\":1.5}", "the option max_retries must be an integer, 0 or more");
  assert_misread("{\"max_retries\":-1}", "the option max_retries must be an integer, 0 or more");
  assert_misread("{\"strict\":2}", "the option strict must be true or false");
  assert_misread("{\"api_key\":5}", "the option api_key must be a string");
  assert_misread("{\"api_key\":\"a\\u0000b\"}", "the option api_key must be a string");
  assert_misread("{\"headers\":[\"a\"]}", "the option headers must be a map of names to values");
  assert_misread("[1]", "options must be a map of names to values");
}

static void a_poisoned_map_is_refused(void **state) {
  (void)state;
  ps_value *map = ps_value_new();
  ps_value_set_int(ps_map_set(map, "max_retries"), 1);
  ps_value_fail(map, "spoiled by the caller");
  ps_call_options o = PS_CALL_OPTIONS_INIT;
  char *wrong = ps_call_options_read(&o, map);
  assert_string_equal(wrong, "spoiled by the caller");
  ps_free(wrong);
  ps_value_free(map);
}

/* ---- Structs of other versions ---- */

/* As a program would have it that was built when there were only the first fields. */
static void a_smaller_struct_of_an_older_header_is_taken(void **state) {
  struct {
    size_t size;
    const char *api_key, *stripe_account;
    char beyond[16];
  } old;
  (void)state;
  memset(old.beyond, 0x5a, sizeof old.beyond);
  ps_client_options_clear((ps_client_options *)(void *)&old, offsetof(ps_client_options, stripe_context));
  assert_int_equal(old.size, offsetof(ps_client_options, stripe_context));
  for (size_t i = 0; i < sizeof old.beyond; i++) assert_int_equal(old.beyond[i], 0x5a);
  old.api_key = "sk_test_old";
  ps_client *client = ps_client_new(NULL, (const ps_client_options *)(const void *)&old);
  assert_string_equal(ps_client_error(client), "");
  ps_client_free(client);
  ps_value *map = parse("{\"stripe_context\":\"x\"}");
  char *wrong = ps_client_options_read((ps_client_options *)(void *)&old, map);
  assert_non_null(wrong);
  for (size_t i = 0; i < sizeof old.beyond; i++) assert_int_equal(old.beyond[i], 0x5a);
  ps_free(wrong);
  ps_value_free(map);
}

static void assert_usage(ps_result *r, const char *needle) {
  assert_int_equal(ps_error_kind(r), PS_ERROR_USAGE);
  assert_int_equal(ps_error_outcome(r), PS_OUTCOME_NOT_SENT);
  assert_int_equal(ps_result_attempts(r), 0);
  if (!strstr(ps_error_message(r), needle)) fail_msg("\"%s\" is not in \"%s\"", needle, ps_error_message(r));
  ps_result_free(r);
}

static void options_that_were_not_begun_are_refused(void **state) {
  ps_client_options options = {0};
  ps_call_options call = {0};
  (void)state;
  ps_client *client = ps_client_new("sk_test_1", &options);
  assert_non_null(strstr(ps_client_error(client), "PS_CLIENT_OPTIONS_INIT"));
  assert_usage(ps_call(client, PS_BALANCE_RETRIEVE, NULL, NULL, NULL), "PS_CLIENT_OPTIONS_INIT");
  ps_client_free(client);
  client = ps_client_new("sk_test_1", NULL);
  assert_usage(ps_call(client, PS_BALANCE_RETRIEVE, NULL, NULL, &call), "PS_CALL_OPTIONS_INIT");
  ps_client_free(client);
}

/* ---- Clients ---- */

static const ps_settings *settings_of(ps_client *client) {
  static ps_exchange_host host;
  ps_client_host(client, &host);
  return host.defaults;
}

static void a_client_has_the_documented_defaults(void **state) {
  (void)state;
  ps_client *client = ps_client_new("sk_test_1", NULL);
  const ps_settings *s = settings_of(client);
  assert_string_equal(ps_client_error(client), "");
  assert_string_equal(s->bases[PS_BASE_API], "https://api.stripe.com");
  assert_string_equal(s->bases[PS_BASE_FILES], "https://files.stripe.com");
  assert_string_equal(s->bases[PS_BASE_CONNECT], "https://connect.stripe.com");
  assert_string_equal(s->bases[PS_BASE_METER_EVENTS], "https://meter-events.stripe.com");
  assert_int_equal(s->max_retries, 2);
  assert_int_equal(s->max_body, 256 << 20);
  assert_true(s->timeout == 80 && s->connect_timeout == 10 && s->deadline < 0);
  assert_string_equal(s->lang, "c");
  assert_true(strncmp(s->httplib, "libcurl/7.", 10) == 0 || strncmp(s->httplib, "libcurl/8.", 10) == 0);
  ps_client_free(client);
}

static void the_key_comes_from_argument_option_or_environment(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  options.api_key = "sk_test_option";
  setenv("STRIPE_API_KEY", "sk_test_environment", 1);
  ps_client *first = ps_client_new("sk_test_argument", &options), *second = ps_client_new(NULL, &options);
  ps_client *third = ps_client_new(NULL, NULL);
  unsetenv("STRIPE_API_KEY");
  ps_client *fourth = ps_client_new(NULL, NULL);
  assert_string_equal(settings_of(first)->api_key, "sk_test_argument");
  assert_string_equal(settings_of(second)->api_key, "sk_test_option");
  assert_string_equal(settings_of(third)->api_key, "sk_test_environment");
  ps_result *r = ps_call(fourth, PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  assert_int_equal(ps_error_kind(r), PS_ERROR_AUTHENTICATION);
  assert_int_equal(ps_error_outcome(r), PS_OUTCOME_NOT_SENT);
  ps_result_free(r);
  ps_client_free(first);
  ps_client_free(second);
  ps_client_free(third);
  ps_client_free(fourth);
}

static const char *files_base(ps_client *client) {
  ps_exchange_host host;
  ps_client_host(client, &host);
  return host.defaults->bases[PS_BASE_FILES];
}

static void a_base_of_the_environment_is_for_its_key(void **state) {
  (void)state;
  ps_client_options o = PS_CLIENT_OPTIONS_INIT;
  setenv("STRIPE_API_KEY", "sk_test_env", 1);
  setenv("PINSTRIPE_API_BASE", "http://127.0.0.1:12111", 1);
  ps_client *from_environment = ps_client_new(NULL, NULL), *given = ps_client_new("sk_test_1", NULL);
  o.files_base = "https://files.example";
  ps_client *option = ps_client_new(NULL, &o);
  setenv("PINSTRIPE_API_BASE", "", 1);
  ps_client *empty = ps_client_new(NULL, NULL);
  assert_string_equal(files_base(from_environment), "http://127.0.0.1:12111");
  assert_string_equal(files_base(given), "https://files.stripe.com");
  assert_string_equal(files_base(option), "https://files.example");
  assert_string_equal(files_base(empty), "https://files.stripe.com");
  setenv("PINSTRIPE_API_BASE", "nonsense", 1);
  ps_client *wrong = ps_client_new(NULL, NULL);
  assert_non_null(strstr(ps_client_error(wrong), "api_base must be https://"));
  unsetenv("PINSTRIPE_API_BASE");
  unsetenv("STRIPE_API_KEY");
  ps_client_free(from_environment);
  ps_client_free(given);
  ps_client_free(option);
  ps_client_free(empty);
  ps_client_free(wrong);
}

static void a_client_copies_what_it_is_given(void **state) {
  char key[] = "sk_test_mine", base[] = "https://one.test/";
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  ps_value *headers = parse("{\"X-Mine\":\"1\"}");
  options.api_base = base;
  options.headers = headers;
  ps_client *client = ps_client_new(key, &options);
  memset(key, 'x', sizeof key - 1);
  memset(base, 'x', sizeof base - 1);
  ps_value_free(headers);
  assert_string_equal(settings_of(client)->api_key, "sk_test_mine");
  assert_string_equal(settings_of(client)->bases[PS_BASE_API], "https://one.test");
  assert_string_equal(ps_str(settings_of(client)->headers, "X-Mine"), "1");
  ps_client_free(client);
}

static void a_base_is_scheme_and_host(void **state) {
  static const char *const good[] = {"https://a.test",   "https://a.test:8443",    "https://a.test/",
                                     "https://[::1]:99", "http://127.0.0.1:12111", "http://localhost:1"};
  static const char *const bad[] = {"",
                                    "a.test",
                                    "ftp://a.test",
                                    "https://",
                                    "https:///",
                                    "http://",
                                    "https://a.test/v1",
                                    "https://a.test//",
                                    "https://a.test?x",
                                    "https://a.test#x",
                                    "https://u@a.test",
                                    "https://a.test\\b",
                                    "https://a test",
                                    "https://a.test\r\nX: y",
                                    "HTTPS//a"};
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    options.files_base = good[i];
    ps_client *client = ps_client_new("sk_test_1", &options);
    assert_string_equal(ps_client_error(client), "");
    ps_client_free(client);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    options.files_base = bad[i];
    ps_client *client = ps_client_new("sk_test_1", &options);
    if (!strstr(ps_client_error(client), "files_base must be")) fail_msg("%s was taken", bad[i]);
    assert_usage(ps_call(client, PS_BALANCE_RETRIEVE, NULL, NULL, NULL), "files_base");
    ps_client_free(client);
  }
}

static void plain_http_is_for_loopback_or_a_test_key(void **state) {
  static const struct {
    const char *base, *key;
  } refused[] = {
    {"http://api.test", "sk_live_1"}, {"http://127.0.0.1.evil.test", "rk_live_1"}, {"http://1270.0.0.1", "sk_1"}};
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  ps_call_options live = PS_CALL_OPTIONS_INIT;
  (void)state;
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    options.api_base = refused[i].base;
    ps_client *client = ps_client_new(refused[i].key, &options);
    assert_usage(ps_call(client, PS_BALANCE_RETRIEVE, NULL, NULL, NULL), "api_base must be https");
    ps_client_free(client);
  }
  options.api_base = "http://api.test";
  live.api_key = "sk_live_1";
  ps_client *client = ps_client_new("sk_test_1", &options);
  assert_usage(ps_call(client, PS_BALANCE_RETRIEVE, NULL, NULL, &live), "api_base must be https");
  ps_client_free(client);
}

static void wrong_maps_are_the_clients_error(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  ps_value *list = parse("[1]");
  options.headers = list;
  ps_client *client = ps_client_new("sk_test_1", &options);
  assert_string_equal(ps_client_error(client), "the option headers must be a map of names to values");
  ps_client_free(client);
  ps_value_free(list);
}

static void a_client_is_counted(void **state) {
  (void)state;
  ps_client *client = ps_client_new("sk_test_1", NULL);
  ps_exchange *x = ps_exchange_new(client, PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  assert_ptr_equal(ps_client_hold(client), client);
  ps_client_free(client);
  ps_client_free(client);
  ps_exchange_free(x);
  ps_client_free(NULL);
}

static void an_unknown_operation_is_named(void **state) {
  (void)state;
  ps_client *client = ps_client_new("sk_test_1", NULL);
  assert_usage(ps_call(client, "customers.craete", NULL, NULL, NULL),
               "customers.craete is not an operation; the nearest is customers.create");
  ps_iter *iter = ps_iter_new(client, "charge.list", NULL, NULL, NULL);
  assert_null(ps_iter_next(iter));
  assert_non_null(strstr(ps_error_message(ps_iter_result(iter)), "the nearest is charges.list"));
  ps_iter_free(iter);
  ps_client_free(client);
}

static void an_absent_text_is_named(void **state) {
  (void)state;
  ps_client *client = ps_client_new("sk_test_1", NULL);
  assert_usage(ps_call(client, NULL, NULL, NULL, NULL), "(NULL) is not an operation");
  assert_usage(ps_request(client, "GET", NULL, NULL, NULL), "path");
  assert_usage(ps_file_download(client, NULL, NULL), "(NULL) is not an address");
  ps_iter *iter = ps_iter_new(client, NULL, NULL, NULL, NULL);
  assert_null(ps_iter_next(iter));
  assert_int_equal(ps_error_kind(ps_iter_result(iter)), PS_ERROR_USAGE);
  ps_iter_free(iter);
  ps_client_free(client);
}

static void a_bad_client_spoils_each_call(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  options.api_base = "nowhere";
  ps_client *client = ps_client_new("sk_test_1", &options);
  assert_usage(ps_request(client, "GET", "/v1/x", NULL, NULL), "api_base");
  ps_iter *iter = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  assert_null(ps_iter_next(iter));
  assert_int_equal(ps_error_kind(ps_iter_result(iter)), PS_ERROR_USAGE);
  ps_iter_free(iter);
  ps_client_free(client);
}

static void before_its_first_step_an_exchange_has_nothing_to_carry_out(void **state) {
  (void)state;
  ps_client *client = ps_client_new("sk_test_1", NULL);
  ps_exchange *x = ps_exchange_new(client, "customers.craete", NULL, NULL, NULL);
  assert_true(ps_exchange_carry(x, 0));
  assert_int_equal(ps_exchange_step(x), PS_DONE);
  assert_usage(ps_exchange_result(x), "customers.craete is not an operation");
  ps_exchange_free(x);
  ps_client_free(client);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(options_are_not_set_at_first),
    cmocka_unit_test(every_option_is_read_by_its_name),
    cmocka_unit_test(call_options_are_their_own),
    cmocka_unit_test(a_body_is_read_to_its_length),
    cmocka_unit_test(what_is_wrong_with_an_option_is_said),
    cmocka_unit_test(a_poisoned_map_is_refused),
    cmocka_unit_test(a_smaller_struct_of_an_older_header_is_taken),
    cmocka_unit_test(options_that_were_not_begun_are_refused),
    cmocka_unit_test(a_client_has_the_documented_defaults),
    cmocka_unit_test(the_key_comes_from_argument_option_or_environment),
    cmocka_unit_test(a_base_of_the_environment_is_for_its_key),
    cmocka_unit_test(a_client_copies_what_it_is_given),
    cmocka_unit_test(a_base_is_scheme_and_host),
    cmocka_unit_test(plain_http_is_for_loopback_or_a_test_key),
    cmocka_unit_test(wrong_maps_are_the_clients_error),
    cmocka_unit_test(a_client_is_counted),
    cmocka_unit_test(an_unknown_operation_is_named),
    cmocka_unit_test(an_absent_text_is_named),
    cmocka_unit_test(a_bad_client_spoils_each_call),
    cmocka_unit_test(before_its_first_step_an_exchange_has_nothing_to_carry_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
