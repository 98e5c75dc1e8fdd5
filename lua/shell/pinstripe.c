/* The command `pinstripe`. Its first word chooses what it does; each of these reads its own options.
 *
 *   pinstripe sandbox [--port N] [--seed N] [--listen ADDRESS]
 *
 * Exit status: 0 done, 1 it failed, 2 it was called wrongly. What a program reads goes to the standard output, what a
 * person reads to the error output. */
#include <errno.h>
#include <getopt.h>
#include <pinstripe_sandbox.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DONE, FAILED, MISUSED };

static const char usage[] =
  "usage: pinstripe sandbox [--port N] [--seed N] [--listen ADDRESS]\n"
  "\n"
  "Runs an offline stand-in for the Stripe API until it is interrupted. The first line of its output is its URL.\n"
  "\n"
  "  --port N          listen on this port; default: any that is free\n"
  "  --seed N          reproducible ids, times and chances\n"
  "  --listen ADDRESS  listen on this numeric address; default: 127.0.0.1\n";

static int misuse(const char *format, const char *word) {
  fprintf(stderr, "pinstripe: ");
  fprintf(stderr, format, word); /* NOLINT(clang-diagnostic-format-nonliteral) */
  fprintf(stderr, "\n\n%s", usage);
  return MISUSED;
}

/* A number from 0 on; false: it is none. */
static bool read_number(const char *text, int64_t *number) {
  char *end = NULL;
  errno = 0;
  *number = strtoll(text, &end, 10);
  return *text && !*end && !errno && *number >= 0;
}

/* Of the program's signals, waits for one that asks it to end. They were blocked before any thread was started. */
static void wait_for_end(const sigset_t *ends) {
  int which = 0;
  while (sigwait(ends, &which) != 0) continue;
}

static int run_sandbox(const ps_sandbox_options *options) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGHUP);
  sigprocmask(SIG_BLOCK, &ends, NULL);
  ps_sandbox *sandbox = ps_sandbox_start(options);
  bool started = !*ps_sandbox_error(sandbox);
  if (started) {
    printf("%s\n", ps_sandbox_url(sandbox));
    fflush(stdout);
    fprintf(stderr, "The sandbox takes any test key, as %s. Interrupt to end it.\n", ps_sandbox_key(sandbox));
    wait_for_end(&ends);
  } else {
    fprintf(stderr, "pinstripe: %s\n", ps_sandbox_error(sandbox));
  }
  ps_sandbox_close(sandbox);
  return started ? DONE : FAILED;
}

static int sandbox_command(int count, char **words) {
  static const struct option names[] = {{"port", required_argument, NULL, 'p'},
                                        {"seed", required_argument, NULL, 's'},
                                        {"listen", required_argument, NULL, 'l'},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};
  ps_sandbox_options options = PS_SANDBOX_OPTIONS_INIT;
  for (int option; (option = getopt_long(count, words, "h", names, NULL)) != -1;) {
    switch (option) {
      case 'p':
        if (!read_number(optarg, &options.port)) return misuse("\"%s\" is not a port", optarg);
        break;
      case 's':
        if (!read_number(optarg, &options.seed)) return misuse("\"%s\" is not a seed: a number from 0 on", optarg);
        break;
      case 'l': options.listen = optarg; break;
      case 'h': fputs(usage, stdout); return DONE;
      default: fprintf(stderr, "\n%s", usage); return MISUSED;
    }
  }
  if (optind < count) return misuse("\"%s\" is one word too many", words[optind]);
  return run_sandbox(&options);
}

int main(int count, char **words) {
  const char *command = count > 1 ? words[1] : "";
  if (strcmp(command, "sandbox") == 0) return sandbox_command(count - 1, words + 1);
  if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 || strcmp(command, "help") == 0) {
    fputs(usage, stdout);
    return DONE;
  }
  if (!*command) {
    fputs(usage, stderr);
    return MISUSED;
  }
  return misuse("there is no command \"%s\"", command);
}
