/* A representative script under failing memory: first the library's own, allocation by allocation, then Lua's. Whatever
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

/* Each part is tried by itself, so that one that fails does not hide the next. */
static const char *const script =
  "local pinstripe = require 'pinstripe'\n"
  "local part\n"
  "local function try(f) local ok, err = pcall(f) if strict and not ok then error(err, 0) end end\n"
  "local check = function(object, err)\n"
  "  if object == nil and err ~= nil then tostring(err) assert(not strict) end\n"
  "  return object\n"
  "end\n"
  "try(function()\n"
  "  check(stripe.customers:create({email = 'a@b.c', metadata = {a = 'b'}, items = {{x = 1.5, y = {true, pinstripe.null}}}},\n"
  "    {idempotency_key = 'k', headers = {['X-A'] = 'b'}, stripe_account = 'acct_1', fields = {'id', 'metadata.a'}}))\n"
  "end)\n"
  "try(function()\n"
  "  local n = 0\n"
  "  for charge in stripe.charges:each({limit = 2}, {fields = {'amount', 'customer.email'}}) do n = n + charge.amount end\n"
  "  assert(n == 15.5)\n"
  "end)\n"
  "try(function()\n"
  "  local page = check(stripe.charges:list({}, {headers = {['X-A'] = 'b'}}))\n"
  "  local it = page:each()\n"
  "  check(it:next())\n"
  "  local again = stripe.charges:each({}, {cursor = it:cursor()})\n"
  "  assert(check(again:next()).id == 'ch_4')\n"
  "  again:close()\n"
  "  assert(check(page:fetch_next()).data[1].id == 'ch_3')\n"
  "end)\n"
  "try(function()\n"
  "  local invoice = check(stripe.invoices:retrieve('in_1'))\n"
  "  assert(check(invoice.lines:each():next()).tags[2] == 'b')\n"
  "end)\n"
  "try(function()\n"
  "  local ok, err = stripe:request('GET', '/v1/bad', {a = {1, 2}})\n"
  "  if strict then assert(err.payment_intent.id == 'pi_1') end\n"
  "  tostring(err)\n"
  "end)\n"
  "try(function() stripe.files:create{purpose = 'x', file = {content = 'abc', filename = 'a'}} end)\n"
  "try(function()\n"
  "  local other = pinstripe.client('sk_test_2', {\n"
  "    headers = {['X-B'] = 'c'}, app_info = {name = 'Shop'}, log = function(event) tostring(event) end,\n"
  "    transport = {send = function(request)\n"
  "      return {status = 200, headers = {['X-A'] = {'1', '2'}}, body = '{\"id\": \"x\", \"a\": [1, {\"b\": \"c\"}]}'}\n"
  "    end, sleep = function() end}})\n"
  "  assert(check(other.charges:retrieve('ch_1')).id == 'x')\n"
  "  check((other.charges:each():next()))\n"
  "end)\n"
  "try(function() assert(pinstripe.json.encode(pinstripe.json.decode('{\"a\":[1,2.5,\"x\"]}')) == '{\"a\":[1,2.5,\"x\"]}') end)\n"
  "try(function() assert(pinstripe.api.operation('charges.list').params.limit.kind == 'int') end)\n"
  "local ok = pcall(function() stripe.customers:create({a = {b = print}}) end)\n"
  "assert(not ok)\n"
  "ok = pcall(function() stripe.customers:create({}, {idempotencykey = 'x'}) end)\n"
  "assert(not ok)\n";

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
  const char *wrong = status == 0 ? host_run(L, script) : "no client";
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
