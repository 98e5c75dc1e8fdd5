/* The smallest host: nobody listens on port 1, and the library says so. */
#include <pinstripe.h>
#include <stdio.h>

int main(void) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.api_base = "http://127.0.0.1:1";
  options.max_retries = 0;
  ps_client *stripe = ps_client_new("sk_test_123", &options);
  ps_value *params = ps_params("email", "jenny@example.com", "metadata[order]", "6735", NULL);
  ps_result *r = ps_call(stripe, PS_CUSTOMERS_CREATE, NULL, params, NULL);
  printf("%s %s %s\n", ps_version(), ps_error_kind_name(ps_error_kind(r)), ps_outcome_name(ps_error_outcome(r)));
  ps_result_free(r);
  ps_value_free(params);
  ps_client_free(stripe);
  return 0;
}
