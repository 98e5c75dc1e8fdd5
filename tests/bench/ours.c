/* pinstripe in C.
 *
 *   ours get|list|verify KEY BASE     answers each line on stdin, a count, with the sum of the amounts that so many calls,
 *                                     or exports of all charges, had; of checks of a webhook of 4 KB, with the count */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pinstripe.h"

static void check(const ps_result *r) {
  if (ps_result_ok(r)) return;
  fprintf(stderr, "%s\n", ps_error_message(r));
  exit(1);
}

static int64_t get(ps_client *stripe) {
  ps_result *r = ps_call(stripe, PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
  check(r);
  int64_t amount = ps_int(ps_data(r), "available.0.amount");
  ps_result_free(r);
  return amount;
}

static int64_t list(ps_client *stripe) {
  int64_t amount = 0;
  ps_iter *it = ps_iter_new(stripe, PS_CHARGES_LIST, NULL, NULL, NULL);
  for (const ps_value *charge; (charge = ps_iter_next(it));) amount += ps_int(charge, "amount");
  check(ps_iter_result(it));
  ps_iter_free(it);
  return amount;
}

static int64_t verify(ps_client *stripe) {
  static char body[4096], *header;
  static const char *const secrets[] = {"whsec_bench", NULL};
  (void)stripe;
  if (!header) {
    memset(body, 'x', sizeof body);
    header = ps_webhook_sign(body, sizeof body, secrets[0], 1700000000);
  }
  ps_result *r = ps_webhook_verify(body, sizeof body, header, secrets, -1, 1700000000);
  check(r);
  ps_result_free(r);
  return 1;
}

int main(int argc, char **argv) {
  char line[64];
  if (argc < 4) return 2;
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.api_base = argv[3];
  ps_client *stripe = ps_client_new(argv[2], &options);
  int64_t (*work)(ps_client *) = strcmp(argv[1], "get") == 0 ? get : strcmp(argv[1], "list") == 0 ? list : verify;
  while (fgets(line, sizeof line, stdin)) {
    int64_t amount = 0;
    for (int i = atoi(line); i > 0; i--) amount += work(stripe);
    printf("%" PRId64 "\n", amount);
    fflush(stdout);
  }
  ps_client_free(stripe);
  return 0;
}
