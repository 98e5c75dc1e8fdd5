/* What the server's answers become: kinds, fields and outcomes of errors, and which of them are tried again, when, how
 * often and with which key: as seen by a server on a real socket. Waits pass on a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

#include <cmocka.h>

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

static void assert_error(const ps_result *r, ps_error kind, ps_outcome outcome, int attempts) {
  assert_string_equal(ps_error_kind_name(ps_error_kind(r)), ps_error_kind_name(kind));
  assert_string_equal(ps_outcome_name(ps_error_outcome(r)), ps_outcome_name(outcome));
  assert_int_equal(ps_result_attempts(r), attempts);
  assert_int_equal(server_requests(it), attempts);
  assert_true(*ps_error_message(r) != '\0');
}

/* ---- Kinds ---- */

static const struct {
  const char *answer; /* repeated */
  ps_error kind;
  int attempts;
} statuses[] = {
  {"\"status\":400,\"body\":{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"m\"}}",
   PS_ERROR_INVALID_REQUEST, 1},
  {"\"status\":400,\"body\":{\"error\":{\"type\":\"idempotency_error\",\"message\":\"m\"}}", PS_ERROR_IDEMPOTENCY, 1},
  {"\"status\":400,\"body\":{\"error\":{\"code\":\"rate_limit\",\"message\":\"m\"}}", PS_ERROR_RATE_LIMIT, 1},
  {"\"status\":401,\"body\":{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"m\"}}",
   PS_ERROR_AUTHENTICATION, 1},
  {"\"status\":402,\"body\":{\"error\":{\"type\":\"card_error\",\"message\":\"m\"}}", PS_ERROR_CARD, 1},
  {"\"status\":403,\"body\":{\"error\":{\"message\":\"m\"}}", PS_ERROR_PERMISSION, 1},
  {"\"status\":404,\"body\":{\"error\":{\"message\":\"m\"}}", PS_ERROR_INVALID_REQUEST, 1},
  {"\"status\":409,\"body\":{\"error\":{\"message\":\"m\"}}", PS_ERROR_CONFLICT, 3},
  {"\"status\":418,\"body\":{\"error\":{\"message\":\"m\"}}", PS_ERROR_API, 1},
  {"\"status\":429,\"body\":{\"error\":{\"message\":\"m\"}}", PS_ERROR_RATE_LIMIT, 3},
  {"\"status\":500,\"body\":{\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}", PS_ERROR_API, 3},
  {"\"status\":503,\"body\":{\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}", PS_ERROR_API, 3},
  {"\"status\":302,\"headers\":{\"Location\":\"/elsewhere\"},\"body\":{}", PS_ERROR_API, 1},
};

static void each_status_is_an_error_of_its_kind(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
    char script[300];
    snprintf(script, sizeof script, "[{\"repeat\":true,%s}]", statuses[i].answer);
    server_script(it, script);
    ps_result *r = post(client, NULL);
    int status = atoi(strchr(statuses[i].answer, ':') + 1);
    assert_error(r, statuses[i].kind, status < 500 ? PS_OUTCOME_REJECTED : PS_OUTCOME_UNKNOWN, statuses[i].attempts);
    assert_int_equal(ps_result_status(r), status);
    assert_string_equal(ps_result_request_id(r), ps_result_header(r, "REQUEST-ID"));
    assert_true(strncmp(ps_result_request_id(r), "req_", 4) == 0);
    ps_result_free(r);
  }
}

