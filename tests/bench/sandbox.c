/* sandbox LIBRARY: loads the sandbox's library as a binding does, starts a sandbox, asks it for the balance over a plain
 * socket and prints the milliseconds from before loading to after the reply, and the process's resident KiB. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pinstripe_sandbox.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void fail(const char *what) {
  fprintf(stderr, "sandbox: %s\n", what);
  exit(1);
}

static void *find(void *library, const char *name) {
  void *symbol = dlsym(library, name);
  if (!symbol) fail(dlerror());
  return symbol;
}

static void ask(const char *url) {
  static const char request[] =
    "GET /v1/balance HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk_test_123\r\n\r\n";
  char reply[4096] = "";
  const char *port = strrchr(url, ':');
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(port + 1))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(s, (struct sockaddr *)&to, sizeof to) != 0) fail("no connection");
  if (send(s, request, sizeof request - 1, 0) < 0 || recv(s, reply, sizeof reply - 1, 0) <= 0) fail("no reply");
  if (strncmp(reply, "HTTP/1.1 200", 12) != 0) fail(reply);
  close(s);
}

static long resident(void) {
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f || fscanf(f, "%*s %ld", &pages) != 1) fail("no /proc/self/statm");
  fclose(f);
  return pages * sysconf(_SC_PAGESIZE) / 1024;
}

int main(int argc, char **argv) {
  double start = now();
  if (argc != 2) fail("usage: sandbox LIBRARY");
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) fail(dlerror());
  ps_sandbox *(*begin)(const ps_sandbox_options *) = find(library, "ps_sandbox_start");
  const char *(*url)(const ps_sandbox *) = find(library, "ps_sandbox_url");
  void (*end)(ps_sandbox *) = find(library, "ps_sandbox_close");
  ps_sandbox *sandbox = begin(NULL);
  ask(url(sandbox));
  double first = now() - start;
  printf("%.3f %ld\n", first, resident());
  end(sandbox);
  return 0;
}
