/* A representative script (representative.lua) under failing memory: first the library's own, allocation by allocation, then Lua's. Whatever
 * fails, nothing crashes; that nothing is left behind is for the sanitizer and valgrind to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../core/oom.h"
#include "host.h"

static int sent;

static ps_client *make_client(void) {
  static const ps_transport transport = {.send = host_send, .context = &sent};
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.transport = &transport;
  return ps_client_new("sk_test_51OomOomOomOom9Xy2", &options);
}

static void run_script(lua_State *L, ps_client *client, bool failing) {
  lua_pushboolean(L, !failing);
  lua_setglobal(L, "strict");
  int status = ps_lua_push_client(L, client);
  lua_setglobal(L, "stripe");
  const char *wrong = status == 0 ? host_run_file(L, "representative.lua") : "no client";
  if (wrong && !failing) fail_msg("%s", wrong);
}

/* ---- The library's memory ---- */

static void fail_in_library(void *context, bool failing) {
  (void)context;
  ps_client *client = make_client();
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  run_script(L, client, failing);
  lua_close(L);
  ps_client_free(client);
}

static void test_library(void **state) {
  (void)state;
  assert_true(oom_each(fail_in_library, NULL) > 200);
}

/* ---- Lua's memory ---- */

#ifndef LUAJIT /* whose allocator may not be replaced */
typedef struct {
  size_t count, first; /* 0: none fails */
} lua_memory;

static void *allocate(void *context, void *old, size_t old_size, size_t size) {
  lua_memory *m = context;
  if (size == 0) {
    free(old);
    return NULL;
  }
  bool grows = !old || size > old_size;
  if (grows && m->first > 0 && ++m->count >= m->first && m->count < m->first + 3) return NULL;
  return realloc(old, size);
}

static int protected_script(lua_State *L) {
  run_script(L, lua_touserdata(L, 1), lua_toboolean(L, 2));
  return 0;
}

/* Opening the libraries is not what is tested: memory fails from then on. */
static bool fail_in_lua(size_t first) {
  lua_memory m = {0, 0};
  ps_client *client = make_client();
  lua_State *L = lua_newstate(allocate, &m);
  luaL_openlibs(L);
  lua_pushcfunction(L, protected_script);
  lua_pushlightuserdata(L, client);
  lua_pushboolean(L, first > 0);
  m.first = first;
  lua_pcall(L, 2, 0, 0);
  bool failed = m.first > 0 && m.count >= m.first;
  m.first = 0;
  lua_close(L);
  ps_client_free(client);
  return failed;
}

static void test_lua(void **state) {
  (void)state;
  size_t n = 1;
  fail_in_lua(0);
  while (fail_in_lua(n)) n += n < 2000 ? 1 : 7;
  assert_true(n > 1000);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_library),
#ifndef LUAJIT
    cmocka_unit_test(test_lua),
#endif
  };
  host_set_paths();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