static void a_decline_keeps_its_fields(void **state) {
  (void)state;
  server_script(
    it, "[{\"status\":402,\"body\":{\"error\":{\"type\":\"card_error\",\"code\":\"card_declined\","
        "\"decline_code\":\"insufficient_funds\",\"advice_code\":\"try_again_later\",\"charge\":\"ch_1\","
        "\"message\":\"Your card has insufficient funds.\",\"param\":\"source\",\"network_decline_code\":\"51\","
        "\"doc_url\":\"https://stripe.com/docs\",\"payment_intent\":{\"id\":\"pi_1\"},\"new_field\":[1]}}}]");
  ps_result *r = post(client, NULL);
  assert_error(r, PS_ERROR_CARD, PS_OUTCOME_REJECTED, 1);
  assert_string_equal(ps_error_message(r), "Your card has insufficient funds.");
  assert_string_equal(ps_error_code(r), "card_declined");
  assert_string_equal(ps_error_field(r, "decline_code"), "insufficient_funds");
  assert_string_equal(ps_error_field(r, "advice_code"), "try_again_later");
  assert_string_equal(ps_error_field(r, "network_decline_code"), "51");
  assert_string_equal(ps_error_field(r, "param"), "source");
  assert_string_equal(ps_error_field(r, "charge"), "ch_1");
  assert_string_equal(ps_error_field(r, "absent"), "");
  assert_string_equal(ps_str(ps_error_data(r), "payment_intent.id"), "pi_1");
  assert_int_equal(ps_int(ps_error_data(r), "new_field.0"), 1);
  assert_int_equal(strlen(ps_result_idempotency_key(r)), 36);
  ps_result_free(r);
}

static void oauth_errors_are_words(void **state) {
  (void)state;
  server_script(it, "[{\"status\":400,\"body\":{\"error\":\"invalid_grant\",\"error_description\":\"No such code\"}}]");
  ps_value *params = ps_params("grant_type", "authorization_code", "code", "ac_1", NULL);
  ps_result *r = ps_call(client, PS_OAUTH_TOKEN, NULL, params, NULL);
  assert_error(r, PS_ERROR_OAUTH, PS_OUTCOME_REJECTED, 1);
  assert_string_equal(ps_error_code(r), "invalid_grant");
  assert_string_equal(ps_error_message(r), "No such code");
  ps_result_free(r);
  ps_value_free(params);
}

static void oauth_is_sent_again_only_if_it_was_not_sent(void **state) {
  (void)state;
  server_script(it, "[{\"status\":500,\"repeat\":true,\"body\":{}}]");
  ps_value *params = ps_params("grant_type", "authorization_code", "code", "ac_1", NULL);
  ps_result *r = ps_call(client, PS_OAUTH_TOKEN, NULL, params, NULL);
  assert_error(r, PS_ERROR_API, PS_OUTCOME_UNKNOWN, 1);
  ps_result_free(r);
  ps_value_free(params);
}

/* ---- Bodies that are not what they should be ---- */

static void html_is_a_protocol_error(void **state) {
  (void)state;
  server_script(it, "[{\"headers\":{\"Content-Type\":\"text/html\"},\"body\":\"<html>Blocked by proxy</html>\"}]");
  ps_result *r = get(client, NULL);
  assert_error(r, PS_ERROR_PROTOCOL, PS_OUTCOME_UNKNOWN, 1);
  assert_non_null(strstr(ps_error_message(r), "<html>Blocked by proxy</html>"));
  assert_non_null(strstr(ps_error_message(r), "text/html"));
  assert_int_equal(ps_result_status(r), 200);
  ps_result_free(r);
}

static void html_of_a_gateway_is_tried_again(void **state) {
  (void)state;
  server_script(
    it,
    "[{\"status\":502,\"headers\":{\"Content-Type\":\"text/html\"},\"body\":\"<html>\"},{\"body\":{\"id\":\"a\"}}]");
  ps_result *r = get(client, NULL);
  assert_true(ps_result_ok(r));
  assert_int_equal(ps_result_attempts(r), 2);
  ps_result_free(r);
}

static void bad_json_is_a_protocol_error(void **state) {
  (void)state;
  server_script(it, "[{\"body\":\"{\\\"id\\\": \"}]");
  ps_result *r = post(client, NULL);
  assert_error(r, PS_ERROR_PROTOCOL, PS_OUTCOME_UNKNOWN, 1);
  assert_int_equal(strlen(ps_result_idempotency_key(r)), 36);
  ps_result_free(r);
}

