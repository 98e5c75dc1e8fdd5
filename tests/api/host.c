/* A program that is built against one table and run on another. First line: how many operations the library has. Then for
 * each constant of the header that this was built with: the request that a call of it sends. */
#include <stdio.h>
#include <string.h>

#include "pinstripe.h"

static const char *const operations[] = {
#include "constants.inc"
};

static void print_request(void *context, const ps_http_request *request, ps_http_response *response) {
  printf("%s %s %s", (const char *)context, request->method, request->url);
  ps_http_response_status(response, 200);
  ps_http_response_write(response, "{}", 2);
}

static void call(ps_client *stripe, const char *id) {
  const ps_api_operation *op = ps_operation_find(id);
  const char *ids[8] = {NULL};
  for (size_t i = 0; op != NULL && i < 7 && ps_operation_path_param(op, i) != NULL; i++) ids[i] = "x";
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.stripe_version = "2000-01-01";
  ps_result *r = ps_call(stripe, id, ids, NULL, &options);
  if (!ps_result_ok(r)) printf("%s %s", id, ps_error_message(r));
  putchar('\n');
  ps_result_free(r);
}

int main(void) {
  size_t count = 0;
  for (const ps_api_operation *op = NULL; (op = ps_operation_next(op)) != NULL;) count++;
  printf("%zu\n", count);
  for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
    ps_transport transport = {.send = print_request, .context = (void *)operations[i]};
    ps_client_options options = PS_CLIENT_OPTIONS_INIT;
    options.transport = &transport;
    ps_client *stripe = ps_client_new("sk_test_1", &options);
    call(stripe, operations[i]);
    ps_client_free(stripe);
  }
  return 0;
}
