/* What hooks are told, when; and that nothing a run tells anybody holds a key, a secret or a body. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

#include <cmocka.h>

static test_clock hours;
static ps_client *client;
static ps_buf told;            /* everything that the run told anybody */
static char order[40];         /* a letter an event: of the log in capitals, of the other hooks in small letters */
static ps_call_event last;     /* numbers of the last event */
static ps_client *call_inside; /* a client to call from within a hook, once */

static void note(char letter) {
  size_t length = strlen(order);
  if (length + 1 < sizeof order) memcpy(order + length, (char[2]){letter, 0}, 2);
}

static void tell(const char *text) {
  ps_buf_str(&told, text);
  ps_buf_char(&told, '\n');
}

static void on_log(void *context, const ps_call_event *e) {
  char *line = ps_log_line(e);
  assert_ptr_equal(context, &told);
  assert_non_null(line);
  assert_null(strchr(line, '\n'));
  note("QPRN"[e->kind]);
  tell(line);
  tell(e->operation), tell(e->method), tell(e->path), tell(e->request_id), tell(e->message);
  last = *e;
  ps_free(line);
}

static void on_request(void *context, const ps_call_event *e) {
  ps_client *inner = call_inside;
  (void)context;
  assert_int_equal(e->kind, PS_EVENT_REQUEST);
  note('q');
  call_inside = NULL;
  if (inner) ps_result_free(get(inner, NULL));
}

static void on_response(void *context, const ps_call_event *e) {
  (void)context;
  assert_int_equal(e->kind, PS_EVENT_RESPONSE);
  note('p');
}

static ps_client *client_with_hooks(const char *url, const char *key, const char *proxy) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.log = on_log;
  options.on_request = on_request;
  options.on_response = on_response;
  options.hook_context = &told;
  options.api_key = key;
  options.proxy = proxy;
  ps_client *c = client_to(url, &options);
  ps_client_set_clock(c, &hours.clock);
  return c;
}

static int begin(void **state) {
  (void)state;
  test_clock_init(&hours);
  order[0] = '\0';
  told = PS_BUF_INIT;
  client = client_with_hooks(server_url(it), NULL, NULL);
  return 0;
}

static int end(void **state) {
  (void)state;
  ps_client_free(client);
  ps_buf_dispose(&told);
  return 0;
}

static void hooks_follow_the_call(void **state) {
  (void)state;
  server_script(
    it, "[{\"status\":500,\"body\":{}},{\"reset\":\"after\"},{\"headers\":{\"Stripe-Notice\":\"Mind the gap\"}}]");
  ps_result_free(post(client, NULL));
  assert_string_equal(order, "qQpPR"
                             "qQpPR"
                             "qQpPN");
  assert_int_equal(last.kind, PS_EVENT_NOTICE);
  assert_int_equal(last.level, PS_LOG_WARN);
  assert_int_equal(last.attempt, 3);
  assert_non_null(strstr(ps_buf_text(&told), "Mind the gap"));
  assert_non_null(strstr(ps_buf_text(&told), "POST /v1/customers"));
  assert_non_null(strstr(ps_buf_text(&told), "customers.create"));
  assert_non_null(strstr(ps_buf_text(&told), "req_3"));
}

static void a_request_is_told_before_it_is_sent(void **state) {
  (void)state;
  server_script(it, "[]");
  ps_exchange *x = ps_exchange_new(client, PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  ps_exchange_run(x, 0);
  assert_string_equal(order, "qQ");
  ps_exchange_free(x);
}

static void a_hook_may_make_calls(void **state) {
  (void)state;
  server_script(it, "[]");
  call_inside = client;
  ps_result *r = post(client, NULL);
  assert_true(ps_result_ok(r));
  ps_result_free(r);
  assert_string_equal(order, "q"
                             "qQpP"
                             "QpP");
  assert_int_equal(server_requests(it), 2);
}

/* ---- Secrets ---- */

#define CALL_KEY "rk_test_51OnlyOfThisCall0Qw8"
#define SECRET_BODY "jenny-secret-parameter"
#define LINK "MDB8YWNjdF8xabcdefOnlyForWhoeverHasIt"

static void tell_result(ps_result *r) {
  tell(ps_error_message(r));
  tell(ps_error_kind_name(ps_error_kind(r)));
  ps_result_free(r);
}

static void call_all_ways(ps_client *c, const ps_call_options *options) {
  const char *ids[] = {"cus_1", NULL};
  ps_value *params = ps_params("name", SECRET_BODY, NULL);
  tell_result(ps_call(c, PS_CUSTOMERS_CREATE, NULL, params, options));
  tell_result(ps_call(c, PS_CUSTOMERS_LIST, NULL, params, options));
  tell_result(ps_call(c, PS_CUSTOMERS_UPDATE, ids, params, options));
  tell_result(ps_call(c, "customers.craete", ids, params, options));
  tell_result(ps_request(c, "POST", "https://elsewhere/v1", params, options));
  tell_result(ps_request(c, "GET", "/v1/search?query=" SECRET_BODY, NULL, options));
  tell_result(ps_file_download(c, "/links/" LINK "?name=" SECRET_BODY, options));
  tell_result(ps_file_download(c, "https://elsewhere/links/" LINK "?name=" SECRET_BODY, options));
  ps_value_free(params);
}

static void tell_cursor(const ps_call_options *options) {
  server_script(
    it, "[{\"body\":{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":true,\"data\":[{\"id\":\"a\"}]}}]");
  ps_iter *charges = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, options);
  ps_iter_next(charges);
  char *cursor = ps_iter_cursor(charges);
  assert_non_null(cursor);
  tell(cursor);
  ps_free(cursor);
  ps_iter_free(charges);
}