static void json_under_a_wrong_type_is_read(void **state) {
  (void)state;
  server_script(it, "[{\"headers\":{\"Content-Type\":\"text/plain\"},\"body\":{\"id\":\"x\"}}]");
  ps_result *r = get(client, NULL);
  assert_true(ps_result_ok(r));
  assert_string_equal(ps_str(ps_data(r), "id"), "x");
  ps_result_free(r);
}

/* It has no object where one was to come: what was done, it does not say. */
static void an_empty_answer_is_null_only_where_nothing_is_awaited(void **state) {
  (void)state;
  server_script(it, "[{\"body\":\"\"},{\"body\":\"\"}]");
  ps_result *r = post(client, NULL);
  assert_error(r, PS_ERROR_PROTOCOL, PS_OUTCOME_UNKNOWN, 1);
  assert_int_equal(strlen(ps_result_idempotency_key(r)), 36);
  ps_result_free(r);
  r = ps_request(client, "POST", "/v1/unheard_of", NULL, NULL);
  assert_true(ps_result_ok(r));
  assert_int_equal(ps_type(ps_data(r), NULL), PS_NULL);
  ps_result_free(r);
}

/* ---- Retries ---- */

static void gaps_follow_the_table(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.max_retries = 5;
  server_script(it, "[{\"status\":500,\"repeat\":true,\"body\":{\"error\":{}}}]");
  ps_result *r = post(client, &options);
  assert_error(r, PS_ERROR_API, PS_OUTCOME_UNKNOWN, 6);
  ps_result_free(r);
  const int64_t expected[] = {750, 1500, 3000, 3750, 3750};
  assert_int_equal(hours.sleep_count, 5);
  assert_memory_equal(hours.sleeps, expected, sizeof expected);
}

static void retry_after_is_honoured(void **state) {
  static const struct {
    const char *value;
    int64_t wait;
  } cases[] = {{"7", 7000}, {"Tue, 14 Nov 2023 22:13:30 GMT", 10000}, {"600", 60000}, {"soon", 750}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char script[200];
    snprintf(script, sizeof script, "[{\"status\":429,\"headers\":{\"Retry-After\":\"%s\"}}]", cases[i].value);
    server_script(it, script);
    test_clock_init(&hours);
    ps_result *r = get(client, NULL);
    assert_true(ps_result_ok(r));
    assert_int_equal(ps_result_attempts(r), 2);
    assert_int_equal(hours.sleep_count, 1);
    assert_int_equal(hours.sleeps[0], cases[i].wait);
    ps_result_free(r);
  }
}

static void retry_after_does_not_pass_the_deadline(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.deadline = 20;
  server_script(it, "[{\"status\":429,\"headers\":{\"Retry-After\":\"30\"},\"body\":{\"error\":{}}}]");
  ps_result *r = get(client, &options);
  assert_error(r, PS_ERROR_RATE_LIMIT, PS_OUTCOME_REJECTED, 1);
  assert_int_equal(hours.sleep_count, 0);
  ps_result_free(r);
}

static void the_server_decides(void **state) {
  (void)state;
  server_script(it, "[{\"status\":500,\"headers\":{\"Stripe-Should-Retry\":\"false\"},\"body\":{\"error\":{}}}]");
  ps_result *r = post(client, NULL);
  assert_error(r, PS_ERROR_API, PS_OUTCOME_UNKNOWN, 1);
  ps_result_free(r);
  server_script(it, "[{\"status\":402,\"headers\":{\"Stripe-Should-Retry\":\"true\"},\"body\":{\"error\":{}}}]");
  r = post(client, NULL);
  assert_true(ps_result_ok(r));
  assert_int_equal(ps_result_attempts(r), 2);
  ps_result_free(r);
}

static void no_retries_if_none_are_wanted(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.max_retries = 0;
  server_script(it, "[{\"status\":500,\"repeat\":true,\"body\":{\"error\":{}}}]");
  ps_result *r = post(client, &options);
  assert_error(r, PS_ERROR_API, PS_OUTCOME_UNKNOWN, 1);
  ps_result_free(r);
}

