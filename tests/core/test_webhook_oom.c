/* Webhooks with every allocation failing in turn: the event, or the memory error; never an event whose signature was not
 * checked, never a signature error for want of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "oom.h"
#include "pinstripe.h"

#define SECRET "whsec_test_secret"
#define EVENT                                                                                                          \
  "{\"id\":\"evt_1\",\"object\":\"event\",\"type\":\"invoice.paid\",\"data\":{\"object\":{\"id\":\"in_1\"}}}"

static char header[200];

static void check(ps_result *r, bool failing, const char *code) {
  bool memory = ps_error_kind(r) == PS_ERROR_MEMORY;
  if (!failing) assert_false(memory);
  if (!memory && !*code) assert_string_equal(ps_str(ps_data(r), "data.object.id"), "in_1");
  /* The code is the one thing that a failing allocation may take from an error. */
  if (!memory && *code) assert_int_equal(ps_error_kind(r), PS_ERROR_SIGNATURE);
  if (!memory && *ps_error_code(r)) assert_string_equal(ps_error_code(r), code);
  if (!failing) assert_string_equal(ps_error_code(r), code);
  ps_result_free(r);
}

static void run(void *context, bool failing) {
  static const char *const good[] = {"whsec_other", SECRET, NULL}, *const bad[] = {"whsec_other", NULL};
  (void)context;
  check(ps_event_parse(EVENT, strlen(EVENT), header, good, -1, 1700000000), failing, "");
  check(ps_event_parse(EVENT, strlen(EVENT), header, bad, -1, 1700000000), failing, "no_match");
  check(ps_event_parse_without_verification(EVENT, strlen(EVENT)), failing, "");
  char *made = ps_webhook_sign(EVENT, strlen(EVENT), SECRET, 1700000000);
  if (!failing || made) assert_string_equal(made, header);
  ps_free(made);
}

#define THIN                                                                                                           \
  "{\"id\":\"evt_2\",\"object\":\"v2.core.event\",\"type\":\"a.b\",\"context\":\"acct_1\",\"related_object\":{"        \
  "\"url\":"                                                                                                           \
  "\"/v1/balance\"}}"

static void send(void *context, const ps_http_request *request, ps_http_response *response) {
  (void)context, (void)request;
  ps_http_response_status(response, 200);
  ps_http_response_write(response, "{\"id\":\"x\"}", 10);
}

static const ps_transport transport = {.send = send};

static int handled;

/* With a client that could not be made for want of memory, calls say so. */
static void on_event(void *context, ps_client *client, const ps_value *notification) {
  (void)context;
  ps_result *event = ps_notification_event(client, notification);
  ps_result *object = ps_notification_related_object(client, notification);
  handled += ps_result_ok(event) && ps_result_ok(object);
  assert_true(ps_result_ok(event) || ps_error_kind(event) == PS_ERROR_MEMORY);
  assert_true(ps_result_ok(object) || ps_error_kind(object) == PS_ERROR_MEMORY);
  ps_result_free(event);
  ps_result_free(object);
}

static void on_other(void *context, ps_client *client, const ps_value *notification, bool known) {
  (void)context, (void)client, (void)notification, (void)known;
  fail();
}

static void run_handler(void *context, bool failing) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)context;
  options.transport = &transport;
  ps_client *client = ps_client_new("sk_test_x", &options);
  ps_handler *h = ps_handler_new(client, on_other, NULL);
  handled = 0;
  if (h && !ps_handler_on(h, "a.b", on_event)) {
    ps_result *r = ps_handler_handle_without_verification(h, THIN, strlen(THIN));
    assert_true(ps_result_ok(r) || ps_error_kind(r) == PS_ERROR_MEMORY);
    ps_result_free(r);
  }
  if (!failing) assert_int_equal(handled, 1);
  ps_handler_free(h);
  ps_client_free(client);
}

static void run_address(void *context, bool failing) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)context;
  options.client_id = "ca_1";
  ps_client *client = ps_client_new("sk_test_x", &options);
  ps_value *params = ps_params("state", "a b", NULL);
  ps_result *r = ps_oauth_authorize_url(client, params, false);
  if (!failing || ps_result_ok(r)) {
    assert_string_equal(ps_str(ps_data(r), NULL),
                        "https://connect.stripe.com/oauth/authorize?state=a%20b&client_id=ca_1&response_type=code");
  } else {
    assert_int_equal(ps_error_kind(r), PS_ERROR_MEMORY);
  }
  ps_result_free(r);
  ps_value_free(params);
  ps_client_free(client);
}

static void test_addresses(void **state) {
  (void)state;
  assert_true(oom_each(run_address, NULL) > 10);
}

static void test_handlers(void **state) {
  (void)state;
  assert_true(oom_each(run_handler, NULL) > 10);
}

static void test_webhooks(void **state) {
  (void)state;
  char *made = ps_webhook_sign(EVENT, strlen(EVENT), SECRET, 1700000000);
  snprintf(header, sizeof header, "%s", made);
  ps_free(made);
  assert_true(oom_each(run, NULL) > 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_webhooks), cmocka_unit_test(test_handlers),
                                     cmocka_unit_test(test_addresses)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
