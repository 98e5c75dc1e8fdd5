/* A host lends its client to scripts: libpinstripe-lua. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"

#define KEY "sk_test_51HostHostHostHost9Xy2"

static int sent, events;

static void count_event(void *context, const ps_call_event *event) {
  (void)event;
  ++*(int *)context;
}

static ps_client *make_client(void) {
  static ps_transport transport = {.send = host_send, .context = &sent};
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.transport = &transport;
  options.log = count_event;
  options.hook_context = &events;
  sent = events = 0;
  return ps_client_new(KEY, &options);
}

static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();
  assert_non_null(L);
  luaL_openlibs(L);
  return L;
}

static void lend(lua_State *L, ps_client *client) {
  int status = ps_lua_push_client(L, client);
  if (status != 0) fail_msg("%s", lua_tostring(L, -1));
  lua_setglobal(L, "stripe");
}

static void check(lua_State *L, const char *script) {
  const char *wrong = host_run(L, script);
  if (wrong) fail_msg("%s", wrong);
  lua_settop(L, 0);
}

static void test_script_uses_it(void **state) {
  (void)state;
  lua_State *L = open_state();
  ps_client *client = make_client();
  lend(L, client);
  check(L, "assert(stripe.customers:create{email = 'a@b.c'}.id == 'cus_1')\n"
           "assert(tostring(stripe) == 'pinstripe.client')\n"
           "local ids = {}\n"
           "for charge in stripe.charges:each() do ids[#ids + 1] = charge.id end\n"
           "assert(table.concat(ids, ' ') == 'ch_5 ch_4 ch_3 ch_2 ch_1')\n"
           "local ok, err = stripe:request('GET', '/v1/bad')\n"
           "assert(ok == nil and err.kind == 'card' and err.payment_intent.id == 'pi_1')\n"
           "local page = stripe.charges:list({}, {fields = {'amount'}})\n"
           "assert(page.data[1].amount == 5 and page:fetch_next().data[1].amount == 3)");
  assert_int_equal(sent, 7);
  assert_int_equal(events, 14);
  lua_close(L);
  ps_client_free(client);
}

static void test_client_may_go_first(void **state) {
  (void)state;
  lua_State *L = open_state();
  ps_client *client = make_client();
  lend(L, client);
  ps_client_free(client);
  check(L, "assert(stripe.balance:retrieve())");
  assert_int_equal(sent, 1);
  check(L, "it = stripe.charges:each() it:next() page = stripe.charges:list()");
  lua_close(L);
}

static void test_client_outlives_states(void **state) {
  (void)state;
  ps_client *client = make_client();
  for (int i = 0; i < 3; i++) {
    lua_State *L = open_state();
    lend(L, client);
    lend(L, client);
    check(L, "assert(stripe.balance:retrieve())");
    lua_close(L);
  }
  assert_int_equal(sent, 3);
  assert_string_equal(ps_client_error(client), "");
  ps_client_free(client);
}

static void test_package_is_ours(void **state) {
  (void)state;
  lua_State *L = open_state();
  ps_client *client = make_client();
  lend(L, client);
  check(L,
        "local pinstripe = require 'pinstripe'\n"
        "local other = pinstripe.client('sk_test_2', {transport = function() return {status = 200, body = '{}'} end})\n"
        "assert(other.balance:retrieve())\n"
        "assert(getmetatable(other) == getmetatable(stripe))");
  lua_close(L);
  ps_client_free(client);
}

static void test_another_copy_is_refused(void **state) {
  (void)state;
  lua_State *L = open_state();
  ps_client *client = make_client();
  check(L, "require 'pinstripe'");
  assert_int_not_equal(ps_lua_push_client(L, client), 0);
  assert_non_null(strstr(lua_tostring(L, -1), "pinstripe.core is loaded already, from another library"));
  assert_int_equal(lua_gettop(L), 1);
  lua_close(L);
  ps_client_free(client);
}

static void test_package_may_be_missing(void **state) {
  (void)state;
  lua_State *L = open_state();
  ps_client *client = make_client();
  check(L, "package.path = ''");
  assert_int_not_equal(ps_lua_push_client(L, client), 0);
  assert_non_null(strstr(lua_tostring(L, -1), "module 'pinstripe' not found"));
  lua_close(L);
  L = luaL_newstate();
  assert_int_not_equal(ps_lua_push_client(L, client), 0);
  assert_non_null(strstr(lua_tostring(L, -1), "package"));
  lua_close(L);
  ps_client_free(client);
}

static void test_key_stays_out_of_reach(void **state) {
  (void)state;
  lua_State *L = open_state();
  ps_client *client = make_client();
  lend(L, client);
  check(L, "local seen = {}\n"
           "local function look(v)\n"
           "  assert(not tostring(v):find('HostHost', 1, true))\n"
           "  if type(v) ~= 'table' and type(v) ~= 'userdata' or seen[v] then return end\n"
           "  seen[v] = true\n"
           "  look(debug.getmetatable(v))\n"
           "  if type(v) == 'table' then for k, w in pairs(v) do look(k) look(w) end end\n"
           "end\n"
           "look(stripe) look(stripe.charges) look((stripe.charges:each())) look(stripe.charges:list())");
  lua_close(L);
  ps_client_free(client);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_script_uses_it),          cmocka_unit_test(test_client_may_go_first),
    cmocka_unit_test(test_client_outlives_states),  cmocka_unit_test(test_package_is_ours),
    cmocka_unit_test(test_another_copy_is_refused), cmocka_unit_test(test_package_may_be_missing),
    cmocka_unit_test(test_key_stays_out_of_reach),
  };
  host_set_paths();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
