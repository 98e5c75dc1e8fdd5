/* Handlers of thin events: which function runs, with which client, and what closes registration. A transport of the
 * test's own writes down what is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client.h"

#define SECRET "whsec_test_secret"
#define METER "v1.billing.meter.error_report_triggered"

static const char *const secrets[] = {SECRET, NULL};
static char told[400], sent[2000];

static void note(const char *what, const ps_value *notification) {
  size_t at = strlen(told);
  snprintf(told + at, sizeof told - at, "%s %s;", what, ps_str(notification, "id"));
}

static void send(void *context, const ps_http_request *request, ps_http_response *response) {
  (void)context;
  size_t at = (size_t)snprintf(sent, sizeof sent, "%s\n", request->url);
  for (size_t i = 0; i < request->header_count; i++) {
    const ps_http_header *h = &request->headers[i];
    if (strncmp(h->name, "Stripe-", 7) != 0 || strcmp(h->name, "Stripe-Version") == 0) continue;
    at += (size_t)snprintf(sent + at, sizeof sent - at, "%s: %s\n", h->name, h->value);
  }
  ps_http_response_status(response, 200);
  ps_http_response_write(response, "{\"id\":\"mtr_1\",\"object\":\"billing.meter\"}", 39);
}

static const ps_transport transport = {.send = send};

static ps_client *new_client(void) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.transport = &transport;
  options.stripe_account = "acct_mine";
  options.stripe_context = "acct_mine/acct_other";
  return ps_client_new("sk_test_handlers", &options);
}

static void on_meter(void *context, ps_client *client, const ps_value *notification) {
  assert_ptr_equal(context, told);
  note("meter", notification);
  ps_result *r = ps_notification_related_object(client, notification);
  assert_string_equal(ps_str(ps_data(r), "id"), "mtr_1");
  assert_string_equal(ps_type_name(ps_result_type(r)), "billing.meter");
  ps_result_free(r);
}

static void on_other(void *context, ps_client *client, const ps_value *notification, bool known) {
  (void)context;
  note(known ? "known" : "unknown", notification);
  ps_result_free(ps_call(client, PS_BALANCE_RETRIEVE, NULL, NULL, NULL));
}

static bool only_odd(void *context, ps_client *client, const ps_value *notification) {
  (void)context, (void)client;
  note("asked", notification);
  return strstr(ps_str(notification, "id"), "_odd") != NULL;
}

static void event(char *out, size_t size, const char *id, const char *type, const char *context) {
  snprintf(out, size,
           "{\"id\":\"%s\",\"object\":\"v2.core.event\",\"type\":\"%s\"%s%s%s,\"related_object\":{\"url\":"
           "\"/v1/billing/meters/mtr_1\"}}",
           id, type, context ? ",\"context\":\"" : "", context ? context : "", context ? "\"" : "");
}

static void deliver(ps_handler *h, const char *id, const char *type, const char *context) {
  char body[600];
  event(body, sizeof body, id, type, context);
  char *header = ps_webhook_sign(body, strlen(body), SECRET, 1700000000);
  told[0] = sent[0] = '\0';
  ps_result *r = ps_handler_handle(h, body, strlen(body), header, secrets, -1, 1700000100);
  assert_true(ps_result_ok(r));
  assert_string_equal(ps_str(ps_data(r), "id"), id);
  ps_result_free(r);
  ps_free(header);
}

static void test_functions_by_type(void **state) {
  (void)state;
  ps_client *client = new_client();
  ps_handler *h = ps_handler_new(client, on_other, told);
  ps_client_free(client); /* the handler holds it */
  assert_null(ps_handler_on(h, METER, on_meter));
  deliver(h, "evt_1", METER, "acct_7");
  assert_string_equal(told, "meter evt_1;");
  assert_string_equal(sent, "https://api.stripe.com/v1/billing/meters/mtr_1\nStripe-Context: acct_7\n"
                            "Stripe-Request-Trigger: event=evt_1\n");
  deliver(h, "evt_2", "v2.core.account.created", "acct_8");
  assert_string_equal(told, "known evt_2;");
  assert_string_equal(sent, "https://api.stripe.com/v1/balance\nStripe-Context: acct_8\n");
  deliver(h, "evt_3", "v9.brand.new", NULL);
  assert_string_equal(told, "unknown evt_3;");
  assert_string_equal(sent, "https://api.stripe.com/v1/balance\n");
  ps_handler_free(h);
}

