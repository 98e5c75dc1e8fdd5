/* A hundred Lua states, opened and closed, each loading the module as a script does: one of them while a look-up hangs. The
 * thread that looks up outlives its state; the module, and libcurl below it, must stay mapped (-z nodelete), or it returns
 * into nothing.
 *
 * getaddrinfo below stands in for libc's in the whole process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <netdb.h>

#include "host.h"

static atomic_int begun, ended;
static atomic_bool released;

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **result) {
  (void)node, (void)service, (void)hints, (void)result;
  begun++;
  while (!released) usleep(1000);
  ended++;
  return EAI_NONAME;
}

static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();
  assert_non_null(L);
  luaL_openlibs(L);
  return L;
}

static void run(lua_State *L, const char *script) {
  const char *wrong = host_run(L, script);
  if (wrong) fail_msg("%s", wrong);
}

static const char *const usual =
  "local pinstripe = require 'pinstripe'\n"
  "local stripe = pinstripe.client('sk_test_1', {api_base = 'http://127.0.0.1:1', max_retries = 0})\n"
  "local ok, err = stripe.balance:retrieve()\n"
  "assert(not ok and err.kind == 'connection' and err.outcome == 'not_sent', tostring(err))\n"
  "it = stripe.charges:each()\n"
  "assert(not it:next())\n";

static const char *const hanging =
  "local pinstripe = require 'pinstripe'\n"
  "local stripe = pinstripe.client('sk_test_1', {api_base = 'https://hang.test', max_retries = 0, deadline = 0.2})\n"
  "local ok, err = stripe.balance:retrieve()\n"
  "assert(not ok and err.kind == 'timeout' and err.outcome == 'not_sent', tostring(err))\n";

static bool module_is_mapped(void) {
  void *module = dlopen(PS_BUILD_DIR "/lua/" LUA_NAME "/pinstripe/core.so", RTLD_LAZY | RTLD_NOLOAD);
  if (module) dlclose(module);
  return module != NULL;
}

static void test_a_hundred_states(void **state) {
  (void)state;
  assert_false(module_is_mapped());
  for (int i = 0; i < 100; i++) {
    lua_State *L = open_state();
    run(L, i == 50 ? hanging : usual);
    lua_close(L);
  }
  assert_true(module_is_mapped());
  assert_int_equal(begun, 1);
  assert_int_equal(ended, 0);
  released = true;
  for (int i = 0; i < 1000 && ended < begun; i++) usleep(1000);
  assert_int_equal(ended, 1);
  usleep(100000); /* the thread goes on into libcurl, and ends */
}

static void test_states_at_once(void **state) {
  (void)state;
  lua_State *states[20];
  for (int i = 0; i < 20; i++) run(states[i] = open_state(), usual);
  for (int i = 0; i < 20; i++) run(states[(i * 7) % 20], usual);
  for (int i = 0; i < 20; i++) lua_close(states[(i * 3) % 20]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_hundred_states),
    cmocka_unit_test(test_states_at_once),
  };
  host_set_paths();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
