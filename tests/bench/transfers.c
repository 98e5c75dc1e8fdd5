/* One large transfer, and what it adds to the process's memory: how far the peak stands above what there was before it.
 *
 *   transfers upload|feed|file|window BASE PATH SIZE      prints the growth in bytes, and the time in milliseconds */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pinstripe.h"

static const char *const quote[] = {"qt_1", NULL};

/* Bytes that /proc tells under `name`. */
static int64_t memory(const char *name) {
  char line[200];
  int64_t found = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f)) {
    if (strncmp(line, name, strlen(name)) == 0) found = atoll(line + strlen(name) + 1) * 1024;
  }
  if (f) fclose(f);
  return found;
}

static ps_result *upload(ps_client *stripe, const char *path) {
  ps_value *params = ps_params("purpose", "dispute_evidence", "file[path]", path, NULL);
  ps_result *r = ps_call(stripe, PS_FILES_CREATE, NULL, params, NULL);
  ps_value_free(params);
  return r;
}

static ps_result *feed(ps_client *stripe, int64_t size) {
  static char piece[65536];
  ps_value *params = ps_params("purpose", "dispute_evidence", NULL), *file = ps_map_set(params, "file");
  ps_value_set_bool(ps_map_set(file, "feed"), true);
  ps_value_set_int(ps_map_set(file, "length"), size);
  ps_exchange *x = ps_exchange_new(stripe, PS_FILES_CREATE, NULL, params, NULL);
  ps_value_free(params);
  while (ps_exchange_run(x, -1) != PS_DONE) {
    size_t length = size < (int64_t)sizeof piece ? (size_t)size : sizeof piece;
    ps_exchange_feed(x, piece, length);
    size -= (int64_t)length;
  }
  ps_result *r = ps_exchange_result(x);
  ps_exchange_free(x);
  return r;
}

static ps_result *save(ps_client *stripe, const char *path) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.save_to = path;
  return ps_call(stripe, PS_QUOTES_PDF, quote, NULL, &options);
}

static ps_result *stream(ps_client *stripe, int64_t size) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.stream = 1;
  ps_exchange *x = ps_exchange_new(stripe, PS_QUOTES_PDF, quote, NULL, &options);
  for (ps_step step = PS_SEND; step != PS_DONE;) {
    size_t length;
    step = ps_exchange_run(x, 100);
    ps_exchange_take(x, &length);
    size -= (int64_t)length;
  }
  ps_result *r = ps_exchange_result(x);
  ps_exchange_free(x);
  if (size != 0) fprintf(stderr, "%" PRId64 " bytes are missing\n", size);
  return r;
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.files_base = options.api_base = argv[2];
  ps_client *stripe = ps_client_new("sk_test_bench", &options);
  ps_result_free(ps_call(stripe, PS_BALANCE_RETRIEVE, NULL, NULL, NULL));
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  int64_t before = memory("VmRSS:"), size = atoll(argv[4]);
  const char *what = argv[1];
  ps_result *r = strcmp(what, "upload") == 0 ? upload(stripe, argv[3])
                 : strcmp(what, "feed") == 0 ? feed(stripe, size)
                 : strcmp(what, "file") == 0 ? save(stripe, argv[3])
                                             : stream(stripe, size);
  clock_gettime(CLOCK_MONOTONIC, &end);
  if (!ps_result_ok(r)) fprintf(stderr, "%s: %s\n", what, ps_error_message(r));
  bool good = ps_result_ok(r);
  ps_result_free(r);
  ps_client_free(stripe);
  double ms = (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6;
  printf("%" PRId64 " %.0f\n", memory("VmHWM:") - before, ms);
  return good ? 0 : 1;
}