static void test_a_veto(void **state) {
  (void)state;
  ps_client *client = new_client();
  ps_handler *h = ps_handler_new(client, on_other, told);
  assert_null(ps_handler_on(h, METER, on_meter));
  assert_null(ps_handler_pre_handle(h, only_odd));
  assert_non_null(strstr(ps_handler_pre_handle(h, only_odd), "already"));
  deliver(h, "evt_odd", METER, NULL);
  assert_string_equal(told, "asked evt_odd;meter evt_odd;");
  deliver(h, "evt_even", METER, NULL);
  assert_string_equal(told, "asked evt_even;");
  deliver(h, "evt_even", "v9.brand.new", NULL);
  assert_string_equal(told, "asked evt_even;");
  ps_handler_free(h);
  ps_client_free(client);
}

static void test_registration(void **state) {
  (void)state;
  ps_client *client = new_client();
  ps_handler *h = ps_handler_new(client, on_other, told);
  assert_null(ps_handler_on(h, METER, on_meter));
  assert_non_null(strstr(ps_handler_on(h, METER, on_meter), "already"));
  deliver(h, "evt_1", "v9.brand.new", NULL);
  assert_non_null(strstr(ps_handler_on(h, "v2.core.account.created", on_meter), "before"));
  assert_non_null(strstr(ps_handler_pre_handle(h, only_odd), "before"));
  ps_handler_free(h);
  ps_client_free(client);
}

static void test_what_does_not_verify_runs_nothing(void **state) {
  (void)state;
  char body[600];
  ps_client *client = new_client();
  ps_handler *h = ps_handler_new(client, on_other, told);
  event(body, sizeof body, "evt_1", METER, NULL);
  told[0] = '\0';
  ps_result *r = ps_handler_handle(h, body, strlen(body), "t=1,v1=00", secrets, 0, -1);
  assert_int_equal(ps_error_kind(r), PS_ERROR_SIGNATURE);
  ps_result_free(r);
  assert_string_equal(told, "");
  r = ps_handler_handle_without_verification(h, body, strlen(body));
  assert_true(ps_result_ok(r));
  ps_result_free(r);
  assert_string_equal(told, "known evt_1;");
  ps_handler_free(h);
  ps_client_free(client);
}

/* A scoped client outlives the one that it came from, and may itself be scoped. */
static void test_scoped_clients(void **state) {
  (void)state;
  ps_client *client = new_client(), *one = ps_client_scoped(client, "acct_1"), *two = ps_client_scoped(one, "");
  ps_client_free(client);
  ps_client_free(one);
  assert_string_equal(ps_client_error(two), "");
  ps_result *r = ps_call(two, PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  assert_true(ps_result_ok(r));
  assert_string_equal(sent, "https://api.stripe.com/v1/balance\n");
  ps_client_free(two);
  ps_result_free(r);
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.api_base = "not an address";
  client = ps_client_new("sk_test_x", &options);
  one = ps_client_scoped(client, "acct_1");
  assert_string_equal(ps_client_error(one), ps_client_error(client));
  ps_client_free(one);
  ps_client_free(client);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_functions_by_type), cmocka_unit_test(test_a_veto),
    cmocka_unit_test(test_registration),      cmocka_unit_test(test_what_does_not_verify_runs_nothing),
    cmocka_unit_test(test_scoped_clients),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
