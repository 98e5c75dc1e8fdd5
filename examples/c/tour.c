/* A tour in C: creates a customer, walks over charges, retrieves a file link, and looks at an error.
 *
 *   cc tour.c $(pkg-config --cflags --libs pinstripe) && STRIPE_API_KEY=sk_test_... ./a.out */
#include <pinstripe.h>
#include <stdio.h>
#include <stdlib.h>

static void fail(const ps_result *r) {
  fprintf(stderr, "%s: %s (outcome: %s, attempts: %d)\n", ps_error_kind_name(ps_error_kind(r)), ps_error_message(r),
          ps_outcome_name(ps_error_outcome(r)), ps_result_attempts(r));
}

static void create_customer(ps_client *stripe) {
  ps_value *params = ps_params("email", "jenny@example.com", "metadata[order]", "6735", NULL);
  ps_result *r = ps_call(stripe, PS_CUSTOMERS_CREATE, NULL, params, NULL);
  if (ps_result_ok(r)) printf("created %s\n", ps_str(ps_data(r), "id"));
  else fail(r);
  ps_result_free(r);
  ps_value_free(params);
}

static void list_charges(ps_client *stripe) {
  ps_value *params = ps_value_new();
  ps_value_set_int(ps_map_set(ps_map_set(params, "created"), "gte"), 1600000000);
  ps_iter *charges = ps_iter_new(stripe, PS_CHARGES_LIST, NULL, params, NULL);
  long long count = 0, sum = 0;
  for (const ps_value *charge; (charge = ps_iter_next(charges)); count++) sum += ps_int(charge, "amount");
  if (ps_result_ok(ps_iter_result(charges))) printf("%lld charges of %lld cents in all\n", count, sum);
  else fail(ps_iter_result(charges));
  ps_iter_free(charges);
  ps_value_free(params);
}

static void retrieve_link(ps_client *stripe) {
  const char *ids[] = {"link_1Mr23jLkdIwHu7ix65betcoo", NULL};
  ps_result *r = ps_call(stripe, PS_FILE_LINKS_RETRIEVE, ids, NULL, NULL);
  if (ps_result_ok(r)) printf("link to %s\n", ps_str(ps_data(r), "url"));
  else fail(r);
  ps_result_free(r);
}

static void see_an_error(ps_client *stripe) {
  const char *ids[] = {"", NULL}; /* an empty id would list: it is refused before anything is sent */
  ps_result *r = ps_call(stripe, PS_CUSTOMERS_RETRIEVE, ids, NULL, NULL);
  fail(r);
  ps_result_free(r);
}

int main(void) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.api_base = getenv("PINSTRIPE_API_BASE"); /* NULL: Stripe itself */
  ps_client *stripe = ps_client_new(NULL, &options);
  create_customer(stripe);
  list_charges(stripe);
  retrieve_link(stripe);
  see_an_error(stripe);
  ps_client_free(stripe);
  return 0;
}