static void without_an_injected_clock_it_waits(void **state) {
  (void)state;
  ps_client *real = client_to(server_url(it), NULL);
  server_script(it, "[{\"status\":500}]");
  ps_result *r = get(real, NULL);
  assert_true(ps_result_ok(r));
  ps_result_free(r);
  ps_value *log = server_log(it);
  double gap = ps_double(log, "1.t") - ps_double(log, "0.t");
  assert_true(gap > 0.49 && gap < 2);
  ps_value_free(log);
  ps_client_free(real);
}

/* ---- Idempotency ---- */

static void assert_uuid4(const char *key) {
  assert_int_equal(strlen(key), 36);
  assert_int_equal(strspn(key, "0123456789abcdef-"), 36);
  assert_int_equal(key[14], '4');
  assert_non_null(strchr("89ab", key[19]));
}

static void attempts_share_one_key(void **state) {
  char first[37] = "";
  (void)state;
  for (int i = 0; i < 2; i++) {
    server_script(it, "[{\"status\":500},{\"close\":true}]");
    ps_result *r = post(client, NULL);
    assert_true(ps_result_ok(r));
    ps_value *log = server_log(it);
    assert_int_equal(ps_count(log), 3);
    const char *key = ps_str(log, "0.headers.idempotency-key");
    assert_uuid4(key);
    assert_string_not_equal(key, first);
    assert_string_equal(ps_str(log, "1.headers.idempotency-key"), key);
    assert_string_equal(ps_str(log, "2.headers.idempotency-key"), key);
    assert_string_equal(ps_str(log, "2.body"), ps_str(log, "0.body"));
    assert_string_equal(ps_result_idempotency_key(r), key);
    memcpy(first, key, sizeof first);
    ps_value_free(log);
    ps_result_free(r);
  }
}

static void reads_have_no_key_deletes_have(void **state) {
  const char *ids[] = {"cus_1", NULL};
  (void)state;
  server_script(it, "[]");
  ps_result_free(get(client, NULL));
  ps_result_free(ps_call(client, PS_CUSTOMERS_DELETE, ids, NULL, NULL));
  ps_value *log = server_log(it);
  assert_null(ps_map_get(ps_get(log, "0.headers"), "idempotency-key", 15));
  assert_uuid4(ps_str(log, "1.headers.idempotency-key"));
  assert_string_equal(ps_str(log, "1.method"), "DELETE");
  assert_null(ps_map_get(ps_get(log, "1.headers"), "content-length", 14));
  assert_null(ps_map_get(ps_get(log, "1.headers"), "transfer-encoding", 17));
  ps_value_free(log);
}

static void the_callers_key_goes_out_unchanged(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.idempotency_key = "order 6735/a";
  server_script(it, "[{\"status\":402,\"body\":{\"error\":{\"message\":\"m\"}}}]");
  ps_result *r = post(client, &options);
  ps_value *log = server_log(it);
  assert_string_equal(ps_str(log, "0.headers.idempotency-key"), "order 6735/a");
  assert_string_equal(ps_result_idempotency_key(r), "order 6735/a");
  ps_value_free(log);
  ps_result_free(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(each_status_is_an_error_of_its_kind),
    TEST(a_decline_keeps_its_fields),
    TEST(oauth_errors_are_words),
    TEST(oauth_is_sent_again_only_if_it_was_not_sent),
    TEST(html_is_a_protocol_error),
    TEST(html_of_a_gateway_is_tried_again),
    TEST(bad_json_is_a_protocol_error),
    TEST(json_under_a_wrong_type_is_read),
    TEST(an_empty_answer_is_null_only_where_nothing_is_awaited),
    TEST(gaps_follow_the_table),
    TEST(retry_after_is_honoured),
    TEST(retry_after_does_not_pass_the_deadline),
    TEST(the_server_decides),
    TEST(no_retries_if_none_are_wanted),
    TEST(without_an_injected_clock_it_waits),
    TEST(attempts_share_one_key),
    TEST(reads_have_no_key_deletes_have),
    TEST(the_callers_key_goes_out_unchanged),
  };
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