static void nothing_told_holds_a_secret(void **state) {
  static const char *const scripts[] = {
    "[]",
    "[{\"status\":401,\"repeat\":true,\"body\":{\"error\":{\"message\":\"Invalid API Key provided: " CALL_KEY
    " or " TEST_KEY "\"}}}]",
    "[{\"repeat\":true,\"headers\":{\"Content-Type\":\"text/html\"},\"body\":\"<html>" CALL_KEY " " TEST_KEY "\"}]",
    "[{\"repeat\":true,\"headers\":{\"Stripe-Notice\":\"" CALL_KEY " " TEST_KEY "\"}}]",
    "[{\"reset\":\"after\",\"repeat\":true}]",
  };
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  (void)state;
  options.api_key = CALL_KEY;
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    server_script(it, scripts[i]);
    call_all_ways(client, i % 2 ? &options : NULL);
  }
  tell_cursor(&options);
  ps_client *odd = client_with_hooks(server_url(it), TEST_KEY " with a space", NULL);
  call_all_ways(odd, NULL);
  ps_client_free(odd);
  odd = client_with_hooks("http://api.stripe.test", NULL, "http://user:proxy-password@127.0.0.1:1");
  call_all_ways(odd, NULL);
  ps_client_free(odd);
  const char *text = ps_buf_text(&told);
  assert_true(strlen(text) > 5000);
  assert_null(strstr(text, TEST_KEY));
  assert_null(strstr(text, CALL_KEY));
  assert_null(strstr(text, "FaultsFaults"));
  assert_null(strstr(text, "OnlyOfThisCall"));
  assert_null(strstr(text, SECRET_BODY));
  assert_null(strstr(text, "OnlyForWhoever"));
  assert_null(strstr(text, "proxy-password"));
}

/* A link is told by the end that it shares with the log of who made it. */
static void the_path_of_an_event_holds_neither_its_query_nor_a_link(void **state) {
  (void)state;
  server_script(it, "[]");
  ps_result_free(ps_file_download(client, "/links/MDB8YWNjdF8x%7Cfl?name=" SECRET_BODY, NULL));
  assert_non_null(strstr(ps_buf_text(&told), "\n/links/*************7Cfl\n"));
  ps_result_free(ps_request(client, "GET", "/v1/things/whsec_abcdefghijkl?query=" SECRET_BODY, NULL, NULL));
  assert_non_null(strstr(ps_buf_text(&told), "\n/v1/things/whsec_********ijkl\n"));
  assert_null(strstr(ps_buf_text(&told), "?"));
}

static void an_address_that_is_refused_is_told_without_its_secret(void **state) {
  (void)state;
  server_script(it, "[]");
  ps_result *r = ps_file_download(client, "https://elsewhere/links/" LINK "?name=" SECRET_BODY, NULL);
  assert_string_equal(
    ps_error_message(r),
    "https://elsewhere/links/*********************************asIt is not an address of Stripe's files: "
    "it is not asked, and no key sent");
  assert_string_equal(order, "");
  assert_int_equal(server_requests(it), 0);
  ps_result_free(r);
}

static void a_base_with_a_password_is_refused_without_repeating_it(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  options.api_base = "https://user:base-password@api.stripe.com";
  ps_client *c = ps_client_new(TEST_KEY, &options);
  assert_non_null(strstr(ps_client_error(c), "api_base"));
  assert_null(strstr(ps_client_error(c), "base-password"));
  ps_client_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(hooks_follow_the_call),
    TEST(a_request_is_told_before_it_is_sent),
    TEST(a_hook_may_make_calls),
    TEST(nothing_told_holds_a_secret),
    TEST(the_path_of_an_event_holds_neither_its_query_nor_a_link),
    TEST(an_address_that_is_refused_is_told_without_its_secret),
    TEST(a_base_with_a_password_is_refused_without_repeating_it),
  };
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
