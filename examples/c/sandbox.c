/* A payment tried offline: the sandbox answers in this process, with state, and a fault on the wire shows what a retry does.
 *
 *   cc sandbox.c $(pkg-config --cflags --libs pinstripe pinstripe-sandbox) && ./a.out */
#include <pinstripe.h>
#include <pinstripe_sandbox.h>
#include <stdio.h>
#include <string.h>

/* Prints what went wrong, if something did. */
static bool succeeded(const ps_result *r) {
  if (ps_result_ok(r)) return true;
  printf("  %s: %s\n", ps_error_kind_name(ps_error_kind(r)), ps_error_message(r));
  return false;
}

/* Sends `params`, given up, and returns the id of what was made; "" if it was not. */
static void create(ps_client *stripe, const char *operation, ps_value *params, char id[64]) {
  ps_result *r = ps_call(stripe, operation, NULL, params, NULL);
  snprintf(id, 64, "%s", succeeded(r) ? ps_str(ps_data(r), "id") : "");
  ps_result_free(r);
  ps_value_free(params);
}

static ps_value *payment(const char *customer, const char *card) {
  return ps_params("amount", "2000", "currency", "usd", "customer", customer, "payment_method", card, "confirm", "true",
                   NULL);
}

static void pay_and_refund(ps_client *stripe, const char *customer) {
  char intent[64], refund[64];
  create(stripe, PS_PAYMENT_INTENTS_CREATE, payment(customer, "pm_card_visa"), intent);
  printf("paid 20.00 usd: %s\n", intent);
  create(stripe, PS_REFUNDS_CREATE, ps_params("payment_intent", intent, "amount", "500", NULL), refund);
  printf("refunded 5.00 usd: %s\n", refund);
}

static void be_declined(ps_client *stripe, const char *customer) {
  char intent[64];
  printf("a card that is declined:\n");
  create(stripe, PS_PAYMENT_INTENTS_CREATE, payment(customer, "pm_card_chargeDeclined"), intent);
}

/* The server does what it was asked, and the connection ends before its answer: the client asks again with the same key. */
static void lose_an_answer(ps_client *stripe, const char *customer) {
  ps_value *fault =
    ps_params("match[path]", "/v1/payment_intents", "do[drop_after_commit]", "true", "count", "1", NULL);
  ps_result *r = ps_request(stripe, "POST", "/_sandbox/faults", fault, NULL);
  succeeded(r);
  ps_result_free(r);
  ps_value_free(fault);

  ps_value *params = payment(customer, "pm_card_visa");
  r = ps_call(stripe, PS_PAYMENT_INTENTS_CREATE, NULL, params, NULL);
  if (succeeded(r))
    printf("an answer was lost: %s after %d attempts\n", ps_str(ps_data(r), "id"), ps_result_attempts(r));
  ps_result_free(r);
  ps_value_free(params);
}

static void count_payments(ps_client *stripe) {
  int count = 0;
  ps_iter *it = ps_iter_new(stripe, PS_PAYMENT_INTENTS_LIST, NULL, NULL, NULL);
  for (const ps_value *intent; (intent = ps_iter_next(it));)
    count += strcmp(ps_str(intent, "status"), "succeeded") == 0;
  if (succeeded(ps_iter_result(it))) printf("%d payments succeeded in all\n", count);
  ps_iter_free(it);
}

int main(void) {
  char customer[64];
  ps_sandbox *sandbox = ps_sandbox_start(NULL);
  if (*ps_sandbox_error(sandbox)) fprintf(stderr, "%s\n", ps_sandbox_error(sandbox));
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.api_base = options.files_base = ps_sandbox_url(sandbox);
  ps_client *stripe = ps_client_new(ps_sandbox_key(sandbox), &options);

  create(stripe, PS_CUSTOMERS_CREATE, ps_params("email", "jenny@example.com", NULL), customer);
  printf("created %s\n", customer);
  pay_and_refund(stripe, customer);
  be_declined(stripe, customer);
  lose_an_answer(stripe, customer);
  count_payments(stripe);

  ps_client_free(stripe);
  ps_sandbox_close(sandbox);
  return 0;
}
