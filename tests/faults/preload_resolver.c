/* For LD_PRELOAD: a getaddrinfo that hangs for "hang.test" and fails for "fail.test", in place of a network's. */
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int lookup(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
  lookup *next;
  *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
  if (node && strcmp(node, "fail.test") == 0) return EAI_NONAME;
  while (node && strcmp(node, "hang.test") == 0) sleep(60);
  return next(node, service, hints, result);
}
